//! The kubelet's CSI half: plugin registration, tokens, placement, publish, republish.
