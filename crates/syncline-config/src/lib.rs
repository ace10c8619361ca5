//! The pipeline file and connection URLs, checked into a plain model.
