//! The Identity service: who the plugin is, what it offers, and whether it is ready.

use std::fmt;
use std::sync::Arc;

use tokenward_csi::v1::identity_server::Identity;
use tokenward_csi::v1::plugin_capability::service::Type;
use tokenward_csi::v1::plugin_capability::{Service, Type as CapabilityType};
use tokenward_csi::v1::{
    GetPluginCapabilitiesRequest, GetPluginCapabilitiesResponse, GetPluginInfoRequest, GetPluginInfoResponse,
    PluginCapability, ProbeRequest, ProbeResponse,
};
use tonic::{Request, Response, Status};

use crate::name::DriverName;

/// What a plugin answers when it is probed.
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use tokenward_driver::Readiness;
///
/// static LOGGED_IN: AtomicBool = AtomicBool::new(false);
///
/// fn readiness() -> Readiness {
///     if LOGGED_IN.load(Ordering::Acquire) { Readiness::Ready } else { Readiness::Starting }
/// }
/// assert_eq!(readiness(), Readiness::Starting);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It serves.
    Ready,
    /// It will serve; asking again later helps.
    Starting,
    /// It cannot serve as it is set up, and why: an operator has to do something. Tokens in the text are blanked.
    Broken(String),
}

/// Asked at each probe.
#[derive(Clone)]
pub(crate) struct ReadinessCheck(Arc<dyn Fn() -> Readiness + Send + Sync>);

impl ReadinessCheck {
    pub(crate) fn new(check: impl Fn() -> Readiness + Send + Sync + 'static) -> Self {
        Self(Arc::new(check))
    }
}

impl Default for ReadinessCheck {
    fn default() -> Self {
        Self::new(|| Readiness::Ready)
    }
}

impl fmt::Debug for ReadinessCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadinessCheck")
    }
}

/// The Identity service of a plugin.
#[derive(Debug)]
pub(crate) struct Introduction {
    pub(crate) name: DriverName,
    pub(crate) version: String,
    pub(crate) services: Vec<Type>,
    pub(crate) readiness: ReadinessCheck,
}

#[tonic::async_trait]
impl Identity for Introduction {
    async fn get_plugin_info(
        &self,
        _: Request<GetPluginInfoRequest>,
    ) -> Result<Response<GetPluginInfoResponse>, Status> {
        Ok(Response::new(GetPluginInfoResponse {
            name: self.name.as_str().to_owned(),
            vendor_version: self.version.clone(),
            ..Default::default()
        }))
    }

    async fn get_plugin_capabilities(
        &self,
        _: Request<GetPluginCapabilitiesRequest>,
    ) -> Result<Response<GetPluginCapabilitiesResponse>, Status> {
        let capability = |service: &Type| PluginCapability {
            r#type: Some(CapabilityType::Service(Service { r#type: *service as i32 })),
        };
        let capabilities = self.services.iter().map(capability).collect();
        Ok(Response::new(GetPluginCapabilitiesResponse { capabilities }))
    }

    async fn probe(&self, _: Request<ProbeRequest>) -> Result<Response<ProbeResponse>, Status> {
        match (self.readiness.0)() {
            Readiness::Ready => Ok(Response::new(ProbeResponse { ready: Some(true) })),
            Readiness::Starting => Ok(Response::new(ProbeResponse { ready: Some(false) })),
            Readiness::Broken(why) => Err(Status::failed_precondition(why)),
        }
    }
}
