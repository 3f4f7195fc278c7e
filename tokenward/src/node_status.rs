//! `tokenward node status`: how a node on this machine stands, or each node of a `tokenward up`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use comfy_table::{Table, presets};
use jiff::Timestamp;
use tokenward_cluster::root_directory::node_directories;
use tokenward_node::status::socket::{self, AskError};
use tokenward_node::status::{NodeStatus, VolumeState};

use crate::failure::Failure;
use crate::records::OutputFormat;

/// Asks the node, or the nodes, and prints what they say.
pub(crate) async fn run(root_dir: PathBuf, output: OutputFormat) -> Result<(), Failure> {
    let root_dir = std::path::absolute(&root_dir).unwrap_or(root_dir);
    let statuses = ask(&root_dir).await.map_err(cannot_ask)?;
    let texts: Vec<String> = match output {
        OutputFormat::Table => statuses.iter().map(table).collect(),
        OutputFormat::Json => statuses.iter().map(json).collect(),
    };
    let text = texts.join(match output {
        OutputFormat::Table => "\n",
        OutputFormat::Json => "",
    });
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(Failure::output)
}

/// The status of the node with this root directory; if there is none, of those below it, as `tokenward up` has them.
async fn ask(root_dir: &Path) -> Result<Vec<NodeStatus>, AskError> {
    let nobody = match socket::ask(root_dir).await {
        Ok(status) => return Ok(vec![status]),
        Err(nobody @ AskError::NoNode { .. }) => nobody,
        Err(error) => return Err(error),
    };
    let mut statuses = Vec::new();
    for directory in node_directories(root_dir).unwrap_or_default() {
        match socket::ask(&directory).await {
            Ok(status) => statuses.push(status),
            // It has just ended, or is about to start.
            Err(AskError::NoNode { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    if statuses.is_empty() { Err(nobody) } else { Ok(statuses) }
}

fn cannot_ask(error: AskError) -> Failure {
    let hint = match &error {
        AskError::NoNode { .. } => {
            "Name the directory that `tokenward node` was started with, or that `tokenward up` tells: --root-dir DIR."
        }
        AskError::Permission { .. } => "Ask as the user that the node runs as.",
        AskError::Answer => "Ask with the tokenward that the node was started with.",
        AskError::Path(_) | AskError::Exchange(_) => return Failure::because(error),
    };
    Failure::because(error).hint(hint)
}

fn json(status: &NodeStatus) -> String {
    let mut text = serde_json::to_string_pretty(status).expect("a status has only string keys");
    text.push('\n');
    text
}

fn table(status: &NodeStatus) -> String {
    let mut drivers = plain(["DRIVER", "VERSION", "REPUBLISH", "VOLUMES", "ENDPOINT"]);
    for driver in &status.drivers {
        let republish = match driver.requires_republish {
            Some(true) => "yes",
            Some(false) => "no",
            None => "no CSIDriver",
        };
        let volumes = driver.volumes.to_string();
        drivers.add_row([&driver.name, &driver.version, republish, &volumes, &driver.endpoint]);
    }
    let mut volumes = plain([
        "NAMESPACE",
        "POD",
        "VOLUME",
        "DRIVER",
        "STATE",
        "PLACEMENT",
        "AUDIENCES",
        "EXPIRES",
        "NEXT REFRESH",
        "NEXT PUBLISH",
    ]);
    let mut problems = Vec::new();
    for volume in &status.volumes {
        let dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
        volumes.add_row([
            volume.namespace.clone(),
            volume.pod.clone(),
            volume.volume.clone(),
            dash(volume.driver.clone()),
            volume.state.as_str().to_owned(),
            dash(volume.placement.clone().unwrap_or_default()),
            dash(audiences(&volume.audiences)),
            time(volume.expires),
            time(volume.next_refresh),
            time(volume.next_publish),
        ]);
        if let Some(problem) = &volume.problem {
            problems.push(format!("{}/{} {}: {problem}", volume.namespace, volume.pod, volume.volume));
        }
    }
    let waiting = status.volumes.iter().filter(|volume| volume.state == VolumeState::Waiting).count();
    let mut lines = vec![format!(
        "node {}: {} drivers, {} volumes ({waiting} waiting), {} tokens in memory",
        status.node,
        status.drivers.len(),
        status.volumes.len(),
        status.tokens
    )];
    let tables = [(!status.drivers.is_empty(), drivers), (!status.volumes.is_empty(), volumes)];
    for (_, table) in tables.into_iter().filter(|(has_rows, _)| *has_rows) {
        lines.push(String::new());
        lines.extend(table.lines().map(|line| line.trim_end().to_owned()));
    }
    if !problems.is_empty() {
        lines.push(String::new());
        lines.extend(problems);
    }
    lines.join("\n") + "\n"
}

fn plain<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

/// The empty audience stands for the API server's own.
fn audiences(audiences: &[String]) -> String {
    let shown = |audience: &String| if audience.is_empty() { "\"\"".to_owned() } else { audience.clone() };
    audiences.iter().map(shown).collect::<Vec<_>>().join(",")
}

fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use tokenward_node::status::{DriverStatus, VolumeStatus};

    use super::*;

    #[test]
    fn a_status_is_a_table_of_drivers_and_one_of_volumes() {
        let at = |text: &str| Some(text.parse().unwrap());
        let volume = VolumeStatus {
            namespace: "shop".into(),
            pod: "web".into(),
            volume: "tokens".into(),
            driver: "files.example".into(),
            state: VolumeState::Mounted,
            placement: Some("secrets".into()),
            audiences: vec!["vault".into(), String::new()],
            expires: at("2026-03-01T12:10:00Z"),
            next_refresh: at("2026-03-01T12:07:31.5Z"),
            next_publish: None,
            problem: None,
        };
        let waiting = VolumeStatus {
            pod: "api".into(),
            driver: String::new(),
            state: VolumeState::Waiting,
            placement: None,
            audiences: Vec::new(),
            expires: None,
            next_refresh: None,
            problem: Some("PVC is not bound".into()),
            ..volume.clone()
        };
        let driver = DriverStatus {
            name: "files.example".into(),
            endpoint: "/run/files.sock".into(),
            version: "1.0.0".into(),
            requires_republish: Some(true),
            volumes: 1,
        };
        let status = NodeStatus {
            node: "node-1".into(),
            drivers: vec![driver],
            volumes: vec![waiting, volume],
            tokens: 2,
        };
        assert_eq!(
            table(&status),
            "\
node node-1: 1 drivers, 2 volumes (1 waiting), 2 tokens in memory

DRIVER         VERSION  REPUBLISH  VOLUMES  ENDPOINT
files.example  1.0.0    yes        1        /run/files.sock

NAMESPACE  POD  VOLUME  DRIVER         STATE    PLACEMENT  AUDIENCES  EXPIRES               NEXT REFRESH          NEXT PUBLISH
shop       api  tokens  -              waiting  -          -          -                     -                     -
shop       web  tokens  files.example  mounted  secrets    vault,\"\"   2026-03-01T12:10:00Z  2026-03-01T12:07:31Z  -

shop/api tokens: PVC is not bound
"
        );
    }

    #[tokio::test]
    async fn where_no_node_runs_that_is_said() {
        let root = tempfile::tempdir().unwrap();
        let failure = run(root.path().to_owned(), OutputFormat::Table).await.unwrap_err();
        let text = failure.render(crate::terminal::Style::plain());
        assert!(text.contains("no node runs with the root directory"), "{text}");
        assert!(text.contains("Hint: Name the directory"), "{text}");
    }
}
