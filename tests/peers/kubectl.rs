//! What people type. Each story runs with both releases of kubectl, each against a server of its own; what kubectl writes is
//! held against what it writes beside a kube-apiserver.

mod access;
mod applying;
mod clusters;
mod draining;
mod explaining;
mod mounting;
mod reading;
mod tokens;
mod writing;

use crate::peer::Peer;
use crate::support::run::{Command, Ended, Run};
use crate::world::World;

/// kubectl beside its server.
pub(crate) struct Kubectl {
    world: World,
    pub(crate) peer: Peer,
}

/// Runs a story with each kubectl and an API server.
fn each_with_server(story: impl Fn(&Kubectl)) {
    each(|peer| World::server(peer, &[]), story);
}

/// Runs a story with each kubectl and a cluster: controllers, a node and drivers.
fn each_with_cluster(manifests: &str, story: impl Fn(&Kubectl)) {
    each(|peer| World::cluster(peer, manifests), story);
}

fn each(world: impl Fn(Peer) -> Option<World>, story: impl Fn(&Kubectl)) {
    for peer in [Peer::Kubectl131, Peer::KubectlLatest] {
        if let Some(world) = world(peer) {
            story(&Kubectl { world, peer });
        }
    }
}

impl Kubectl {
    /// `kubectl` with what stands here as in a shell without quotes: words divided by spaces.
    fn command(&self, typed: &str) -> Command {
        self.world.client(typed.split_whitespace())
    }

    /// Starts it, and leaves it running.
    fn start(&self, typed: &str) -> Run {
        self.command(typed).start()
    }

    /// Runs it; it must end well. Standard output and standard error.
    fn both(&self, typed: &str) -> (String, String) {
        let Ended { code, stdout, stderr } = self.command(typed).run();
        assert_eq!(code, Some(0), "{}: kubectl {typed}\n{stdout}\n{stderr}", self.peer.name());
        (stdout, stderr)
    }

    /// Runs it; it must end well and have nothing to say beside its output.
    #[track_caller]
    fn ok(&self, typed: &str) -> String {
        let (stdout, stderr) = self.both(typed);
        assert_eq!(stderr, "", "{}: kubectl {typed}", self.peer.name());
        stdout
    }

    /// Runs it and compares the output.
    #[track_caller]
    fn says(&self, typed: &str, wanted: &str) {
        assert_eq!(self.ok(typed).trim_end(), wanted.trim_end(), "{}: kubectl {typed}", self.peer.name());
    }

    /// Runs it; it must fail with 1 and this on standard error.
    #[track_caller]
    fn fails(&self, typed: &str, wanted: &str) {
        let Ended { code, stdout, stderr } = self.command(typed).run();
        let name = self.peer.name();
        assert_eq!((stderr.trim_end(), code), (wanted, Some(1)), "{name}: kubectl {typed}\n{stdout}");
    }

    /// Runs it and compares the table that it prints: cells divided by ` | `, ages as `<age>`.
    #[track_caller]
    fn shows(&self, typed: &str, wanted: &[&str]) {
        let text = self.ok(typed);
        assert_eq!(rows(&text), wanted, "{}: kubectl {typed}\n{text}", self.peer.name());
    }

    /// Runs it and reads its output as JSON.
    #[track_caller]
    fn json(&self, typed: &str) -> serde_json::Value {
        let text = self.ok(typed);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("kubectl {typed}: {error}\n{text}"))
    }

    /// What it says when it has deleted an object: the newer release names the namespace too.
    fn deleted(&self, kind: &str, name: &str, namespace: Option<&str>) -> String {
        match namespace {
            Some(namespace) if self.peer == Peer::KubectlLatest => {
                format!("{kind} \"{name}\" deleted from {namespace} namespace")
            }
            _ => format!("{kind} \"{name}\" deleted"),
        }
    }

    /// A file of the test; its path.
    fn file(&self, name: &str, text: &str) -> String {
        self.world.file(name, text)
    }
}

/// The rows of a printed table. The columns begin where the headings do, so that empty cells are seen.
fn rows(text: &str) -> Vec<String> {
    let header: Vec<char> = text.lines().next().unwrap_or_default().chars().collect();
    let starts: Vec<usize> = (0..header.len())
        .filter(|&at| header[at] != ' ' && (at == 0 || (at > 2 && header[at - 3..at] == [' '; 3])))
        .collect();
    let row = |line: &str| {
        let line: Vec<char> = line.chars().collect();
        let cells = starts.iter().enumerate().map(|(index, &start)| {
            let end = starts.get(index + 1).map_or(line.len(), |&next| next.min(line.len()));
            let cell: String = line[start.min(end)..end].iter().collect();
            if is_age(cell.trim()) { "<age>".to_owned() } else { cell.trim().to_owned() }
        });
        cells.collect::<Vec<_>>().join(" | ")
    };
    text.lines().map(row).collect()
}

/// As kubectl shortens durations: `0s`, `2m10s`, `3d`.
fn is_age(cell: &str) -> bool {
    cell.starts_with(|c: char| c.is_ascii_digit())
        && cell.ends_with(['s', 'm', 'h', 'd'])
        && cell.chars().all(|c| c.is_ascii_digit() || "smhd".contains(c))
}

/// A test of the reading of tables: they are what most stories look at.
#[test]
fn tables_are_read_by_their_headings() {
    let text = "NAME   NODE NAME   LABELS   AGE\na                  x=y      3m10s\nbcd    n           <none>   0s\n";
    assert_eq!(
        rows(text),
        ["NAME | NODE NAME | LABELS | AGE", "a |  | x=y | <age>", "bcd | n | <none> | <age>"]
    );
}
