//! `tokenward driver NAME`: a CSI driver in the foreground.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tokenward_driver_token_files::{Config, DriverConfig, Error, log_panics, serve};
use tokenward_transport::BindError;
use tokio_util::sync::CancellationToken;

use crate::args::driver::Driver;
use crate::args::driver::serving::{Registration, ServingConfig};
use crate::args::driver::workload_credentials::WorkloadCredentialsConfig;
use crate::failure::Failure;
use crate::signals::Stop;

mod workload_credentials;

/// The driver that is to be served.
#[derive(Debug)]
pub(crate) enum ChosenDriver {
    TokenFiles(ServingConfig),
    WorkloadCredentials(WorkloadCredentialsConfig),
}

impl Driver {
    pub(crate) fn resolve(self) -> Result<ChosenDriver, Failure> {
        match self {
            Self::TokenFiles(arguments) => arguments.resolve().map(ChosenDriver::TokenFiles),
            Self::WorkloadCredentials(arguments) => {
                arguments.resolve().map(ChosenDriver::WorkloadCredentials)
            }
        }
    }
}

/// Serves until it is told to stop. Volumes stay: the pods that use them go on.
pub(crate) async fn run(config: ChosenDriver) -> Result<(), Failure> {
    log_panics();
    let stop = Stop::on_signals().map_err(Failure::because)?;
    let drain = stop.drain.clone();
    let serving = async {
        match config {
            ChosenDriver::TokenFiles(config) => token_files(on_this_machine(config)?, drain).await,
            ChosenDriver::WorkloadCredentials(config) => {
                let serving = on_this_machine(config.serving)?;
                workload_credentials::run(&config.config, config.kubeconfig, serving, drain).await
            }
        }
    };
    tokio::select! {
        served = serving => served,
        // Dropping the server removes its sockets.
        () = stop.immediate.cancelled() => Ok(()),
    }
}

async fn token_files(driver: DriverConfig, stop: CancellationToken) -> Result<(), Failure> {
    serve(Config::new(driver), stop).await.map_err(cannot_serve)
}

/// How a driver is served on this machine.
fn on_this_machine(config: ServingConfig) -> Result<DriverConfig, Failure> {
    let ServingConfig { name, endpoint, registration, http, node_id, read } = config;
    check_place(endpoint.as_path())?;
    let registration = match registration {
        Registration::In(directory) => Some(registration_directory(&directory)?),
        Registration::InIfPresent(directory) => directory.is_dir().then_some(directory),
        Registration::None => None,
    };
    match &registration {
        Some(directory) => tracing::info!(directory = %directory.display(), "registering"),
        None => tracing::info!("registering with nobody: whoever uses this driver knows its endpoint"),
    }
    let node_id = node_id.map_or_else(host_name, Ok)?;
    let mut driver = DriverConfig::new(name, endpoint, node_id).read(read);
    driver.registration_directory = registration;
    driver.http = http;
    Ok(driver)
}

/// The driver's own directory is made; all above it must be there, or a mistyped path would become a tree.
fn check_place(socket: &Path) -> Result<(), Failure> {
    let directory = socket.parent().unwrap_or(Path::new("/"));
    let above = directory.parent().unwrap_or(directory);
    if directory.is_dir() || above.is_dir() {
        return Ok(());
    }
    Err(Failure::could_not_run(format!(
        "cannot listen at `{}`: there is no directory `{}`",
        socket.display(),
        above.display()
    ))
    .hint("A kubelet or `tokenward node` makes it when it starts; elsewhere make it, or name another socket with --endpoint."))
}

/// The directory as an absolute path: sockets have no others.
fn registration_directory(directory: &Path) -> Result<PathBuf, Failure> {
    let hint =
        "It is plugins_registry in the node's root directory, and the node makes it: start the node first.";
    let found = match std::fs::metadata(directory) {
        Ok(found) if found.is_dir() => return std::path::absolute(directory).map_err(Failure::because),
        Ok(_) => "is no directory".to_owned(),
        Err(error) if error.kind() == ErrorKind::NotFound => "does not exist".to_owned(),
        Err(error) => format!("cannot be looked at: {error}"),
    };
    Err(Failure::could_not_run(format!("--registration-dir: `{}` {found}", directory.display())).hint(hint))
}

fn host_name() -> Result<String, Failure> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() {
        return Err(Failure::could_not_run("this host has no name").hint("Name the node with --node-id."));
    }
    Ok(name)
}

fn cannot_serve(error: Error) -> Failure {
    let hint = match &error {
        Error::Bind { source: BindError::InUse { .. }, .. } => Some(
            "One process serves a driver on a node: stop the other, or give this one its own --name and --endpoint.",
        ),
        Error::Bind { source: BindError::Permission { .. }, .. } => Some(
            "A kubelet's directories belong to root; for a try elsewhere name --endpoint and --registration-dir.",
        ),
        Error::RegistrationPath { .. } => {
            Some("The socket is called NAME-reg.sock: a shorter --registration-dir or --name helps.")
        }
        _ => None,
    };
    let failure = Failure::because(error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::Style;

    #[test]
    fn only_the_last_directory_is_made() {
        let root = tempfile::tempdir().unwrap();
        assert!(check_place(&root.path().join("csi.sock")).is_ok());
        assert!(check_place(&root.path().join("a/csi.sock")).is_ok());
        let text = check_place(&root.path().join("a/b/csi.sock")).unwrap_err().render(Style::plain());
        assert!(
            text.contains(&format!("there is no directory `{}`", root.path().join("a").display())),
            "{text}"
        );
        assert!(check_place(Path::new("/csi.sock")).is_ok());
    }

    #[test]
    fn a_registration_directory_is_the_nodes_to_make() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(registration_directory(root.path()).unwrap(), root.path());
        assert!(registration_directory(Path::new(".")).unwrap().is_absolute());
        let file = root.path().join("file");
        std::fs::write(&file, "").unwrap();
        for (path, expected) in [(file, "is no directory"), (root.path().join("none"), "does not exist")] {
            let text = registration_directory(&path).unwrap_err().render(Style::plain());
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn the_host_has_a_name() {
        assert!(!host_name().unwrap().is_empty());
    }
}
