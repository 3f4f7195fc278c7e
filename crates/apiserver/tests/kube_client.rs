//! kube-rs, unchanged, over HTTPS: what works with a real cluster works here.
#![expect(clippy::unwrap_used, reason = "functions of a test outside #[test]")]

use std::io;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{Stream, TryStreamExt};
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use k8s_openapi::api::authentication::v1::{
    BoundObjectReference, TokenRequest, TokenRequestSpec, TokenReview,
};
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use k8s_openapi::api::storage::v1::CSIDriver;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::AuthInfo;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Config as ClientConfig};
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokenward_apiserver::{ApiServer, Config, Index, ServeError, StaticTokens, TlsConfig, User, serve};
use tokenward_issuer::{Algorithm, IssuerConfig, SigningKey};
use tokenward_kube_rules::{FeatureGates, Release};
use tokenward_store::{HistoryLimits, Store};
use tokenward_tokens::Clock;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_secs(30);

/// A certificate authority of a test.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.distinguished_name.push(DnType::CommonName, "an authority");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn server(&self) -> TlsConfig {
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        TlsConfig {
            certificates: vec![certificate.der().clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            client_authorities: vec![self.certificate.clone()],
        }
    }

    /// Credentials as a kubeconfig has them.
    fn client(&self, user: &str, group: &str) -> AuthInfo {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, user);
        params.distinguished_name.push(DnType::OrganizationName, group);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        serde_json::from_value(json!({
            "client-certificate-data": STANDARD.encode(certificate.pem()),
            "client-key-data": STANDARD.encode(key.serialize_pem()),
        }))
        .unwrap()
    }
}

fn bearer(token: &str) -> AuthInfo {
    serde_json::from_value(json!({"token": token})).unwrap()
}

/// A server behind HTTPS. Its store and its authority outlive a restart.
struct Cluster {
    authority: Authority,
    store: Store<Index>,
    server: ApiServer,
    port: u16,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), ServeError>>,
}

impl Cluster {
    async fn start() -> Self {
        let limits = HistoryLimits { events: NonZeroUsize::new(8).unwrap(), bytes: 1 << 20 };
        let store = Store::memory_with_limits(limits, Index::of);
        let issuer =
            Arc::new(tokenward_issuer::Issuer::new(IssuerConfig::new(["https://issuer.example"]).unwrap()));
        issuer.set_signing_key(SigningKey::generate(Algorithm::Rs256).unwrap());
        let gates = FeatureGates::for_release(Release::V1_35);
        let mut config = Config::new(gates, store.clone(), issuer, Clock::system());
        config.static_tokens = StaticTokens::parse("static-canary,operator,1,\"system:masters\"").unwrap();
        let server = ApiServer::new(config);
        server.establish_default_roles().await.unwrap();
        server.establish_system_priorities().await.unwrap();
        let authority = Authority::new();
        let (port, stop, serving) = listen(&server, &authority, 0).await;
        Self { authority, store, server, port, stop, serving }
    }

    /// Stops serving, lets `meanwhile` happen, and serves again at the same place.
    async fn restart(&mut self, meanwhile: impl Future<Output = ()>) {
        self.stop.cancel();
        tokio::time::timeout(LIMIT, &mut self.serving).await.unwrap().unwrap().unwrap();
        meanwhile.await;
        (self.port, self.stop, self.serving) = listen(&self.server, &self.authority, self.port).await;
    }

    fn client(&self, auth: AuthInfo) -> Client {
        self.client_trusting(&self.authority, auth)
    }

    fn client_trusting(&self, authority: &Authority, auth: AuthInfo) -> Client {
        let mut config = ClientConfig::new(format!("https://127.0.0.1:{}", self.port).parse().unwrap());
        config.root_cert = Some(vec![authority.certificate.to_vec()]);
        config.auth_info = auth;
        Client::try_from(config).unwrap()
    }

    fn admin(&self) -> Client {
        self.client(self.authority.client("admin", "system:masters"))
    }

    /// The same administrator without a wire between.
    fn inside(&self) -> tokenward_apiserver::Client {
        self.server.client(User::authenticated("admin", ["system:masters".to_owned()]))
    }
}

async fn listen(
    server: &ApiServer,
    authority: &Authority,
    port: u16,
) -> (u16, CancellationToken, JoinHandle<Result<(), ServeError>>) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(server.clone(), listener, authority.server(), stop.clone()));
    (port, stop, serving)
}

fn typed<T: serde::de::DeserializeOwned>(object: Value) -> T {
    serde_json::from_value(object).unwrap()
}

fn driver(name: &str) -> CSIDriver {
    typed(json!({"metadata": {"name": name}, "spec": {"tokenRequests": [{"audience": "vault"}]}}))
}

fn code(error: &kube::Error) -> u16 {
    match error {
        kube::Error::Api(status) => status.code,
        other => panic!("wanted an answer of the server, found {other}"),
    }
}

#[tokio::test]
async fn the_verbs() {
    let cluster = Cluster::start().await;
    let drivers: Api<CSIDriver> = Api::all(cluster.admin());
    let made = drivers.create(&PostParams::default(), &driver("d")).await.unwrap();
    assert_eq!(made.spec.attach_required, Some(true));
    let taken = drivers.create(&PostParams::default(), &driver("d")).await.unwrap_err();
    assert_eq!(code(&taken), 409);
    let merge = Patch::Merge(json!({"spec": {"serviceAccountTokenInSecrets": true}}));
    let patched = drivers.patch("d", &PatchParams::default(), &merge).await.unwrap();
    assert_eq!(patched.spec.service_account_token_in_secrets, Some(true));
    assert_eq!(patched.metadata.generation, Some(1));
    let operations = typed(json!([{"op": "add", "path": "/metadata/labels", "value": {"team": "storage"}}]));
    drivers.patch("d", &PatchParams::default(), &Patch::Json::<()>(operations)).await.unwrap();
    let listed = drivers.list(&ListParams::default().labels("team=storage")).await.unwrap();
    assert_eq!(listed.items.len(), 1);
    assert!(listed.metadata.resource_version.is_some_and(|version| !version.is_empty()));
    let mut read = drivers.get("d").await.unwrap();
    read.spec.requires_republish = Some(true);
    let replaced = drivers.replace("d", &PostParams::default(), &read).await.unwrap();
    assert_eq!(replaced.spec.requires_republish, Some(true));
    let stale = drivers.replace("d", &PostParams::default(), &read).await.unwrap_err();
    assert_eq!(code(&stale), 409);
    let deleted = drivers.delete("d", &DeleteParams::default()).await.unwrap().left().unwrap();
    assert_eq!(deleted.metadata.name.as_deref(), Some("d"));
    assert!(drivers.get_opt("d").await.unwrap().is_none());
}

/// kube-rs applies with types whose names and kinds it fills in, and keeps conflicts apart from other refusals.
#[tokio::test]
async fn server_side_apply() {
    let cluster = Cluster::start().await;
    let drivers: Api<CSIDriver> = Api::all(cluster.admin());
    let wanted = |republish: bool| {
        let spec = json!({"requiresRepublish": republish, "tokenRequests": [{"audience": "vault"}]});
        let driver = json!({"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": "d"}, "spec": spec});
        Patch::Apply(typed::<CSIDriver>(driver))
    };
    let made = drivers.patch("d", &PatchParams::apply("one"), &wanted(true)).await.unwrap();
    let entry = &made.metadata.managed_fields.unwrap()[0];
    assert_eq!((entry.manager.as_deref(), entry.operation.as_deref()), (Some("one"), Some("Apply")));
    assert_eq!(
        entry.fields_v1.as_ref().map(|fields| &fields.0),
        Some(&json!({"f:spec": {"f:requiresRepublish": {}, "f:tokenRequests": {}}}))
    );
    let again = drivers.patch("d", &PatchParams::apply("one"), &wanted(true)).await.unwrap();
    assert_eq!(again.metadata.resource_version, made.metadata.resource_version);

    let refused = drivers.patch("d", &PatchParams::apply("two"), &wanted(false)).await.unwrap_err();
    let kube::Error::Api(status) = refused else { panic!("{refused}") };
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    let causes = &status.details.as_ref().unwrap().causes;
    assert_eq!(
        (causes[0].reason.as_str(), causes[0].field.as_str()),
        ("FieldManagerConflict", ".spec.requiresRepublish")
    );
    let forced = drivers.patch("d", &PatchParams::apply("two").force(), &wanted(false)).await.unwrap();
    assert_eq!(forced.spec.requires_republish, Some(false));
    let missing = drivers.patch("d", &PatchParams::default(), &wanted(false)).await.unwrap_err();
    assert!(missing.to_string().contains("fieldManager: Required value"), "{missing}");
}

/// What a watcher gives next, whatever goes wrong on the way.
async fn next(
    events: &mut (impl Stream<Item = Result<Event<CSIDriver>, watcher::Error>> + Unpin),
) -> Event<CSIDriver> {
    let next = async {
        loop {
            // The watcher tells what went wrong and begins anew by itself.
            if let Ok(event) = events.try_next().await {
                return event.unwrap();
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, next).await.unwrap()
}

/// The names between `Init` and `InitDone`.
async fn listing(
    events: &mut (impl Stream<Item = Result<Event<CSIDriver>, watcher::Error>> + Unpin),
) -> Vec<String> {
    let mut names = Vec::new();
    loop {
        match next(events).await {
            Event::Init => names.clear(),
            Event::InitApply(object) => names.push(object.metadata.name.unwrap()),
            Event::InitDone => return names,
            Event::Apply(_) | Event::Delete(_) => {}
        }
    }
}

async fn follow(config: watcher::Config) {
    let mut cluster = Cluster::start().await;
    let drivers: Api<CSIDriver> = Api::all(cluster.admin());
    drivers.create(&PostParams::default(), &driver("first")).await.unwrap();
    let mut events = pin!(watcher(drivers.clone(), config));
    assert_eq!(listing(&mut events).await, ["first"]);
    drivers.create(&PostParams::default(), &driver("second")).await.unwrap();
    let Event::Apply(seen) = next(&mut events).await else { panic!("an addition") };
    assert_eq!(seen.metadata.name.as_deref(), Some("second"));
    drivers.delete("second", &DeleteParams::default()).await.unwrap();
    assert!(matches!(next(&mut events).await, Event::Delete(_)));

    // More happens while nobody watches than the server remembers: the watcher has to list anew, and does.
    let inside = cluster.inside();
    let meanwhile = async {
        for number in 0..20 {
            let object = json!({"metadata": {"name": format!("d{number:02}")}, "spec": {}});
            inside.create("/apis/storage.k8s.io/v1/csidrivers", &object).await.unwrap();
        }
    };
    cluster.restart(meanwhile).await;
    assert_eq!(listing(&mut events).await.len(), 21);
    drivers.delete("first", &DeleteParams::default()).await.unwrap();
    let Event::Delete(gone) = next(&mut events).await else { panic!("a deletion") };
    assert_eq!(gone.metadata.name.as_deref(), Some("first"));
}

#[tokio::test]
async fn a_watcher_that_lists_first() {
    Box::pin(follow(watcher::Config::default())).await;
}

#[tokio::test]
async fn a_watcher_that_gets_the_list_as_events() {
    Box::pin(follow(watcher::Config::default().streaming_lists())).await;
}

/// A namespace with an account and a pod on no node; the pod's uid.
async fn furnish(client: &Client) -> String {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = typed(json!({"metadata": {"name": "apps"}}));
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "apps");
    accounts.create(&PostParams::default(), &typed(json!({"metadata": {"name": "web"}}))).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(client.clone(), "apps");
    let pod = typed(json!({"metadata": {"name": "web-0"}, "spec": {"serviceAccountName": "web",
        "containers": [{"name": "c", "image": "pause"}]}}));
    pods.create(&PostParams::default(), &pod).await.unwrap().metadata.uid.unwrap()
}

async fn token_of(client: &Client, audiences: &[&str], pod_uid: &str) -> String {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "apps");
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: audiences.iter().map(|audience| (*audience).to_owned()).collect(),
            bound_object_ref: Some(BoundObjectReference {
                kind: Some("Pod".to_owned()),
                api_version: Some("v1".to_owned()),
                name: Some("web-0".to_owned()),
                uid: Some(pod_uid.to_owned()),
            }),
            expiration_seconds: Some(600),
        },
        ..TokenRequest::default()
    };
    accounts
        .create_token_request("web", &PostParams::default(), &request)
        .await
        .unwrap()
        .status
        .unwrap()
        .token
}

async fn review(client: &Client, token: &str, audience: &str) -> Value {
    let reviews: Api<TokenReview> = Api::all(client.clone());
    let review = typed(json!({"spec": {"token": token, "audiences": [audience]}}));
    let reviewed = reviews.create(&PostParams::default(), &review).await.unwrap();
    serde_json::to_value(reviewed.status.unwrap()).unwrap()
}

async fn text(client: &Client, path: &str) -> Result<String, kube::Error> {
    let request = http::Request::get(path).header("accept", "*/*").body(Vec::new()).unwrap();
    client.request_text(request).await
}

#[tokio::test]
async fn a_token_is_good_for_everybody_until_its_pod_is_gone() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let pod_uid = furnish(&admin).await;
    let token = token_of(&admin, &["vault"], &pod_uid).await;

    // As a vault does it: with the keys that the cluster publishes, and a library that is not ours.
    let keys: jsonwebtoken::jwk::JwkSet =
        serde_json::from_str(&text(&admin, "/openid/v1/jwks").await.unwrap()).unwrap();
    let kid = jsonwebtoken::decode_header(&token).unwrap().kid.unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(keys.find(&kid).unwrap()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
    validation.set_audience(&["vault"]);
    validation.set_issuer(&["https://issuer.example"]);
    let claims = jsonwebtoken::decode::<Value>(&token, &key, &validation).unwrap().claims;
    assert_eq!(claims["sub"], "system:serviceaccount:apps:web");
    assert_eq!(claims["kubernetes.io"]["pod"], json!({"name": "web-0", "uid": pod_uid}));

    let good = review(&admin, &token, "vault").await;
    assert_eq!((&good["authenticated"], &good["user"]["username"]), (&json!(true), &claims["sub"]));
    assert_eq!(review(&admin, &token, "other").await["authenticated"], Value::Null);

    let own = token_of(&admin, &[], &pod_uid).await;
    let account = cluster.client(bearer(&own));
    text(&account, "/.well-known/openid-configuration").await.unwrap();
    let pods: Api<Pod> = Api::namespaced(account.clone(), "apps");
    assert_eq!(code(&pods.list(&ListParams::default()).await.unwrap_err()), 403);

    Api::<Pod>::namespaced(admin.clone(), "apps").delete("web-0", &DeleteParams::default()).await.unwrap();
    let bad = review(&admin, &token, "vault").await;
    assert!(bad["authenticated"].is_null() || bad["authenticated"] == false, "{bad}");
    assert_eq!(bad["error"], "[invalid bearer token, service account token has been invalidated]");
    assert_eq!(code(&pods.list(&ListParams::default()).await.unwrap_err()), 401);
}

#[tokio::test]
async fn strangers_are_told_apart() {
    let cluster = Cluster::start().await;
    let anonymous = cluster.client(AuthInfo::default());
    assert!(text(&anonymous, "/version").await.unwrap().contains("v1.35.0"));
    let drivers: Api<CSIDriver> = Api::all(anonymous);
    assert_eq!(code(&drivers.list(&ListParams::default()).await.unwrap_err()), 403);
    let operator: Api<CSIDriver> = Api::all(cluster.client(bearer("static-canary")));
    operator.list(&ListParams::default()).await.unwrap();
    let nobody: Api<CSIDriver> = Api::all(cluster.client(bearer("made-up")));
    assert_eq!(code(&nobody.list(&ListParams::default()).await.unwrap_err()), 401);

    let elsewhere = Authority::new();
    let impostor = cluster.client(elsewhere.client("admin", "system:masters"));
    assert_eq!(code(&text(&impostor, "/version").await.unwrap_err()), 401, "not taken for nobody either");
    // A certificate that is not good takes nothing from a token that is.
    let mut both = elsewhere.client("admin", "system:masters");
    both.token = Some("static-canary".to_owned().into());
    Api::<CSIDriver>::all(cluster.client(both)).list(&ListParams::default()).await.unwrap();
    let misled = cluster.client_trusting(&elsewhere, AuthInfo::default());
    assert!(!matches!(text(&misled, "/version").await.unwrap_err(), kube::Error::Api(_)));
}

#[tokio::test]
async fn serving_ends_at_once_though_somebody_watches() {
    let mut cluster = Cluster::start().await;
    let drivers: Api<CSIDriver> = Api::all(cluster.admin());
    let before = cluster.store.current_revision();
    let watch = drivers.watch(&kube::api::WatchParams::default(), "0").await.unwrap();
    cluster.stop.cancel();
    tokio::time::timeout(LIMIT, &mut cluster.serving).await.unwrap().unwrap().unwrap();
    let _: Result<Vec<_>, _> = tokio::time::timeout(LIMIT, watch.try_collect()).await.unwrap();
    assert_eq!(cluster.store.current_revision(), before);
}

/// One request over HTTP/2, which kube-rs does not speak.
async fn over_http2(
    cluster: &Cluster,
    method: http::Method,
    path: &str,
    token: &str,
) -> http::Response<hyper::body::Incoming> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(cluster.authority.certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = builder.unwrap().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let socket = TcpStream::connect(("127.0.0.1", cluster.port)).await.unwrap();
    let name = rustls_pki_types::ServerName::try_from("127.0.0.1").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::builder()
        .method(method)
        .uri(format!("https://127.0.0.1:{}{path}", cluster.port))
        .header("authorization", format!("Bearer {token}"));
    sender.send_request(request.body(String::new()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn http2_carries_what_http1_carries() {
    let cluster = Cluster::start().await;
    let path = "/apis/storage.k8s.io/v1/csidrivers";
    let get = over_http2(&cluster, http::Method::GET, path, "static-canary").await;
    assert_eq!((get.version(), get.status()), (http::Version::HTTP_2, http::StatusCode::OK));
    let body = get.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["kind"], "CSIDriverList");
    let head = over_http2(&cluster, http::Method::HEAD, path, "static-canary").await;
    assert_eq!(head.headers()["content-length"], body.len().to_string());
    assert!(head.into_body().collect().await.unwrap().to_bytes().is_empty());
}

/// Collects all that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The libraries below are listened to as well: TLS, HTTP/2, the client.
#[tokio::test]
async fn no_log_on_either_side_of_the_wire_has_a_token() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // Of the whole process: a subscriber of one thread alone would miss what another was the first to come by.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let pod_uid = furnish(&admin).await;
    let token = token_of(&admin, &[], &pod_uid).await;
    review(&admin, &token, "vault").await;
    text(&cluster.client(bearer(&token)), "/apis").await.unwrap();
    text(&cluster.client(bearer("static-canary")), "/apis").await.unwrap();
    let answer = over_http2(&cluster, http::Method::GET, "/apis", &token).await;
    assert_eq!(answer.status(), 200);
    let log = String::from_utf8_lossy(&log.0.lock()).into_owned();
    for source in ["tokenward_apiserver", "kube_client", "h2::"] {
        assert!(log.contains(source), "{source} was listened to");
    }
    for part in token.split('.').chain(["static-canary"]) {
        let line = log.lines().find(|line| line.contains(part));
        assert!(line.is_none(), "{}", line.unwrap_or_default());
    }
}

#[tokio::test]
async fn appliers_own_what_they_apply() {
    let cluster = Cluster::start().await;
    let drivers: Api<CSIDriver> = Api::all(cluster.admin());
    let manifest = |spec: Value| {
        json!({
            "apiVersion": "storage.k8s.io/v1",
            "kind": "CSIDriver",
            "metadata": {"name": "d"},
            "spec": spec,
        })
    };
    let operator = PatchParams::apply("operator");
    let first = manifest(json!({"tokenRequests": [{"audience": "vault"}], "requiresRepublish": true}));
    let applied = drivers.patch("d", &operator, &Patch::Apply(&first)).await.unwrap();
    assert_eq!(applied.spec.requires_republish, Some(true));
    let again = drivers.patch("d", &operator, &Patch::Apply(&first)).await.unwrap();
    assert_eq!(again.metadata.resource_version, applied.metadata.resource_version, "nothing has changed");

    // The opt-in is another's; the operator's next apply leaves it.
    let opt_in = manifest(json!({"serviceAccountTokenInSecrets": true}));
    drivers.patch("d", &PatchParams::apply("rollout"), &Patch::Apply(&opt_in)).await.unwrap();
    let second = manifest(json!({"tokenRequests": [{"audience": "vault"}]}));
    let applied = drivers.patch("d", &operator, &Patch::Apply(&second)).await.unwrap();
    assert_eq!(applied.spec.service_account_token_in_secrets, Some(true));
    assert_eq!(applied.spec.requires_republish, Some(false), "given up, and defaulted again");

    let against =
        manifest(json!({"tokenRequests": [{"audience": "sts"}], "serviceAccountTokenInSecrets": false}));
    let refused = drivers.patch("d", &operator, &Patch::Apply(&against)).await.unwrap_err();
    assert_eq!(code(&refused), 409);
    assert!(
        refused.to_string().contains(r#"conflict with "rollout": .spec.serviceAccountTokenInSecrets"#),
        "{refused}"
    );
    let forced = drivers.patch("d", &operator.clone().force(), &Patch::Apply(&against)).await.unwrap();
    assert_eq!(forced.spec.service_account_token_in_secrets, Some(false));
    assert_eq!(forced.spec.token_requests.unwrap()[0].audience, "sts");
}
