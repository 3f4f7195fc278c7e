//! A kit for authors of CSI drivers that use service account tokens: right by default.
