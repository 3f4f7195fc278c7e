//! The sample CSI driver: each audience's service account token as a file in the pod's volume.
