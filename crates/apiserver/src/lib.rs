//! The part of kube-apiserver that CSI service account tokens pass through.
