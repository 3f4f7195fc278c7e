//! Server, node and drivers as processes of their own, which know of each other only what a cluster's parts know: a kubeconfig,
//! a registration directory, a socket. The quickstart goes through them with the credentials that real clusters have: a serving
//! certificate of somebody else's, a node's own identity, users by token and by certificate.

#![expect(clippy::unwrap_used, reason = "a test world that breaks is a failed test")]

#[expect(dead_code, reason = "shared with the end-to-end tests, which use all of it")]
mod support;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::admin::Admin;
use support::place::{Place, files_below, names};
use support::repository;
use support::run::{Run, Signal};
use support::tokens::Canaries;
use tokenward_cluster::kubeconfig::Kubeconfig;
use tokenward_cluster::manifest::{self, Manifest};
use tokenward_cluster::pki::{Authority, Identity};
use tokenward_issuer::{Algorithm, SigningKey};
use tokenward_tokens::Clock;

const NODE: &str = "part-1";
const DRIVERS: [&str; 2] = ["opted-in.csi.example", "not-opted-in.csi.example"];

/// An API server behind a certificate that it was given, with an authority for clients.
struct Server {
    run: Run,
    url: String,
    authority: Authority,
    kubeconfig: PathBuf,
}

impl Server {
    fn start(place: &Place, more: &[&str]) -> Self {
        let authority = Authority::generate(Clock::system().now()).unwrap();
        let serving = authority.server(&[], Clock::system().now()).unwrap();
        let chain = serving.certificate_pem() + &authority.certificate_pem();
        let to_nodes = authority.client("apiserver", Some("system:masters"), Clock::system().now()).unwrap();
        let kubeconfig = place.file("admin");
        let own = [
            "apiserver",
            "--listen=127.0.0.1:0",
            &flag("kubeconfig-out", &kubeconfig),
            &flag("tls-cert-file", &place.write("tls.crt", &chain)),
            &flag("tls-private-key-file", &place.write("tls.key", &serving.expose_key_pem())),
            &flag("client-ca-file", &place.write("ca.crt", &authority.certificate_pem())),
            &flag("kubelet-certificate-authority", &place.file("ca.crt")),
            &flag("kubelet-client-certificate", &place.write("nodes.crt", &to_nodes.certificate_pem())),
            &flag("kubelet-client-key", &place.write("nodes.key", &to_nodes.expose_key_pem())),
        ];
        let run = place.tokenward(own.iter().chain(more)).start();
        let line = run.stderr_line(|line| line.contains("serving the Kubernetes API"));
        let url = line.split("url=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
        Self { run, url, authority, kubeconfig }
    }

    fn stop(self) -> String {
        stop(self.run)
    }
}

/// Server, node and the quickstart's two drivers.
struct Parts {
    place: Place,
    server: Server,
    node: Run,
    drivers: Vec<Run>,
    admin: Admin,
}

impl Parts {
    fn start(read: &str) -> Self {
        let place = Place::new();
        let server = Server::start(&place, &[]);
        let admin = Admin::new(&server.kubeconfig);
        let identity = server.authority.node(NODE, Clock::system().now()).unwrap();
        let serving = server.authority.server(&[NODE.to_owned()], Clock::system().now()).unwrap();
        let kubeconfig = place.file("node-kubeconfig");
        Kubeconfig::new(&server.url, &server.authority, NODE, &identity).write(&kubeconfig).unwrap();
        let root = place.file("n");
        let node = place
            .tokenward([
                "node",
                "--node-name",
                NODE,
                &flag("kubeconfig", &kubeconfig),
                &flag("root-dir", &root),
                "--listen=127.0.0.1:0",
                &flag("client-ca-file", &place.file("ca.crt")),
                &flag("tls-cert-file", &place.write("node.crt", &serving.certificate_pem())),
                &flag("tls-private-key-file", &place.write("node.key", &serving.expose_key_pem())),
            ])
            .start();
        node.stderr_line(|line| line.contains("node registered"));
        let start_driver = |name| {
            let endpoint = flag("endpoint", &root.join("plugins").join(name).join("csi.sock"));
            let registration = flag("registration-dir", &root.join("plugins_registry"));
            let arguments = ["driver", "token-files", "--name", name, "--node-id", NODE, "--read", read];
            place.tokenward(arguments.into_iter().chain([endpoint.as_str(), &registration])).start()
        };
        let drivers: Vec<Run> = DRIVERS.into_iter().map(start_driver).collect();
        for (name, driver) in DRIVERS.iter().zip(&drivers) {
            driver.stderr_line(|line| line.contains("serving") && line.contains(&format!("{name}/csi.sock")));
            admin.wait_for_registration(name);
        }
        let parts = Self { place, server, node, drivers, admin };
        parts.apply_quickstart();
        parts
    }

    /// Nobody schedules or binds here: the pods name the node, and the claims are bound by hand.
    fn apply_quickstart(&self) {
        let manifests = manifest::load(&[repository("examples/quickstart.yaml")]).unwrap();
        for manifest in manifest::in_apply_order(manifests).unwrap() {
            let mut object = Value::Object(manifest.object.clone());
            if manifest.kind.kind == "Pod" {
                object["spec"]["nodeName"] = json!(NODE);
            }
            let created = self.admin.create(&collection(&manifest), &object);
            if manifest.kind.kind == "PersistentVolumeClaim" {
                let volume = format!("/api/v1/persistentvolumes/{}", text(&created, "/spec/volumeName"));
                let reference = json!({
                    "namespace": created["metadata"]["namespace"],
                    "name": created["metadata"]["name"],
                    "uid": created["metadata"]["uid"],
                });
                self.admin.merge_patch(&volume, &json!({"spec": {"claimRef": reference}}));
                let status = format!("{}/{}/status", collection(&manifest), manifest.name);
                self.admin.merge_patch(&status, &json!({"status": {"phase": "Bound"}}));
            }
        }
    }

    fn wait_until_published(&self, pod: &str, volume: &str, driver: &str) {
        self.node.stderr_line(|line| {
            line.contains("volume published")
                && line.contains(&format!("quickstart/{pod}"))
                && line.contains(&format!("volume={volume}"))
                && line.contains(&format!("driver={driver}"))
        });
    }

    /// The files that pods would see: volume and file name, and the token.
    fn delivered(&self) -> Vec<(String, String)> {
        let mut found: Vec<(String, String)> = files_below(&self.place.file("n/pods"))
            .into_iter()
            .filter(|path| path.file_name().is_some_and(|name| name == "vault" || name == "sts.example"))
            .map(|path| {
                let shown = path.display().to_string();
                let volume = shown.split("kubernetes.io~csi/").nth(1).unwrap().split('/').next().unwrap();
                let name = path.file_name().unwrap().to_str().unwrap();
                (format!("{volume} {name}"), fs::read_to_string(&path).unwrap())
            })
            .collect();
        found.sort();
        found
    }

    /// Ends everything, the node first; returns what all of them wrote.
    fn stop(self) -> (Place, String) {
        let mut written = stop(self.node);
        assert_eq!(self.place.mounts(), 0, "the node has unmounted everything");
        for driver in self.drivers {
            written += &stop(driver);
        }
        written += &self.server.stop();
        (self.place, written)
    }
}

fn flag(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap()
}

fn stop(run: Run) -> String {
    run.signal(Signal::TERM);
    let ended = run.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
    ended.stderr
}

fn collection(manifest: &Manifest) -> String {
    let kind = manifest.kind;
    let root = if kind.group.is_empty() { "api" } else { "apis" };
    let namespace = manifest.namespace.as_ref().map_or(String::new(), |name| format!("/namespaces/{name}"));
    format!("/{root}/{}{namespace}/{}", kind.api_version(), kind.plural)
}

fn assert_nothing_is_left(place: &Place) {
    place.assert_nothing_is_left();
    assert_eq!(files_below(&place.file("n")), Vec::<PathBuf>::new());
    assert_eq!(names(&place.file("n/plugins_registry")), Vec::<String>::new());
}

#[test]
fn three_kinds_of_process_deliver_the_quickstarts_tokens() {
    let parts = Parts::start("secrets");
    for (pod, volume, driver) in [
        ("shop", "tokens", DRIVERS[0]),
        ("shop", "old-tokens", DRIVERS[1]),
        ("backup", "backup-tokens", DRIVERS[0]),
        ("backup", "backup-old-tokens", DRIVERS[1]),
    ] {
        parts.wait_until_published(pod, volume, driver);
    }
    let delivered = parts.delivered();
    let volumes: Vec<&str> = delivered.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        volumes,
        [
            "backup-old-tokens vault",
            "backup-tokens sts.example",
            "backup-tokens vault",
            "old-tokens vault",
            "tokens sts.example",
            "tokens vault",
        ]
    );
    let mut canaries = Canaries::default();
    for (name, token) in &delivered {
        let audience = name.split(' ').nth(1).unwrap();
        assert!(parts.admin.is_authenticated(token, audience), "{name}");
        assert!(!parts.admin.is_authenticated(token, "somebody-else"), "{name}");
        canaries.add(token);
    }
    // Server and node know each other by the certificates that they were given.
    assert_eq!(parts.admin.text(&format!("/api/v1/nodes/{NODE}/proxy/healthz")), "ok");
    // No pod that needs a container comes here by itself, and none is said to run.
    let node = parts.admin.get(&format!("/api/v1/nodes/{NODE}"));
    let taint = |key: &str| json!({"key": key, "effect": "NoSchedule"});
    // The second is the server's own for every new node; the controller that takes it off does not run here.
    assert_eq!(
        node["spec"]["taints"],
        json!([taint("tokenward.dev/mounts-only"), taint("node.kubernetes.io/not-ready")])
    );
    let pod = parts.admin.get("/api/v1/namespaces/quickstart/pods/shop");
    assert_eq!(pod["status"]["phase"], "Pending");

    let (place, written) = parts.stop();
    canaries.assert_none_in("what the processes wrote", written.as_bytes());
    assert_nothing_is_left(&place);
}

#[test]
fn an_old_driver_gets_no_tokens_once_its_csi_driver_has_opted_in_and_says_why() {
    let parts = Parts::start("volume-context");
    let message = parts.admin.wait_for_mount_failure("shop", "no service account tokens in volume_context");
    for cause in [
        "either spec.tokenRequests of the CSIDriver lists no audience",
        "or spec.serviceAccountTokenInSecrets is true while this driver cannot read secrets",
    ] {
        assert!(message.contains(cause), "{message}");
    }
    parts.wait_until_published("shop", "old-tokens", DRIVERS[1]);
    parts.wait_until_published("backup", "backup-old-tokens", DRIVERS[1]);
    let volumes: Vec<String> = parts.delivered().into_iter().map(|(name, _)| name).collect();
    assert_eq!(volumes, ["backup-old-tokens vault", "old-tokens vault"]);
    let (place, _) = parts.stop();
    assert_nothing_is_left(&place);
}

/// What a server answers to a user of a kubeconfig who lists secrets: the status code, and its message.
fn list_secrets(place: &Place, server: &Server, user: &str) -> (u16, String) {
    let kubeconfig = format!(
        "{{apiVersion: v1, kind: Config, current-context: c,\n\
         clusters: [{{name: k, cluster: {{server: \"{}\", certificate-authority: ca.crt}}}}],\n\
         contexts: [{{name: c, context: {{cluster: k, user: u}}}}], users: [{{name: u, user: {{{user}}}}}]}}\n",
        server.url
    );
    let path = place.write("user", &kubeconfig);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let kubeconfig = kube::config::Kubeconfig::read_from(path).unwrap();
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
        let client = kube::Client::try_from(config).unwrap();
        let request = http::Request::get("/api/v1/secrets").body(Vec::new()).unwrap();
        match client.request_text(request).await {
            Ok(_) => (200, String::new()),
            Err(kube::Error::Api(status)) => (status.code, status.message.clone()),
            Err(error) => panic!("no answer: {error}"),
        }
    })
}

fn write_identity(place: &Place, name: &str, identity: &Identity) {
    place.write(&format!("{name}.crt"), &identity.certificate_pem());
    place.write(&format!("{name}.key"), &identity.expose_key_pem());
}

#[test]
fn a_server_knows_its_clients_by_static_token_and_by_certificate_and_signs_with_the_given_key() {
    let place = Place::new();
    let users = "root-token,root,1,\"system:masters\"\nalice-token,alice,2\n";
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let server = Server::start(
        &place,
        &[
            &flag("token-auth-file", &place.write("tokens.csv", users)),
            &flag("service-account-signing-key-file", &place.write("sa.key", &key.to_pem().unwrap())),
            "--service-account-issuer=https://issuer.example",
            "--service-account-jwks-uri=https://keys.example/jwks",
        ],
    );
    let now = Clock::system().now();
    write_identity(&place, "masters", &server.authority.admin(now).unwrap());
    write_identity(&place, "nobody", &server.authority.client("bob", None, now).unwrap());

    for user in ["token: root-token", "client-certificate: masters.crt, client-key: masters.key"] {
        assert_eq!(list_secrets(&place, &server, user), (200, String::new()), "{user}");
    }
    for (user, name) in [
        ("token: alice-token", "alice"),
        ("client-certificate: nobody.crt, client-key: nobody.key", "bob"),
        ("", "system:anonymous"),
    ] {
        let (code, message) = list_secrets(&place, &server, user);
        assert_eq!(code, 403, "{message}");
        let refusal = format!("User \"{name}\" cannot list resource \"secrets\"");
        assert!(message.contains(&refusal), "{message}");
    }
    assert_eq!(list_secrets(&place, &server, "token: mallory-token").0, 401);

    let admin = Admin::new(&server.kubeconfig);
    let configuration = admin.get("/.well-known/openid-configuration");
    assert_eq!(configuration["issuer"], "https://issuer.example");
    assert_eq!(configuration["jwks_uri"], "https://keys.example/jwks");
    let keys = admin.get("/openid/v1/jwks");
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    assert_eq!(keys["keys"][0]["kid"], key.verifying_key().public_key().id().as_str());
    // As kube-apiserver: the namespaces of the system are there, and nothing that controllers make.
    assert_eq!(admin.get("/api/v1/namespaces")["items"].as_array().unwrap().len(), 4);
    assert_eq!(admin.get("/api/v1/serviceaccounts")["items"], json!([]));

    let written = server.stop();
    assert!(!written.contains("-token,") && !written.contains("PRIVATE KEY"), "{written}");
    place.assert_nothing_is_left();
}

/// A node's own port on loopback: what `up` serves to others may bear any name, and its signer may be unknown.
#[test]
fn up_takes_the_flags_of_the_server_and_its_nodes_do_not_depend_on_the_certificate() {
    let place = Place::new();
    let authority = Authority::generate(Clock::system().now()).unwrap();
    let serving = authority.client("no-server-at-all", None, Clock::system().now()).unwrap();
    let ended = place
        .tokenward([
            "up",
            "--once",
            "-o",
            "json",
            &flag("apply", &repository("examples/quickstart.yaml")),
            &flag("tls-cert-file", &place.write("tls.crt", &serving.certificate_pem())),
            &flag("tls-private-key-file", &place.write("tls.key", &serving.expose_key_pem())),
            "--service-account-max-token-expiration=1h",
        ])
        .run();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let records: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(records.as_array().unwrap().len(), 4);
    place.assert_nothing_is_left();
}

#[test]
fn what_cannot_run_says_why() {
    let place = Place::new();
    let server = Server::start(&place, &[]);
    let listen = server.url.replace("https://", "--listen=");
    fs::create_dir_all(place.file("kubelet/pod-resources")).unwrap();
    let long = place.file(&"d".repeat(80));
    fs::create_dir(&long).unwrap();
    let socket = place.file("d/csi.sock");
    let driver = ["driver", "token-files", "--name=a.example", &flag("endpoint", &socket)];
    let first = place.tokenward(driver).start();
    first.stderr_line(|line| line.contains("serving"));
    let other_socket = flag("endpoint", &place.file("e/csi.sock"));
    let kubeconfig = flag("kubeconfig", &server.kubeconfig);
    let registered = |directory: &Path| flag("registration-dir", directory);
    for (arguments, expected) in [
        (vec!["apiserver", &listen], "Hint: Another program listens on "),
        (driver.to_vec(), "is in use, another process serves it"),
        (
            vec!["driver", "token-files", &other_socket, &registered(&place.file("none"))],
            "none` does not exist\nHint: It is plugins_registry in the node's root directory",
        ),
        (
            vec!["driver", "token-files", &other_socket, &registered(&long)],
            "Hint: The socket is called NAME-reg.sock: a shorter",
        ),
        (
            vec!["node", "--node-name=a", &kubeconfig, &flag("root-dir", &place.file("kubelet"))],
            "a kubelet seems to own `",
        ),
        (
            vec!["node", "--node-name=a", &flag("kubeconfig", &place.file("tls.key"))],
            "the kubeconfig is no YAML, or not that of a kubeconfig",
        ),
    ] {
        let ended = place.tokenward(&arguments).run();
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
    // The first is none the worse for it.
    assert!(socket.exists());
    stop(first);
    server.stop();
    assert!(!socket.exists());
    place.assert_nothing_is_left();
}
