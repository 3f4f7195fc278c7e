//! Kubernetes releases and feature gates, CSIDriver defaults, validation and warnings, and where tokens are placed.
