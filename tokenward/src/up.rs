//! `tokenward up`: a cluster in this process, from the first byte to the last unmount.

use std::io::{self, Stderr, Write};
use std::time::Duration;

use tokenward_cluster::apply::{Outcome, apply};
use tokenward_cluster::delivery::{Delivery, Missing, missing};
use tokenward_cluster::manifest::{self, Manifest, ManifestError};
use tokenward_cluster::{Cluster, ClusterConfig, Happening, Observation, StartError};
use tokio::time::{Instant, sleep_until};

use crate::args::up::{Until, UpConfig};
use crate::failure::Failure;
use crate::signals::Stop;
use crate::terminal::{self, Region, Style};
use crate::{records, server, storage};

/// How long drivers may take to register before pods are applied all the same, to say themselves what they wait for.
const REGISTRATION_LIMIT: Duration = Duration::from_secs(5);
/// How often a live table is drawn anew when nothing happens: for what pods wait for.
const REDRAW: Duration = Duration::from_millis(250);

/// Runs the command. `is_quiet` says that no log lines will come in between, so that a table may be drawn in place.
pub(crate) async fn run(config: UpConfig, is_quiet: bool) -> Result<(), Failure> {
    let stop = Stop::on_signals().map_err(|error| {
        Failure::because(error).hint("Signals cannot be handled here; run tokenward as an ordinary process.")
    })?;
    let manifests =
        manifest::load(&config.manifests).and_then(manifest::in_apply_order).map_err(bad_manifest)?;
    let csi_drivers = manifests.iter().filter(|manifest| manifest.kind.kind == "CSIDriver");
    let mut control_plane = server::control_plane(&config.gates, config.listen, config.server.clone())?;
    let storage = storage::open(&config.server.storage).await?;
    storage.put_into(&mut control_plane);
    let started = Cluster::start(ClusterConfig {
        control_plane,
        nodes: config.nodes,
        root_dir: config.root_dir.clone(),
        csi_drivers: csi_drivers.map(|manifest| manifest.name.clone()).collect(),
        endpoints: config.endpoints.clone(),
        republish: config.delivery.republish,
        drop_forged_keys: config.delivery.drop_forged_keys,
    })
    .await;
    let mut cluster = started.map_err(cannot_start)?;
    let worked = Run::new(&mut cluster, &config, &stop, Screen::new(is_quiet)).work(&manifests).await;
    // Whatever became of it, nothing is left behind.
    let cleaned_up = cluster.stop(&stop.immediate).await.map_err(|error| {
        Failure::because(error).hint("Not everything of this run could be removed; see the path above.")
    });
    storage.close().await;
    worked.and(cleaned_up)
}

fn bad_manifest(error: ManifestError) -> Failure {
    Failure::because(error)
}

fn cannot_start(error: StartError) -> Failure {
    let hint = match &error {
        StartError::Endpoint { .. } => {
            Some("Start the driver first, and check the path after --driver-endpoint.")
        }
        StartError::SocketPath { .. } => {
            Some("A socket's path may have 107 bytes; choose a shorter --root-dir.")
        }
        _ => None,
    };
    let failure = match error {
        StartError::ControlPlane(error) => server::cannot_start(error),
        other => Failure::because(other),
    };
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The time between the start and the end of a cluster.
struct Run<'a> {
    cluster: &'a mut Cluster,
    config: &'a UpConfig,
    stop: &'a Stop,
    screen: Screen,
    pods: Vec<(String, String)>,
    deliveries: Vec<Delivery>,
    /// How many drivers have registered, over all nodes.
    registered: usize,
    is_ready: bool,
}

impl<'a> Run<'a> {
    fn new(cluster: &'a mut Cluster, config: &'a UpConfig, stop: &'a Stop, screen: Screen) -> Self {
        Self {
            cluster,
            config,
            stop,
            screen,
            pods: Vec::new(),
            deliveries: Vec::new(),
            registered: 0,
            is_ready: false,
        }
    }

    async fn work(mut self, manifests: &[Manifest]) -> Result<(), Failure> {
        let deadline = Instant::now() + self.timeout();
        self.screen.say(&format!("API server at {}", self.cluster.control_plane().url()));
        if let Some(path) = &self.config.kubeconfig_out {
            let kubeconfig = self.cluster.kubeconfig().map_err(Failure::because)?;
            kubeconfig.write(path).map_err(Failure::because)?;
            self.screen.say(&format!("kubeconfig in {}", path.display()));
        }
        self.screen.say(&format!("nodes below {}", self.cluster.root_dir().display()));
        // Pods come last in the order of application.
        let first_pod = manifests.iter().position(|manifest| manifest.kind.kind == "Pod");
        let (others, pods) = manifests.split_at(first_pod.unwrap_or(manifests.len()));
        if !self.apply(others).await? {
            return self.interrupted();
        }
        if !pods.is_empty() {
            self.wait_for_drivers().await?;
        }
        if !self.apply(pods).await? {
            return self.interrupted();
        }
        self.pods =
            pods.iter().map(|pod| (pod.namespace.clone().unwrap_or_default(), pod.name.clone())).collect();
        self.follow(deadline).await
    }

    /// Applies manifests in order; false when it was told to stop in between.
    async fn apply(&mut self, manifests: &[Manifest]) -> Result<bool, Failure> {
        let admin = self.cluster.control_plane().admin();
        for manifest in manifests {
            if self.stop.drain.is_cancelled() {
                return Ok(false);
            }
            let applied = apply(&admin, manifest).await.map_err(Failure::because)?;
            for warning in &applied.warnings {
                self.screen.warn(warning);
            }
            let outcome = match applied.outcome {
                Outcome::Created => "created",
                Outcome::Configured => "configured",
                Outcome::Unchanged => "unchanged",
            };
            self.screen.say(&format!("{} {outcome}", manifest.label()));
        }
        Ok(true)
    }

    /// A pod that comes before its driver fails once and is tried again; that is right, and needless noise here.
    async fn wait_for_drivers(&mut self) -> Result<(), Failure> {
        let limit = Instant::now() + REGISTRATION_LIMIT;
        while self.registered < self.cluster.expected_registrations() {
            tokio::select! {
                happening = self.cluster.next() => self.happened(happening)?,
                () = self.stop.drain.cancelled() => return Ok(()),
                () = sleep_until(limit) => return Ok(()),
            }
        }
        Ok(())
    }

    fn timeout(&self) -> Duration {
        match self.config.until {
            Until::Ready { timeout, .. } | Until::ReadyThenStopped { timeout } => timeout,
            Until::Stopped => Duration::ZERO,
        }
    }

    async fn follow(&mut self, deadline: Instant) -> Result<(), Failure> {
        let has_deadline = self.config.until != Until::Stopped;
        let mut next_drawing = Instant::now();
        loop {
            let missing = self.missing().await;
            if missing.is_empty() && !self.is_ready {
                self.is_ready = true;
                if self.ready()? {
                    self.screen.clear();
                    return Ok(());
                }
            }
            self.screen.draw(&self.deliveries, &missing);
            next_drawing = next_drawing.max(Instant::now() + REDRAW);
            tokio::select! {
                happening = self.cluster.next() => self.happened(happening)?,
                () = self.stop.drain.cancelled() => return self.interrupted(),
                () = sleep_until(deadline), if has_deadline && !self.is_ready => {
                    return Err(self.timed_out().await);
                }
                () = sleep_until(next_drawing), if self.screen.is_live() => {}
            }
        }
    }

    /// Says that everything is mounted. True when that is all that was wanted.
    fn ready(&mut self) -> Result<bool, Failure> {
        self.deliveries.sort_by_key(Delivery::volume);
        match self.config.until {
            Until::Stopped => Ok(false),
            Until::ReadyThenStopped { .. } => {
                self.screen.clear();
                print("ready\n")?;
                Ok(false)
            }
            Until::Ready { output, .. } => {
                self.screen.clear();
                print(&records::render(&self.deliveries, output))?;
                Ok(true)
            }
        }
    }

    fn happened(&mut self, happening: Happening) -> Result<(), Failure> {
        match happening {
            Happening::Observed(Observation::Delivered(delivery)) if !delivery.republish => {
                let delivery = Delivery::from(delivery);
                self.screen.delivered(&delivery);
                self.deliveries.retain(|known| known.volume() != delivery.volume());
                self.deliveries.push(delivery);
            }
            Happening::Observed(Observation::Failed(failure)) => {
                let by =
                    if failure.driver.is_empty() { String::new() } else { format!(" by {}", failure.driver) };
                self.screen.failed(&format!(
                    "{}/{} volume {} not mounted{by}: {}",
                    failure.namespace, failure.pod, failure.volume, failure.message
                ));
            }
            Happening::Observed(Observation::DriverRegistered { .. }) => self.registered += 1,
            Happening::Observed(_) => {}
            Happening::Failed(error) => {
                self.screen.clear();
                return Err(Failure::because(error));
            }
        }
        Ok(())
    }

    async fn missing(&self) -> Vec<Missing> {
        if self.pods.is_empty() {
            return Vec::new();
        }
        let pods = self.pods.iter().map(|(namespace, name)| (namespace.as_str(), name.as_str()));
        missing(pods, &self.deliveries, &self.cluster.objects().await)
    }

    async fn timed_out(&mut self) -> Failure {
        self.screen.clear();
        let missing = self.missing().await;
        let mut text = format!("{} not mounted when the time was up:", count(missing.len()));
        for Missing { volume, reason } in &missing {
            text.push_str(&format!("\n  {volume}: {reason}"));
        }
        Failure::no(text).hint("Give it more time with --timeout, or look closer with --log-level debug.")
    }

    fn interrupted(&mut self) -> Result<(), Failure> {
        self.screen.clear();
        self.screen.say("Stopping: volumes are unpublished. Interrupt once more to wait for no driver.");
        if self.is_ready || self.config.until == Until::Stopped {
            return Ok(());
        }
        Err(Failure::no("interrupted before every volume was mounted"))
    }
}

fn count(volumes: usize) -> String {
    if volumes == 1 { "1 volume was".to_owned() } else { format!("{volumes} volumes were") }
}

fn print(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(Failure::output)
}

/// What is said while it runs: a live table on a terminal, lines elsewhere.
///
/// All of it goes to standard error; when that is gone, nobody wants to know.
struct Screen {
    style: Style,
    live: Option<Region<Stderr>>,
    last_failure: String,
}

impl Screen {
    fn new(is_quiet: bool) -> Self {
        let live = terminal::size().filter(|_| is_quiet).map(|_| Region::new(io::stderr()));
        Self { style: Style::of_standard_error(), live, last_failure: String::new() }
    }

    fn is_live(&self) -> bool {
        self.live.is_some()
    }

    fn say(&mut self, text: &str) {
        let line = format!("{text}\n");
        let _ = match &mut self.live {
            Some(region) => region.print_above(&line),
            None => io::stderr().write_all(line.as_bytes()),
        };
    }

    fn warn(&mut self, text: &str) {
        let line = format!("{} {text}", self.style.warning("Warning:"));
        self.say(&line);
    }

    fn delivered(&mut self, delivery: &Delivery) {
        // The live table shows it already.
        if !self.is_live() {
            self.say(&records::line(delivery));
        }
    }

    fn failed(&mut self, text: &str) {
        if self.last_failure != text {
            text.clone_into(&mut self.last_failure);
            self.say(text);
        }
    }

    fn draw(&mut self, deliveries: &[Delivery], missing: &[Missing]) {
        let Some(region) = &mut self.live else { return };
        let (columns, rows) = terminal::size().unwrap_or((80, 24));
        let _ = region.draw(&records::lines(deliveries, missing, Some(columns)), rows);
    }

    fn clear(&mut self) {
        if let Some(region) = &mut self.live {
            let _ = region.clear();
        }
    }
}
