//! `tokenward driver workload-credentials`: its configuration, which it follows, and Events of Kubernetes for what it has to tell.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokenward_cluster::client::{self, ClusterChoice};
use tokenward_driver_workload_credentials::{
    Config, ConfigurationFile, DriverConfig, Event, Events, Proxies, serve,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::cannot_serve;
use crate::failure::Failure;
use crate::signals::hang_ups;

/// Events that wait for the API server; what comes when so many do is in the log alone.
const WAITING: usize = 64;
const LIMIT: Duration = Duration::from_secs(10);
/// How often the configuration's files are looked at. A kubelet takes a minute to bring a changed ConfigMap.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// Serves until it is told to stop.
pub(super) async fn run(
    config: &Path,
    kubeconfig: Option<PathBuf>,
    driver: DriverConfig,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let proxies = Proxies::from_environment(|name| std::env::var(name).ok()).map_err(Failure::because)?;
    let file = ConfigurationFile::open(config, proxies).map_err(|error| {
        Failure::because(error).hint("docs/workload-credentials.md says what the file of --config holds.")
    })?;
    let exchanges = file.current().get().names().collect::<Vec<_>>().join(", ");
    tracing::info!(exchanges, "configured");
    let events = cluster_events(kubeconfig, driver.name.as_str(), &driver.node_id).await?;
    let mut config = Config::new(driver, file.current());
    if let Some(events) = events {
        config = config.events(Arc::new(events));
    }
    let asked = hang_ups().map_err(Failure::because)?;
    tokio::spawn(file.follow(LOOK_INTERVAL, asked, config.metrics.clone(), stop.child_token()));
    serve(config, stop).await.map_err(cannot_serve)
}

/// Events in the cluster that was named, or in that of the pod that this runs in. The kubeconfig of whoever is logged in here is nobody's
/// wish.
async fn cluster_events(
    kubeconfig: Option<PathBuf>,
    driver: &str,
    node_id: &str,
) -> Result<Option<ClusterEvents>, Failure> {
    let is_in_a_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    if kubeconfig.is_none() && !is_in_a_pod {
        tracing::info!(
            "no cluster is named: what happens to credentials is in the log and the metrics alone"
        );
        return Ok(None);
    }
    let choice = ClusterChoice { kubeconfig, context: None };
    let connection = client::connect(&choice).await.map_err(Failure::because)?;
    tracing::info!(server = connection.server, "pods' owners are told by Events");
    Ok(Some(ClusterEvents::new(connection.client, driver, node_id)))
}

/// Sends Events, one after the other, beside the calls that have caused them.
#[derive(Debug)]
struct ClusterEvents(mpsc::Sender<Event>);

impl ClusterEvents {
    fn new(client: kube::Client, driver: &str, node_id: &str) -> Self {
        let (sender, mut receiver) = mpsc::channel::<Event>(WAITING);
        let (driver, node_id) = (driver.to_owned(), node_id.to_owned());
        tokio::spawn(async move {
            let count = AtomicU64::new(0);
            while let Some(event) = receiver.recv().await {
                let number = count.fetch_add(1, Ordering::Relaxed);
                if let Err(error) = send(&client, &event, &body(&event, number, &driver, &node_id)).await {
                    tracing::warn!(error, reason = event.kind.reason(), "an Event could not be sent");
                }
            }
        });
        Self(sender)
    }
}

impl Events for ClusterEvents {
    fn tell(&self, event: Event) {
        if self.0.try_send(event).is_err() {
            tracing::warn!("too many Events wait for the API server; one is left out");
        }
    }
}

async fn send(client: &kube::Client, event: &Event, body: &Value) -> Result<(), String> {
    let request = http::Request::post(format!("/api/v1/namespaces/{}/events", event.namespace))
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(body.to_string().into_bytes())
        .map_err(|error| error.to_string())?;
    match tokio::time::timeout(LIMIT, client.request_text(request)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            Err(format!("{error}{cause}"))
        }
        Err(_) => Err(format!("no answer within {} s", LIMIT.as_secs())),
    }
}

fn body(event: &Event, number: u64, driver: &str, node_id: &str) -> Value {
    // A name has at most 253 bytes, and must end as a name does where it is cut.
    let pod: String = event.pod.chars().take(200).collect();
    let pod = pod.trim_end_matches(['-', '.']);
    let at = event.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": format!("{pod}.{:x}{number:x}", event.at.as_nanosecond()),
            "namespace": event.namespace,
        },
        "involvedObject": {
            "apiVersion": "v1", "kind": "Pod",
            "namespace": event.namespace, "name": event.pod, "uid": event.uid,
        },
        "type": event.kind.severity(),
        "reason": event.kind.reason(),
        "message": event.message,
        "source": {"component": driver, "host": node_id},
        "reportingComponent": driver,
        "reportingInstance": node_id,
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    })
}
