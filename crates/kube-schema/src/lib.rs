//! One table of the served Kubernetes kinds: decoding, pruning and discovery come from it.
