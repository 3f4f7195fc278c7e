//! A cluster that is killed and started again on its data directory: objects, tokens, certificates and kubeconfigs stay good.
//! Without that `--data-dir` would keep objects that nobody could reach any more.

#![expect(clippy::unwrap_used, reason = "a test world that breaks is a failed test")]

#[expect(dead_code, reason = "shared with the end-to-end tests, which use all of it")]
mod support;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;
use support::admin::Admin;
use support::place::{Place, files_below};
use support::repository;
use support::run::{Run, Signal};
use tokenward_cluster::pki::Authority;
use tokenward_tokens::Clock;

const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";
const DRIVERS: &str = "/apis/storage.k8s.io/v1/csidrivers";
const FIELD: &str = "serviceAccountTokenInSecrets";

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

fn flag(name: &str, value: impl AsRef<Path>) -> String {
    format!("--{name}={}", value.as_ref().display())
}

fn serve(place: &Place, more: &[String]) -> (Run, PathBuf) {
    let kubeconfig = place.file("admin");
    let own = ["apiserver".to_owned(), flag("kubeconfig-out", &kubeconfig)];
    let run = place.tokenward(own.iter().chain(more)).start();
    run.stderr_line(|line| line.contains("serving the Kubernetes API"));
    (run, kubeconfig)
}

#[test]
fn a_killed_server_comes_back_with_its_objects_and_its_credentials() {
    let place = Place::new();
    let data = place.file("data");
    let arguments = [flag("data-dir", &data), format!("--listen=127.0.0.1:{}", free_port())];
    let (run, kubeconfig) = serve(&place, &arguments);
    let first_kubeconfig = place.write("first", &fs::read_to_string(kubeconfig).unwrap());
    let admin = Admin::new(&first_kubeconfig);
    let account = admin.create(ACCOUNTS, &json!({"metadata": {"name": "web"}}));
    let doomed = admin.create(ACCOUNTS, &json!({"metadata": {"name": "doomed"}}));
    let request = json!({"spec": {"audiences": ["vault"]}});
    let token = admin.create(&format!("{ACCOUNTS}/web/token"), &request);
    let token = token["status"]["token"].as_str().unwrap().to_owned();
    assert!(admin.is_authenticated(&token, "vault"));
    admin.request(http::Request::delete(format!("{ACCOUNTS}/doomed")));
    let keys = admin.text("/openid/v1/jwks");
    run.signal(Signal::KILL);
    run.wait();

    let (run, _) = serve(&place, &arguments);
    // The client of before, with the kubeconfig of before.
    assert_eq!(admin.get(&format!("{ACCOUNTS}/web")), account);
    assert_eq!(Admin::new(&first_kubeconfig).text("/openid/v1/jwks"), keys);
    assert!(admin.is_authenticated(&token, "vault"));
    let later = admin.create(ACCOUNTS, &json!({"metadata": {"name": "later"}}));
    let revision = |object: &serde_json::Value| -> u64 {
        object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
    };
    assert!(revision(&later) > revision(&doomed) + 1, "the revision of the deletion is not given again");

    // Nobody else may have the directory meanwhile, and everything in it is its owner's alone.
    let second = place.tokenward(["apiserver", "--listen=127.0.0.1:0", &arguments[0]]).run();
    assert_eq!(second.code, Some(2));
    assert!(second.stderr.contains("is in use by process"), "{}", second.stderr);
    for file in files_below(&data) {
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }

    run.signal(Signal::TERM);
    assert_eq!(run.wait().code, Some(0));
    // A record that was not finished is cut off, and said.
    let log = newest_log(&data);
    let mut content = fs::read(&log).unwrap();
    content.extend_from_slice(b"half a record");
    fs::write(&log, content).unwrap();
    let (run, _) = serve(&place, &arguments);
    assert_eq!(admin.get(&format!("{ACCOUNTS}/later")), later);
    run.signal(Signal::TERM);
    let ended = run.wait();
    assert!(ended.stderr.contains("it was cut off"), "{}", ended.stderr);
    assert!(!ended.stderr.contains(&token));

    // A directory that cannot be used ends the command with what to do.
    for (content, expected) in [
        (
            b"#!/bin/sh\necho something else entirely, of 36 bytes or more".to_vec(),
            "it is no file of this store",
        ),
        ([b"tokenwrd\x09".to_vec(), vec![0; 60]].concat(), "its format has version 9"),
    ] {
        fs::write(newest_log(&data), content).unwrap();
        let refused = place.tokenward(["apiserver", "--listen=127.0.0.1:0", &arguments[0]]).run();
        assert_eq!(refused.code, Some(2));
        assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    }
    let foreign =
        place.tokenward(["apiserver", "--listen=127.0.0.1:0", &flag("data-dir", place.file(""))]).run();
    assert_eq!(foreign.code, Some(2));
    assert!(foreign.stderr.contains("which is not tokenward's"), "{}", foreign.stderr);
}

fn newest_log(data: &Path) -> PathBuf {
    let logs = files_below(data)
        .into_iter()
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log-")));
    logs.max().unwrap()
}

#[test]
fn a_killed_run_is_taken_up_again_by_the_same_command() {
    let place = Place::new();
    let quickstart = repository("examples/quickstart.yaml");
    let arguments = [
        "up".to_owned(),
        "--wait".to_owned(),
        flag("apply", quickstart),
        flag("data-dir", place.file("data")),
        flag("root-dir", place.file("root")),
    ];
    let run = place.tokenward(&arguments).start();
    run.ready();
    run.signal(Signal::KILL);
    run.wait();
    let run = place.tokenward(&arguments).start();
    run.ready();
    run.signal(Signal::TERM);
    let ended = run.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("pod quickstart/shop unchanged"), "{}", ended.stderr);
    place.assert_nothing_is_left();
}

/// Two releases as two processes over one etcd.
#[test]
fn an_older_server_over_the_same_etcd_loses_the_field_at_its_next_write() {
    let place = Place::new();
    let Some(etcd) = Etcd::start(&place) else { return };
    let over_etcd = |version: &str| {
        [
            format!("--etcd={}", etcd.url),
            format!("--kubernetes-version={version}"),
            "--listen=127.0.0.1:0".to_owned(),
        ]
    };
    let (newer, kubeconfig) = serve(&place, &over_etcd("1.35"));
    let newer_admin = Admin::new(&kubeconfig);
    let spec = json!({"tokenRequests": [{"audience": "vault"}], FIELD: true});
    newer_admin.create(DRIVERS, &json!({"metadata": {"name": "d"}, "spec": spec}));
    let (older, kubeconfig) = serve(&place, &over_etcd("1.34"));
    let older_admin = Admin::new(&kubeconfig);
    let path = format!("{DRIVERS}/d");
    assert!(older_admin.get(&path)["spec"].get(FIELD).is_none());
    assert_eq!(newer_admin.get(&path)["spec"][FIELD], true, "reading loses nothing");
    let patched = older_admin.merge_patch(&path, &json!({"metadata": {"labels": {"a": "b"}}}));
    let version = patched["metadata"]["resourceVersion"].clone();
    let limit = Instant::now() + support::LIMIT;
    let mut seen = newer_admin.get(&path);
    while seen["metadata"]["resourceVersion"] != version {
        assert!(Instant::now() < limit, "the older server's write is not seen");
        seen = newer_admin.get(&path);
    }
    assert!(seen["spec"].get(FIELD).is_none());
    for run in [newer, older] {
        run.signal(Signal::TERM);
        assert_eq!(run.wait().code, Some(0));
    }
}

/// etcd's certificates and ours are replaced as files, while the server serves.
#[test]
fn certificates_for_etcd_are_replaced_under_a_running_server() {
    let place = Place::new();
    let now = Clock::system().now();
    let first = Authority::generate(now).unwrap();
    let Some(mut etcd) = Etcd::start_with(&place, Some(&first)) else { return };
    let write = |name: &str, text: &str| fs::rename(place.write("next", text), place.file(name)).unwrap();
    let replace = |authority: &Authority| {
        let client = authority.client("api", None, now).unwrap();
        write("etcd-ca.pem", &authority.certificate_pem());
        write("etcd-client.pem", &client.certificate_pem());
        write("etcd-client.key", &client.expose_key_pem());
    };
    replace(&first);
    let arguments = [
        format!("--etcd={}", etcd.url),
        flag("etcd-cafile", place.file("etcd-ca.pem")),
        flag("etcd-certfile", place.file("etcd-client.pem")),
        flag("etcd-keyfile", place.file("etcd-client.key")),
        "--listen=127.0.0.1:0".to_owned(),
    ];
    let (run, kubeconfig) = serve(&place, &arguments);
    let admin = Admin::new(&kubeconfig);
    admin.create(ACCOUNTS, &json!({"metadata": {"name": "before"}}));

    write("etcd-client.pem", "nothing");
    let line = run.stderr_line(|line| line.contains("certificates for etcd are kept as they were"));
    assert!(line.contains("--etcd-certfile: `"), "{line}");
    admin.create(ACCOUNTS, &json!({"metadata": {"name": "meanwhile"}}));

    let second = Authority::generate(now).unwrap();
    etcd.restart(&place, Some(&second));
    run.stderr_line(|line| line.contains("etcd does not answer"));
    replace(&second);
    run.stderr_line(|line| line.contains("etcd is spoken to with other certificates from now on"));
    run.stderr_line(|line| line.contains("etcd answers again"));
    admin.create(ACCOUNTS, &json!({"metadata": {"name": "after"}}));
    for name in ["before", "meanwhile", "after"] {
        assert_eq!(admin.get(&format!("{ACCOUNTS}/{name}"))["metadata"]["name"], name);
    }
    run.signal(Signal::TERM);
    assert_eq!(run.wait().code, Some(0));
}

/// A real etcd; none when the test is left out.
struct Etcd {
    program: PathBuf,
    run: Run,
    url: String,
    peer_url: String,
}

impl Etcd {
    fn start(place: &Place) -> Option<Self> {
        Self::start_with(place, None)
    }

    /// With an authority it is for those alone who have a certificate of it.
    #[expect(clippy::print_stderr, reason = "whoever runs the tests has to know what was left out")]
    fn start_with(place: &Place, authority: Option<&Authority>) -> Option<Self> {
        let on_path = || {
            let path = std::env::var_os("PATH")?;
            std::env::split_paths(&path).map(|path| path.join("etcd")).find(|path| path.is_file())
        };
        let Some(program) = std::env::var_os("TOKENWARD_ETCD").map(PathBuf::from).or_else(on_path) else {
            let required = std::env::var("TOKENWARD_PEERS").as_deref() == Ok("required");
            assert!(!required, "wanted etcd, found none: install it, or name it in TOKENWARD_ETCD");
            eprintln!("left out: no etcd on the PATH and none named in TOKENWARD_ETCD");
            return None;
        };
        let scheme = if authority.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://127.0.0.1:{}", free_port());
        let peer_url = format!("http://127.0.0.1:{}", free_port());
        let run = Self::run(&program, place, [&url, &peer_url], authority);
        Some(Self { program, run, url, peer_url })
    }

    /// On the same data and the same ports.
    fn restart(&mut self, place: &Place, authority: Option<&Authority>) {
        self.run.signal(Signal::KILL);
        let limit = Instant::now() + support::LIMIT;
        while self.run.is_running() {
            assert!(Instant::now() < limit, "etcd survives its end");
            std::thread::yield_now();
        }
        self.run = Self::run(&self.program, place, [&self.url, &self.peer_url], authority);
    }

    fn run(program: &Path, place: &Place, [url, peer]: [&str; 2], authority: Option<&Authority>) -> Run {
        let mut arguments = vec![
            flag("data-dir", place.file("etcd")),
            format!("--listen-client-urls={url}"),
            format!("--advertise-client-urls={url}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
        ];
        if let Some(authority) = authority {
            let server = authority.server(&[], Clock::system().now()).unwrap();
            for (name, file, text) in [
                ("trusted-ca-file", "server-ca.pem", authority.certificate_pem()),
                ("cert-file", "server.pem", server.certificate_pem()),
                ("key-file", "server.key", server.expose_key_pem().to_string()),
            ] {
                arguments.push(flag(name, place.write(file, &text)));
            }
            arguments.push("--client-cert-auth".to_owned());
        }
        let run = support::run::Command::of(program, &[], arguments).start();
        run.stderr_line(|line| line.contains("ready to serve client requests"));
        run
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.run.signal(Signal::KILL);
    }
}
