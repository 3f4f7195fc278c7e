//! The plugin's half of registration: the kubelet finds the socket, asks who is there, and says how it went.

use std::path::Path;
use std::time::Duration;

use tokenward_sanitize::blank_tokens;
use tokenward_transport::registration::registration_server::{Registration, RegistrationServer};
use tokenward_transport::registration::{
    InfoRequest, PluginInfo, RegistrationStatus, RegistrationStatusResponse,
};
use tokenward_transport::{Services, SocketPath, bind, serve};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::name::DriverName;
use crate::plugin::ServeError;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Keeps the registration socket there until `cancel`.
///
/// A kubelet that has refused a plugin tries again only when the socket is made anew; so after a refusal it is, with growing pauses.
/// For a plugin that somebody else serves; a [`Plugin`](crate::Plugin) registers itself.
///
/// ```no_run
/// use std::path::Path;
/// use tokenward_driver::{DriverName, SocketPath, register};
/// use tokio_util::sync::CancellationToken;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let endpoint = SocketPath::parse("/var/lib/kubelet/plugins/vault.example/csi.sock")?;
/// let directory = Path::new("/var/lib/kubelet/plugins_registry");
/// register(&DriverName::parse("vault.example")?, &endpoint, directory, &CancellationToken::new()).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When the socket cannot be made the first time, or its server fails.
pub async fn keep(
    name: &DriverName,
    endpoint: &SocketPath,
    directory: &Path,
    cancel: &CancellationToken,
) -> Result<(), ServeError> {
    let path = directory.join(format!("{name}-reg.sock"));
    let path = SocketPath::new(path).map_err(|source| ServeError::RegistrationPath {
        driver: name.clone(),
        directory: directory.to_owned(),
        source,
    })?;
    let info = PluginInfo {
        r#type: "CSIPlugin".to_owned(),
        name: name.as_str().to_owned(),
        endpoint: endpoint.as_path().to_string_lossy().into_owned(),
        supported_versions: vec!["1.0.0".to_owned()],
    };
    let mut pause = FIRST_PAUSE;
    let mut bound = bind(&path).await.map_err(|source| ServeError::Bind { driver: name.clone(), source })?;
    loop {
        let stop = cancel.child_token();
        let registrar = Registrar { info: info.clone(), refused: stop.clone() };
        serve(bound, Services::new().with(RegistrationServer::new(registrar)), stop)
            .await
            .map_err(|source| ServeError::Serve { driver: name.clone(), source })?;
        bound = loop {
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
            }
            // The driver serves mounted volumes by now: a socket that cannot be made again must not end it.
            match bind(&path).await {
                Ok(again) => break again,
                Err(error) => {
                    let error = crate::with_causes(&error);
                    tracing::warn!(driver = %name, error, "no registration socket; trying again");
                }
            }
        };
    }
}

#[derive(Debug)]
struct Registrar {
    info: PluginInfo,
    /// Cancelled by a refusal: takes the socket away.
    refused: CancellationToken,
}

#[tonic::async_trait]
impl Registration for Registrar {
    async fn get_info(&self, _: Request<InfoRequest>) -> Result<Response<PluginInfo>, Status> {
        Ok(Response::new(self.info.clone()))
    }

    async fn notify_registration_status(
        &self,
        request: Request<RegistrationStatus>,
    ) -> Result<Response<RegistrationStatusResponse>, Status> {
        let status = request.into_inner();
        if status.plugin_registered {
            tracing::info!(driver = self.info.name, "registered with the kubelet");
        } else {
            let error = blank_tokens(&status.error);
            tracing::warn!(driver = self.info.name, %error, "the kubelet refused the registration; trying again");
            self.refused.cancel();
        }
        Ok(Response::new(RegistrationStatusResponse::default()))
    }
}
