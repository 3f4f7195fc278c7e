//! A server with a client of others beside it.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokenward_cluster::pki::Authority;
use tokenward_tokens::Clock;

use crate::peer::Peer;
use crate::support::admin::Admin;
use crate::support::place::Place;
use crate::support::run::{Command, Ended, Run, Signal};

/// A running server, and a program that finds it by its KUBECONFIG.
pub(crate) struct World {
    pub(crate) place: Place,
    server: Option<Run>,
    arguments: Vec<String>,
    address: String,
    program: PathBuf,
}

impl World {
    /// `tokenward apiserver`: no controllers, as in kube-apiserver. None, if the client is not there.
    pub(crate) fn server(peer: Peer, flags: &[&str]) -> Option<Self> {
        Self::start(peer, |_| ["apiserver"].iter().chain(flags).map(|&word| word.to_owned()).collect())
    }

    /// The same with a directory that keeps its objects and keys when it is started again.
    pub(crate) fn durable_server(peer: Peer) -> Option<Self> {
        Self::start(peer, |place| {
            vec!["apiserver".to_owned(), format!("--data-dir={}", place.file("data").display())]
        })
    }

    /// `tokenward up` with manifests, when all that they ask for is mounted. None, if the client is not there.
    pub(crate) fn cluster(peer: Peer, manifests: &str) -> Option<Self> {
        let world = Self::start(peer, |place| {
            let file = place.write("manifests.yaml", manifests);
            vec!["up".to_owned(), "--wait".to_owned(), format!("--apply={}", file.display())]
        })?;
        world.server.as_ref().unwrap().ready();
        Some(world)
    }

    /// The name of a node that may join a [`World::cluster_with_node_identity`], and the bearer token by which it is known.
    pub(crate) const NODE: &str = "mounts-1";
    pub(crate) const NODE_TOKEN: &str = "the-token-of-a-node-that-joins";

    /// `tokenward up` that another node may join, with a certificate for it in `node.crt` and `node.key`; nodes publish when there is
    /// something to tell. None, if the client is not there.
    pub(crate) fn cluster_with_node_identity(peer: Peer) -> Option<Self> {
        let world = Self::start(peer, |place| {
            let now = Clock::system().now();
            let authority = Authority::generate(now).unwrap();
            let serving = authority.server(&[Self::NODE.to_owned()], now).unwrap();
            let vouches = place.write("nodes-ca.crt", &authority.certificate_pem());
            place.write("node.crt", &serving.certificate_pem());
            place.write("node.key", &serving.expose_key_pem());
            let user = format!("{},system:node:{},1,system:nodes\n", Self::NODE_TOKEN, Self::NODE);
            let users = place.write("users.csv", &user);
            vec![
                "up".to_owned(),
                "--wait".to_owned(),
                "--republish=on-change".to_owned(),
                format!("--token-auth-file={}", users.display()),
                format!("--kubelet-certificate-authority={}", vouches.display()),
            ]
        })?;
        world.server.as_ref().unwrap().ready();
        Some(world)
    }

    /// Where the nodes of a cluster have their directories.
    pub(crate) fn nodes_below(&self) -> PathBuf {
        let line = self.server.as_ref().unwrap().stderr_line(|line| line.starts_with("nodes below "));
        line.trim_start_matches("nodes below ").into()
    }

    fn start(peer: Peer, arguments: impl FnOnce(&Place) -> Vec<String>) -> Option<Self> {
        let program = peer.find()?;
        let place = Place::new();
        let mut arguments = arguments(&place);
        arguments.push(format!("--kubeconfig-out={}", place.file("kubeconfig").display()));
        let mut world = Self { place, server: None, arguments, address: "127.0.0.1:0".to_owned(), program };
        world.resume();
        Some(world)
    }

    /// Starts the server, or starts it again: at the same address, with the same flags.
    fn resume(&mut self) {
        let listen = format!("--listen={}", self.address);
        let server = self.place.tokenward(self.arguments.iter().chain([&listen])).start();
        let line = server.stderr_line(|line| line.contains("https://"));
        let address = line.split("https://").nth(1).and_then(|rest| rest.split('"').next());
        self.address = address.unwrap().to_owned();
        self.server = Some(server);
    }

    /// Kills the server, and starts it again as it was.
    pub(crate) fn kill_and_resume(&mut self) {
        let server = self.server.take().unwrap();
        server.signal(Signal::KILL);
        assert_eq!(server.wait().code, None);
        self.resume();
    }

    /// The client with these arguments.
    pub(crate) fn client<S: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        let files = self.place.file("");
        // kubectl keeps its discovery cache in HOME.
        let environment: [(&str, &Path); 3] =
            [("HOME", &files), ("TMPDIR", &files), ("KUBECONFIG", &files.join("kubeconfig"))];
        Command::of(&self.program, &environment, arguments)
    }

    /// The same, run until it has ended well; what it wrote to standard output as lines of JSON.
    pub(crate) fn told<S: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Vec<Value> {
        let ended = self.client(arguments).run();
        assert_eq!(ended.code, Some(0), "{}\n{}", ended.stdout, ended.stderr);
        lines(&ended)
    }

    /// The administrator, to change things behind the client's back.
    pub(crate) fn admin(&self) -> Admin {
        Admin::new(&self.place.file("kubeconfig"))
    }

    /// A file of the test.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        self.place.write(name, text).display().to_string()
    }
}

/// What a client told, as lines of JSON.
pub(crate) fn lines(ended: &Ended) -> Vec<Value> {
    ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The lines that tell of an event of this name.
pub(crate) fn with_event<'a>(told: &'a [Value], event: &str) -> Vec<&'a Value> {
    told.iter().filter(|line| line["event"] == event).collect()
}

/// A file beside the tests.
pub(crate) fn beside(path: &str) -> String {
    crate::support::repository(&Path::new("tests/peers").join(path).display().to_string())
        .display()
        .to_string()
}
