//! `tokenward apiserver`: the control plane without its controllers.

use tokenward_cluster::control_plane::ControlPlane;

use crate::args::apiserver::ApiserverConfig;
use crate::failure::Failure;
use crate::signals::Stop;
use crate::{server, storage};

/// Serves until it is told to stop.
pub(crate) async fn run(config: ApiserverConfig) -> Result<(), Failure> {
    let stop = Stop::on_signals().map_err(Failure::because)?;
    let release = config.gates.release();
    let place = config.server.storage.clone();
    let mut control_plane = server::control_plane(&config.gates, config.listen, config.server)?;
    let storage = storage::open(&place).await?;
    storage.put_into(&mut control_plane);
    control_plane.runs_controllers = false;
    let control_plane = ControlPlane::start(control_plane).await.map_err(server::cannot_start)?;
    let written = match &config.kubeconfig_out {
        Some(path) => control_plane
            .admin_kubeconfig()
            .map_err(Failure::because)
            .and_then(|kubeconfig| kubeconfig.write(path).map_err(Failure::because)),
        None => Ok(()),
    };
    if written.is_ok() {
        let kubeconfig = config.kubeconfig_out.as_ref().map(|path| path.display().to_string());
        tracing::info!(url = control_plane.url(), %release, kubeconfig, "serving the Kubernetes API");
        stop.drain.cancelled().await;
        tracing::info!("stopping");
    }
    let stopped = control_plane.stop();
    let stopped = tokio::select! {
        stopped = stopped => stopped.map_err(Failure::because),
        () = stop.immediate.cancelled() => Ok(()),
    };
    storage.close().await;
    written.and(stopped)
}
