//! A driver on a real socket with an exchange server, and a node's side of its calls.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokenward_driver::csi::v1::NodePublishVolumeRequest;
use tokenward_driver::testing::{Served, names, publish_request, with_tokens};
use tokenward_driver::tokens::{ManualClock, Placement};
use tokenward_driver_workload_credentials::{
    Config, Configuration, DriverConfig, DriverName, Event, Events, SocketPath, serve,
};
use tokenward_exchange::Retries;
use tonic::Status;

use super::exchange_server::{AUDIENCE, ExchangeServer, some_authority};

pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/shop";

/// Keeps what pods' owners were told.
#[derive(Debug, Default)]
pub(crate) struct Told(pub(crate) Mutex<Vec<Event>>);

impl Events for Told {
    fn tell(&self, event: Event) {
        self.0.lock().push(event);
    }
}

/// A running driver; its directory and what is mounted in it goes when this is dropped.
pub(crate) struct World {
    pub(crate) server: Arc<ExchangeServer>,
    pub(crate) clock: ManualClock,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) told: Arc<Told>,
    pub(crate) metrics: tokenward_driver::Metrics,
    config: Config,
    served: Served,
}

impl World {
    pub(crate) async fn start() -> Self {
        let clock = ManualClock::new("2026-03-01T12:00:00Z".parse().unwrap());
        let server = ExchangeServer::start(clock.clock()).await;
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("pod")).unwrap();
        std::fs::write(directory.path().join("ca.pem"), some_authority()).unwrap();
        let configuration = Configuration::parse(&server.configuration(), directory.path()).unwrap();
        let endpoint = SocketPath::new(directory.path().join("plugin/csi.sock")).unwrap();
        let name = DriverName::parse("workload-credentials.tokenward.dev").unwrap();
        let told = Arc::new(Told::default());
        let mut driver = DriverConfig::new(name, endpoint, "node-1");
        driver.clock = clock.clock();
        let mut config = Config::new(driver, configuration).events(told.clone());
        config.record_directory = directory.path().join("records");
        config.retries = Retries { attempts: 2, first_pause: Duration::from_millis(1), ..Retries::default() };
        let metrics = tokenward_driver::Metrics::new(&config.driver.name);
        config.metrics.register_in(&metrics);
        let served = run(&config).await;
        Self { server, clock, directory, told, metrics, config, served }
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.target_of("mount")
    }

    pub(crate) fn target_of(&self, volume: &str) -> PathBuf {
        self.directory.path().join("pod").join(volume)
    }

    /// A complete request with these attributes and without tokens, as the kubelet makes it for the pod `apps/shop-0`.
    pub(crate) fn request(&self, attributes: &[(&str, &str)]) -> NodePublishVolumeRequest {
        let pod = [
            ("csi.storage.k8s.io/pod.namespace", "apps"),
            ("csi.storage.k8s.io/pod.name", "shop-0"),
            ("csi.storage.k8s.io/pod.uid", "6e8eb1a9"),
            ("csi.storage.k8s.io/serviceAccount.name", "shop"),
            ("csi.storage.k8s.io/ephemeral", "true"),
        ];
        let entry = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        NodePublishVolumeRequest {
            readonly: true,
            volume_context: pod.iter().chain(attributes).map(entry).collect(),
            ..publish_request(&self.target())
        }
    }

    /// The same with a fresh token for the exchange server in `secrets`.
    pub(crate) fn with_token(&self, attributes: &[(&str, &str)]) -> NodePublishVolumeRequest {
        let token = self.server.token(AUDIENCE, "shop");
        with_tokens(self.request(attributes), Placement::Secrets, &[(AUDIENCE, &token)])
    }

    /// Publishes with a fresh token.
    pub(crate) async fn publish(&self, attributes: &[(&str, &str)]) -> Result<(), Status> {
        self.send(self.with_token(attributes)).await
    }

    pub(crate) async fn send(&self, request: NodePublishVolumeRequest) -> Result<(), Status> {
        self.served.publish(request).await
    }

    pub(crate) async fn unpublish(&self) -> Result<(), Status> {
        self.served.unpublish(&self.target()).await
    }

    /// Ends the driver and starts another with the same configuration.
    pub(crate) async fn restart(&mut self) {
        self.end().await;
        self.served = run(&self.config).await;
    }

    pub(crate) async fn end(&mut self) {
        self.served.end().await.unwrap();
    }

    /// The reasons of the events so far.
    pub(crate) fn reasons(&self) -> Vec<&'static str> {
        self.told.0.lock().iter().map(|event| event.kind.reason()).collect()
    }

    pub(crate) fn metric(&self, line: &str) -> bool {
        self.metrics.render().lines().any(|found| found == line)
    }

    /// Neither a volume nor a record is left.
    pub(crate) fn assert_nothing_is_left(&self) {
        for directory in ["pod", "records"] {
            let directory = self.directory.path().join(directory);
            let left = if directory.exists() { names(&directory) } else { Vec::new() };
            assert_eq!(left, Vec::<String>::new(), "{}", directory.display());
        }
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(self.directory.path().to_str().unwrap()), "{mounts}");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for name in names(&self.directory.path().join("pod")) {
            // There may be nothing: this also cleans up after a test that failed.
            let _ = rustix::mount::unmount(self.target_of(&name), rustix::mount::UnmountFlags::DETACH);
        }
    }
}

async fn run(config: &Config) -> Served {
    Served::start(&config.driver.endpoint, |stop| serve(config.clone(), stop)).await
}
