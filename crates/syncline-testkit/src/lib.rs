//! Private real servers, faults, certificates and the conformance suite.
