//! A real Kubernetes API server as the cluster of a Tokenward node.
