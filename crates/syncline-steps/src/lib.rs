//! What happens to rows on their way: rename, drop, cast, set, filter, mask, and the expression language.
