//! A real etcd for one test.
//!
//! Its program is `$TOKENWARD_ETCD`, or `etcd` on the `PATH`. Without one the tests that need it say so and pass, unless
//! `TOKENWARD_PEERS=required`.

use std::env;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;
use tokenward_store::{EtcdEndpoint, EtcdOptions, EtcdTls, Layout, Store, Unstamped};

pub(crate) struct EtcdServer {
    program: PathBuf,
    directory: TempDir,
    client_port: u16,
    peer_port: u16,
    process: Option<Child>,
    /// With an authority it is spoken to with certificates of it, and not without.
    authority: Option<Box<Authority>>,
}

/// An authority of servers and clients.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn sign(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// The certificate and the key of a client.
    pub(crate) fn client(&self, name: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let (certificate, key) = self.sign(name);
        (vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
    }
}

/// The program, if there is one.
fn program() -> Option<PathBuf> {
    if let Some(path) = env::var_os("TOKENWARD_ETCD") {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "TOKENWARD_ETCD names {}, which is no file", path.display());
        return Some(path);
    }
    env::split_paths(&env::var_os("PATH")?).map(|path| path.join("etcd")).find(|path| path.is_file())
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

impl EtcdServer {
    /// A running server with nothing in it; none when the tests that need it are left out.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with(None).await
    }

    /// The same behind TLS: with a certificate of the authority, for those alone who have one too.
    pub(crate) async fn start_with_tls() -> Option<Self> {
        Self::start_with(Some(Box::new(Authority::new()))).await
    }

    #[expect(clippy::print_stderr, reason = "whoever runs the tests has to know what was left out")]
    async fn start_with(authority: Option<Box<Authority>>) -> Option<Self> {
        let Some(program) = program() else {
            assert!(
                env::var("TOKENWARD_PEERS").as_deref() != Ok("required"),
                "wanted etcd, found none: install it, or name it in TOKENWARD_ETCD"
            );
            eprintln!("left out: no etcd on the PATH and none named in TOKENWARD_ETCD");
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let (client_port, peer_port) = (free_port(), free_port());
        let mut server = Self { program, directory, client_port, peer_port, process: None, authority };
        server.run().await;
        Some(server)
    }

    pub(crate) fn endpoint(&self) -> EtcdEndpoint {
        self.client_url().parse().unwrap()
    }

    fn client_url(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.client_port)
    }

    /// Where it listens for clients.
    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.client_port).into()
    }

    /// Lets it and its clients have certificates of another authority when it is started again.
    pub(crate) fn change_authority(&mut self) {
        self.authority = Some(Box::new(Authority::new()));
    }

    pub(crate) fn authority(&self) -> &Authority {
        self.authority.as_deref().expect("a server behind TLS")
    }

    /// Options for tests: short times, the tests' own encodings.
    pub(crate) fn options(&self, root: &str) -> EtcdOptions {
        let layout = Layout::new(root, [("pods", "pods"), ("nodes", "minions")]);
        let decode = |_: &_, bytes: &[u8]| {
            let stamp_at = usize::from(bytes.first() == Some(&b'<'));
            (bytes != b"unreadable").then(|| Unstamped::new(bytes.to_vec(), stamp_at))
        };
        let mut options = EtcdOptions::new(vec![self.endpoint()], layout, decode);
        options.tls = self.authority.as_ref().map(|authority| {
            EtcdTls::new(vec![authority.certificate()], Some(authority.client("tests"))).unwrap()
        });
        options.timeout = Duration::from_secs(5);
        options.compact_every = None;
        options
    }

    /// Starts it, or starts it again on the same data, and waits until it answers.
    pub(crate) async fn run(&mut self) {
        let client = self.client_url();
        let peer = format!("http://127.0.0.1:{}", self.peer_port);
        let mut command = Command::new(&self.program);
        if let Some(authority) = &self.authority {
            let (certificate, key) = authority.sign("127.0.0.1");
            for (flag, name, text) in [
                ("--trusted-ca-file", "ca.pem", authority.0.pem()),
                ("--cert-file", "server.pem", certificate.pem()),
                ("--key-file", "server.key", key.serialize_pem()),
            ] {
                let path = self.directory.path().join(name);
                fs::write(&path, text).unwrap();
                command.arg(flag).arg(path);
            }
            command.arg("--client-cert-auth");
        }
        let process = command
            .arg("--data-dir")
            .arg(self.directory.path().join("etcd"))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("default={peer}"), "--log-level", "error"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.process = Some(process);
        let address = self.address();
        let listening = tokio::time::timeout(Duration::from_secs(60), async {
            while tokio::net::TcpStream::connect(address).await.is_err() {
                let ended = self.process.as_mut().and_then(|process| process.try_wait().unwrap());
                assert!(ended.is_none(), "etcd has ended: {ended:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            // It listens before it has elected itself.
            while Store::etcd(self.options("/anything"), |_, _| ()).await.is_err() {}
        });
        listening.await.expect("an etcd that answers within a minute");
    }

    /// Lets it listen elsewhere when it is started again; gives where it has listened.
    pub(crate) fn change_port(&mut self) -> u16 {
        std::mem::replace(&mut self.client_port, free_port())
    }

    pub(crate) fn set_port(&mut self, port: u16) {
        self.client_port = port;
    }

    /// A stop is waited for: until the last thread has heard of it, writes may still succeed.
    pub(crate) fn signal(&self, signal: Signal) {
        let process = Pid::from_child(self.process.as_ref().expect("a running etcd"));
        kill_process(process, signal).unwrap();
        if signal == Signal::STOP {
            let (_, status) = waitpid(Some(process), WaitOptions::UNTRACED).unwrap().expect("its own child");
            assert!(status.stopped(), "{status:?}");
        }
    }

    /// As `kill -9`, and all that it has kept is lost.
    pub(crate) fn kill_and_forget(&mut self) {
        self.kill();
        fs::remove_dir_all(self.directory.path().join("etcd")).unwrap();
    }

    /// As `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

impl Drop for EtcdServer {
    fn drop(&mut self) {
        self.kill();
    }
}
