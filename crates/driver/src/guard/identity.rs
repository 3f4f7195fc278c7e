//! The Identity service behind the guard.

use std::time::Instant;

use tokenward_csi::v1::identity_server::Identity;
use tokenward_csi::v1::*;
use tonic::{Request, Response, Status};

use super::{Call, Guarded};
use crate::locks::Subject;
use crate::scrub::Scrubber;

guarded! { Identity "csi.v1.Identity" {
    get_plugin_info = "GetPluginInfo", (GetPluginInfoRequest) -> GetPluginInfoResponse,
        |_| None, |_| Scrubber::default();
    get_plugin_capabilities = "GetPluginCapabilities", (GetPluginCapabilitiesRequest) -> GetPluginCapabilitiesResponse,
        |_| None, |_| Scrubber::default();
    probe = "Probe", (ProbeRequest) -> ProbeResponse, |_| None, |_| Scrubber::default();
} }
