//! A request's way through the server: who asks, whether they may, what they want, and the answer.

mod access;
mod answers;
mod bodies;
mod creations;
mod faces;
mod patches;
mod verbs;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Buf;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body as _;
use parking_lot::Mutex;
use tokenward_issuer::{Issuer, KeySet, SigningKey, random_uuid};
use tokenward_kube_rules::FeatureGates;
use tokenward_kube_schema::{Kind, Verb, find_resource};
use tokenward_store::Store;
use tokenward_tokens::Clock;
use tokio::sync::watch;

use self::access::Stopped;
use self::answers::{compress, refuse, respond, stream, warning_headers, without_body};
use self::bodies::{ObjectBody, delete_options};
use self::verbs::{check_verb, part};
use crate::authentication::{StaticTokens, User};
use crate::authorization::{Attributes, ResourceAttributes, authorize};
use crate::body::{self, Body};
use crate::client::Client;
use crate::flow_control::{Admitted, FlowControl, RequestLimits};
use crate::form::Columns;
use crate::index::Index;
use crate::layout::Layout;
use crate::media::{Endpoint, Form, Representation};
use crate::metrics::{Metrics, Observed};
use crate::node_proxy::{self, NodeAccess};
use crate::object::Object;
use crate::query::{Query, WriteOptions};
use crate::registry::{Collection, EventWriter, Registry, Target, Written};
use crate::request::{ResourcePath, Route, verb_of};
use crate::status::ApiError;
use crate::table::Include;
use crate::webhook::noting_waits;
use crate::{default_roles, discovery, face, system_priorities};

/// What an API server is made of.
#[derive(Clone, Debug)]
pub struct Config {
    /// The release to behave as, and its gates.
    pub gates: FeatureGates,
    /// The objects.
    pub store: Store<Index>,
    /// Signs and verifies service account tokens.
    pub issuer: Arc<Issuer>,
    /// The time.
    pub clock: Clock,
    /// Users with tokens out of a file.
    pub static_tokens: StaticTokens,
    /// `host:port` as clients reach the server, for discovery.
    pub external_address: String,
    /// How to connect to nodes, for requests that are passed on to them; none passes none on.
    pub node_access: Option<NodeAccess>,
    /// Whether requests without credentials are `system:anonymous`, which may read little more than the health; else
    /// they are refused (`--anonymous-auth`).
    pub anonymous: bool,
    /// How many requests run at once.
    pub request_limits: RequestLimits,
}

impl Config {
    /// A server without static tokens, known as `localhost:443`.
    pub fn new(gates: FeatureGates, store: Store<Index>, issuer: Arc<Issuer>, clock: Clock) -> Self {
        Self {
            gates,
            store,
            issuer,
            clock,
            static_tokens: StaticTokens::default(),
            external_address: "localhost:443".to_owned(),
            node_access: None,
            anonymous: true,
            request_limits: RequestLimits::default(),
        }
    }
}

/// The API server: a cheap handle and a [`tower::Service`].
#[derive(Clone)]
pub struct ApiServer {
    shared: Arc<Shared>,
}

struct Shared {
    registry: Registry,
    issuer: Arc<Issuer>,
    static_tokens: StaticTokens,
    external_address: String,
    node_access: Option<NodeAccess>,
    /// Where the server is served, so that it is not made to call itself.
    listening: Mutex<Vec<SocketAddr>>,
    anonymous: bool,
    flow: FlowControl,
    signing_key_ready: watch::Sender<bool>,
    metrics: Metrics,
}

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiServer")
            .field("external_address", &self.shared.external_address)
            .finish_non_exhaustive()
    }
}

impl ApiServer {
    /// A server over what `config` holds. Nothing is started; the handle answers when it is called.
    pub fn new(config: Config) -> Self {
        let is_ready = config.issuer.signing_key().is_some();
        let mut metrics = Metrics::new(&config.gates, &face::version(config.gates.release()));
        let registry = Registry::new(config.store, config.gates, config.clock);
        metrics.include(registry.admission_metrics());
        let shared = Shared {
            metrics,
            registry,
            issuer: config.issuer,
            static_tokens: config.static_tokens,
            external_address: config.external_address,
            node_access: config.node_access,
            listening: Mutex::default(),
            anonymous: config.anonymous,
            flow: FlowControl::new(config.request_limits),
            signing_key_ready: watch::Sender::new(is_ready),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Notes an address that the server is served on.
    pub(crate) fn listens_on(&self, address: SocketAddr) {
        self.shared.listening.lock().push(address);
    }

    /// Gives the issuer its key. Token requests that came before wait for it.
    pub fn set_signing_key(&self, key: SigningKey) {
        self.shared.issuer.set_signing_key(key);
        self.shared.signing_key_ready.send_replace(true);
    }

    /// The keys that service account tokens are signed and verified with.
    #[must_use]
    pub fn keys(&self) -> Arc<KeySet> {
        self.shared.issuer.keys()
    }

    /// Signs and verifies with exactly these keys from now on.
    pub fn replace_keys(&self, keys: KeySet) {
        let signs = keys.signing_key().is_some();
        self.shared.issuer.replace_keys(keys);
        if signs {
            self.shared.signing_key_ready.send_replace(true);
        }
    }

    /// Makes the roles and bindings that every cluster has, or puts back what they lack. Until then only
    /// `system:masters` and nodes may do anything.
    ///
    /// # Errors
    /// When the store does not take them.
    pub async fn establish_default_roles(&self) -> Result<(), ApiError> {
        // Done once, and as large as all writes that it makes.
        Box::pin(default_roles::establish(&self.shared.registry)).await
    }

    /// Makes the priority classes that every cluster has. Until then no pod can name them.
    ///
    /// # Errors
    /// When the store does not take them.
    pub async fn establish_system_priorities(&self) -> Result<(), ApiError> {
        Box::pin(system_priorities::establish(&self.shared.registry)).await
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    /// A client in this process, acting as `user`: no port, no TLS, the same answers.
    pub fn client(&self, user: User) -> Client {
        Client::new(self.clone(), user)
    }

    /// Answers one request. Never fails: a refusal is an answer too.
    ///
    /// Whatever waits for more than a seat and a body is in a box of its own, so that this is small: every request's task
    /// is as large as the largest of its ways.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data: Buf>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        // They belong to the request, not to its success: a write that fails late has warned already.
        let mut warnings = Vec::new();
        let mut observed = self.shared.metrics.arrived(&parts);
        let mut body = pin!(body);
        let outcome = self.answer(&parts, body.as_mut(), &mut warnings, &mut observed).await;
        if outcome.is_err() && !body.is_end_stream() {
            Box::pin(body::swallow(body)).await;
        }
        let mut response = outcome.unwrap_or_else(|error| refuse(&parts, &error));
        compress(&parts.headers, &mut response);
        let headers = response.headers_mut();
        for value in warning_headers(&warnings) {
            headers.append(header::WARNING, value);
        }
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
        let mut room = uuid::Uuid::encode_buffer();
        let audit_id: &str = random_uuid().hyphenated().encode_lower(&mut room);
        let mut value = HeaderValue::from_str(audit_id).expect("hexadecimal digits and hyphens");
        // Never the same again: HPACK's table shall not take it up, and drop a useful header for it.
        value.set_sensitive(true);
        headers.insert("audit-id", value);
        if parts.method == Method::HEAD {
            response = without_body(response);
        }
        observed.answered(&response);
        // The path names objects, which a client may have called anything; bodies, queries and headers stay out.
        tracing::debug!(
            method = %parts.method,
            path = %tokenward_sanitize::blank_tokens(parts.uri.path()),
            status = response.status().as_u16(),
            audit_id,
            "answered"
        );
        response
    }

    async fn answer<B>(
        &self,
        parts: &Parts,
        body: B,
        warnings: &mut Vec<String>,
        observed: &mut Observed<'_>,
    ) -> Result<Response<Body>, ApiError>
    where
        B: http_body::Body<Data: Buf>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let user = match self.user(parts) {
            Ok(user) => user,
            Err(Stopped::Refused(error)) => return Err(error),
            Err(Stopped::Answered(answer)) => return Ok(*answer),
        };
        observed.is_authenticated();
        let query = Query::parse(parts.uri.query().unwrap_or(""));
        let route = Route::parse(parts.uri.path());
        match route {
            Route::Resource(path) => {
                let watch = query.watch();
                let Some(verb) = verb_of(&parts.method, &path, watch) else {
                    return Err(ApiError::method_not_allowed());
                };
                observed.is_about(&path, verb, &query);
                let admitted = self.admit(&user, verb, observed).await?;
                self.authorize_resource(&user, verb, &path, &query)?;
                observed.is_authorized();
                let request = ResourceRequest { parts, user: &user, query: &query, path: &path, verb };
                let answer = self.resource(request, body, warnings);
                let reads = matches!(verb, Verb::Get | Verb::List | Verb::Watch);
                let response = if reads || self.shared.registry.webhooks().are_none() {
                    answer.await?
                } else {
                    let (response, waited) = Box::pin(noting_waits(answer)).await;
                    observed.has_waited(waited);
                    response?
                };
                // A watch is under way for as long as it is read.
                Ok(match admitted {
                    Admitted::Watching(place) => response.map(|body| body.holding(place)),
                    Admitted::Exempt | Admitted::Seated { .. } => response,
                })
            }
            Route::NodeProxy { node, path } => {
                let Some(verb) = proxy_verb(&parts.method) else {
                    return Err(ApiError::method_not_allowed());
                };
                observed.is_passed_on();
                let _admitted = self.admit(&user, verb, observed).await?;
                let attributes = ResourceAttributes {
                    verb: verb.as_str(),
                    group: "",
                    resource: "nodes",
                    subresource: "proxy",
                    namespace: "",
                    name: &node,
                };
                let access = Attributes::Resource(attributes).into();
                authorize(&user, &access, self.shared.registry.view())?;
                observed.is_authorized();
                let body = body::read(body).await?;
                let mut request = Request::new(body);
                *request.method_mut() = parts.method.clone();
                *request.uri_mut() = parts.uri.clone();
                *request.headers_mut() = parts.headers.clone();
                let node_access = self.shared.node_access.as_ref();
                let listening = self.shared.listening.lock().clone();
                let view = self.shared.registry.view();
                Box::pin(node_proxy::pass_on(node_access, &listening, view, &node, &path, request)).await
            }
            other => {
                let path = parts.uri.path();
                let verb = parts.method.as_str().to_ascii_lowercase();
                observed.is_for(&other);
                observed.is_asked_about();
                let access = Attributes::NonResource { path, verb: &verb }.into();
                authorize(&user, &access, self.shared.registry.view())?;
                observed.is_authorized();
                if other == Route::Unknown && discovery::is_within_group(path) {
                    return Err(ApiError::unknown_resource());
                }
                self.face(&parts.method, &parts.headers, &query, &other)
            }
        }
    }

    async fn resource<B>(
        &self,
        request: ResourceRequest<'_>,
        body: B,
        warnings: &mut Vec<String>,
    ) -> Result<Response<Body>, ApiError>
    where
        B: http_body::Body<Data: Buf>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let ResourceRequest { parts, path, query, verb, user } = request;
        let Some(kind) = find_resource(&path.group, &path.version, &path.resource) else {
            if discovery::serves_group(&path.group) {
                return Err(ApiError::unknown_resource());
            }
            return Ok(face::text(StatusCode::NOT_FOUND, "404 page not found\n"));
        };
        if path.namespace.is_some() && !kind.namespaced {
            return Err(ApiError::unknown_resource());
        }
        check_verb(kind, path, verb)?;
        let endpoint = match verb {
            Verb::Watch => Endpoint::Watch,
            Verb::List => Endpoint::List,
            _ => Endpoint::Object,
        };
        let representation = Representation::negotiate(&parts.headers, endpoint)?;
        let include = match representation.form {
            Form::Table(_) => Include::parse(query.text("includeObject").unwrap_or(""))?,
            _ => Include::default(),
        };
        let registry = &self.shared.registry;
        let collection = Collection { kind, namespace: path.namespace.as_deref() };
        let name = path.name.as_deref();
        let target = name.map(|name| Target { kind, namespace: path.namespace.as_deref(), name });
        if matches!(verb, Verb::Get | Verb::List | Verb::Watch)
            && let Ok(revision) = query.not_older_than()
        {
            registry.reached(revision).await;
        }
        let written = match (verb, target) {
            (Verb::List, _) => Written::ok(registry.list(collection, &query.list_options()?)?),
            (Verb::Watch, _) => {
                let mut options = query.watch_options()?;
                if let Some(name) = name {
                    options.selection.fields = options.selection.fields.and("metadata.name", name);
                }
                let events = registry.watch(
                    collection,
                    options,
                    EventWriter::new(representation, include, self.shared.metrics.watch(kind, path)),
                )?;
                return Ok(stream(representation, Body::events(events)));
            }
            (Verb::Get, Some(target)) => registry.read(target, query.not_older_than()?)?,
            (Verb::Create, target) => self.create(request, kind, target, body, warnings).await?,
            (Verb::Update, Some(target)) => {
                let options = query.write_options("UpdateOptions", &parts.headers)?;
                let object = self.object(kind, &parts.headers, body, &options, warnings).await?;
                Box::pin(registry.update(target, part(path), user, object, &options, warnings)).await?
            }
            (Verb::Patch, Some(target)) => Box::pin(self.patch(request, target, body, warnings)).await?,
            (Verb::Delete, Some(target)) => {
                let options = delete_options(query, &parts.headers, body).await?;
                Box::pin(registry.delete(target, user, &options, warnings)).await?
            }
            (Verb::DeleteCollection, None) => {
                let options = delete_options(query, &parts.headers, body).await?;
                let which = query.list_options()?;
                let deleting = registry.delete_collection(collection, user, &which, &options, warnings);
                Written::ok(Box::pin(deleting).await?)
            }
            _ => return Err(ApiError::method_not_allowed()),
        };
        let Written { code, content } = written;
        let content = content.in_form(representation.form, &registry.scene(include), Columns::Told)?;
        let layout = Layout::asked(&parts.headers, query.text("pretty"));
        respond(representation, layout, Written { code, content })
    }

    /// An RSA key takes a moment to make; whoever asks in that moment waits for it, up to a limit.
    async fn wait_for_signing_key(&self) -> Result<(), ApiError> {
        const LIMIT: std::time::Duration = std::time::Duration::from_secs(30);
        if *self.shared.signing_key_ready.borrow() {
            return Ok(());
        }
        let mut ready = self.shared.signing_key_ready.subscribe();
        match tokio::time::timeout(LIMIT, ready.wait_for(|ready| *ready)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(ApiError::too_many_requests(1)),
        }
    }

    /// The object in a request's body.
    async fn object<B>(
        &self,
        kind: &'static Kind,
        headers: &HeaderMap,
        body: B,
        options: &WriteOptions,
        warnings: &mut Vec<String>,
    ) -> Result<Object, ApiError>
    where
        B: http_body::Body<Data: Buf>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let body = ObjectBody::read(headers, body).await?;
        body.decode(&self.shared.registry, kind, options.field_validation, warnings)
    }
}

/// A request for a resource, read and authorized.
#[derive(Clone, Copy)]
struct ResourceRequest<'a> {
    parts: &'a Parts,
    user: &'a User,
    query: &'a Query,
    path: &'a ResourcePath,
    verb: Verb,
}

/// What a method means to a node behind this server.
fn proxy_verb(method: &Method) -> Option<Verb> {
    match *method {
        Method::GET | Method::HEAD => Some(Verb::Get),
        Method::POST => Some(Verb::Create),
        Method::PUT => Some(Verb::Update),
        Method::PATCH => Some(Verb::Patch),
        Method::DELETE => Some(Verb::Delete),
        _ => None,
    }
}

impl<B> tower::Service<Request<B>> for ApiServer
where
    B: http_body::Body<Data: Buf + Send> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move { Ok(server.handle(request).await) })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Full;
    use tokenward_issuer::IssuerConfig;
    use tokenward_kube_rules::Release;

    use super::*;

    #[test]
    fn a_request_under_way_is_small() {
        let issuer = Issuer::new(IssuerConfig::new(["https://kubernetes.default.svc"]).expect("an issuer"));
        let gates = FeatureGates::for_release(Release::default());
        let server =
            ApiServer::new(Config::new(gates, crate::new_store(), Arc::new(issuer), Clock::system()));
        let size = size_of_val(&server.handle(Request::new(Full::new(Bytes::new()))));
        assert!(size <= 6 * 1024, "{size} bytes");
    }
}
