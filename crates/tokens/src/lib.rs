//! The vocabulary of CSI service account tokens: token map, audience, placement, lookup, when a token is due.
