//! A request's way through the server: who asks, whether they may, what they want, and the answer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::Value;
use tokenward_issuer::{Issuer, SigningKey};
use tokenward_kube_rules::{FeatureGates, FieldError};
use tokenward_kube_schema::{Kind, Verb, find_resource};
use tokenward_store::Store;
use tokenward_tokens::Clock;
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use crate::authentication::{PeerIdentity, StaticTokens, User};
use crate::authorization::{Attributes, ResourceAttributes, authorize};
use crate::body::{self, Body};
use crate::client::Client;
use crate::index::Index;
use crate::media::{BodyFormat, PatchFormat, Representation, require_accept};
use crate::object::Object;
use crate::query::{Query, WriteOptions};
use crate::registry::{Collection, DeleteOptions, Part, Patch, Registry, Target, Written};
use crate::request::{ResourcePath, Route, verb_of};
use crate::status::ApiError;
use crate::token_review::TokenAuthenticators;
use crate::{binding, discovery, face, token_request, token_review};

/// At most this many reading requests at once; more are told to come back (upstream's `--max-requests-inflight`).
const MAX_READING: usize = 400;
/// At most this many changing requests at once (upstream's `--max-mutating-requests-inflight`).
const MAX_CHANGING: usize = 200;

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
    reading: Semaphore,
    changing: Semaphore,
    signing_key_ready: watch::Sender<bool>,
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
        let shared = Shared {
            registry: Registry::new(config.store, config.gates, config.clock),
            issuer: config.issuer,
            static_tokens: config.static_tokens,
            external_address: config.external_address,
            reading: Semaphore::new(MAX_READING),
            changing: Semaphore::new(MAX_CHANGING),
            signing_key_ready: watch::Sender::new(is_ready),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Gives the issuer its key. Token requests that came before wait for it.
    pub fn set_signing_key(&self, key: SigningKey) {
        self.shared.issuer.set_signing_key(key);
        self.shared.signing_key_ready.send_replace(true);
    }

    /// A client in this process, acting as `user`: no port, no TLS, the same answers.
    pub fn client(&self, user: User) -> Client {
        Client::new(self.clone(), user)
    }

    /// Answers one request. Never fails: a refusal is an answer too.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data: Buf>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let outcome = self.answer(&parts, body).await;
        let mut response = outcome.unwrap_or_else(|error| refuse(&error));
        let headers = response.headers_mut();
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
        let audit_id = uuid::Uuid::new_v4().to_string();
        headers.extend(
            HeaderValue::from_str(&audit_id).ok().map(|id| (http::HeaderName::from_static("audit-id"), id)),
        );
        // The path names objects; bodies, queries and headers stay out.
        tracing::debug!(
            method = %parts.method,
            path = parts.uri.path(),
            status = response.status().as_u16(),
            audit_id,
            "answered"
        );
        response
    }

    async fn answer<B>(&self, parts: &Parts, body: B) -> Result<Response<Body>, ApiError>
    where
        B: http_body::Body<Data: Buf>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let user = self.authenticate(parts)?;
        let query = Query::parse(parts.uri.query().unwrap_or(""));
        let route = Route::parse(parts.uri.path());
        match route {
            Route::Resource(path) => {
                let watch = query.watch();
                let Some(verb) = verb_of(&parts.method, &path, watch) else {
                    return Err(ApiError::method_not_allowed());
                };
                let _permit = self.admit(verb)?;
                self.authorize(&user, verb, &path, &query)?;
                let request = ResourceRequest { parts, user: &user, query: &query, path: &path, verb };
                self.resource(request, body).await
            }
            other => {
                let path = parts.uri.path();
                let verb = parts.method.as_str().to_ascii_lowercase();
                authorize(&user, &Attributes::Path { path, verb }, self.shared.registry.view())?;
                self.face(&parts.method, &parts.headers, &query, &other)
            }
        }
    }

    fn authenticate(&self, parts: &Parts) -> Result<Arc<User>, ApiError> {
        if let Some(PeerIdentity(user)) = parts.extensions.get::<PeerIdentity>() {
            return Ok(user.clone());
        }
        let Some(value) = parts.headers.get(header::AUTHORIZATION) else {
            return Ok(Arc::new(User::anonymous()));
        };
        let token = value.to_str().ok().and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            return Err(ApiError::unauthorized());
        };
        match self.token_authenticators().authenticate(token, &[]) {
            Ok(bearer) => Ok(Arc::new(bearer.user)),
            Err(rejected) => {
                tracing::debug!(%rejected, "bearer token refused");
                Err(ApiError::unauthorized())
            }
        }
    }

    fn token_authenticators(&self) -> TokenAuthenticators<'_> {
        TokenAuthenticators {
            static_tokens: &self.shared.static_tokens,
            issuer: &self.shared.issuer,
            cluster: self.shared.registry.view(),
            now: self.shared.registry.clock().now(),
        }
    }

    fn admit(&self, verb: Verb) -> Result<Option<SemaphorePermit<'_>>, ApiError> {
        let lane = match verb {
            Verb::Watch => return Ok(None),
            Verb::Get | Verb::List => &self.shared.reading,
            _ => &self.shared.changing,
        };
        lane.try_acquire().map(Some).map_err(|_| ApiError::too_many_requests(1))
    }

    fn authorize(&self, user: &User, verb: Verb, path: &ResourcePath, query: &Query) -> Result<(), ApiError> {
        let name = path.name.as_deref().unwrap_or("");
        // A namespace is in itself, as upstream sees it.
        let namespace = match path.namespace.as_deref() {
            Some(namespace) => namespace,
            None if path.group.is_empty() && path.resource == "namespaces" => name,
            None => "",
        };
        let selector = crate::selector::FieldSelector::parse(query.text("fieldSelector").unwrap_or(""));
        let selector = selector.unwrap_or_default();
        let by_selector = matches!(verb, Verb::List | Verb::Watch).then(|| selector.exact("metadata.name"));
        let attributes = ResourceAttributes {
            verb,
            group: &path.group,
            resource: &path.resource,
            subresource: path.subresource.as_deref().unwrap_or(""),
            namespace,
            name: if name.is_empty() { by_selector.flatten().unwrap_or("") } else { name },
            selected_node: selector.exact("spec.nodeName"),
        };
        authorize(user, &Attributes::Resource(attributes), self.shared.registry.view())
    }

    fn face(
        &self,
        method: &Method,
        headers: &HeaderMap,
        query: &Query,
        route: &Route,
    ) -> Result<Response<Body>, ApiError> {
        let not_found = || face::text(StatusCode::NOT_FOUND, "404 page not found\n");
        if matches!(route, Route::Unknown) {
            return Ok(not_found());
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Err(ApiError::method_not_allowed());
        }
        let address = &self.shared.external_address;
        let document = match route {
            Route::Health(endpoint, check) => return Ok(face::health(endpoint, check.as_deref(), query)),
            Route::Version => Some(face::version(self.shared.registry.gates().release())),
            Route::CoreVersions => Some(discovery::core_versions(address)),
            Route::Groups => Some(discovery::groups()),
            Route::Group(group) => discovery::group(group),
            Route::Resources(group_version) => discovery::resources(group_version),
            Route::OpenIdConfiguration => {
                require_accept(headers, "application/json")?;
                let documents = self.shared.issuer.discovery(address);
                return Ok(documents.map_or_else(not_found, |documents| {
                    public("application/json", documents.configuration.into())
                }));
            }
            Route::JsonWebKeySet => {
                require_accept(headers, "application/jwk-set+json")?;
                let documents = self.shared.issuer.discovery(address);
                return Ok(documents.map_or_else(not_found, |documents| {
                    public("application/jwk-set+json", Bytes::copy_from_slice(&documents.jwks))
                }));
            }
            Route::Resource(_) | Route::Unknown => None,
        };
        match document {
            Some(document) => respond(headers, Written::read(document.to_string())),
            None => Ok(not_found()),
        }
    }

    async fn resource<B>(&self, request: ResourceRequest<'_>, body: B) -> Result<Response<Body>, ApiError>
    where
        B: http_body::Body<Data: Buf>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let ResourceRequest { parts, path, query, verb, user } = request;
        if !discovery::serves(&path.group, &path.version) {
            return Ok(face::text(StatusCode::NOT_FOUND, "404 page not found\n"));
        }
        let kind = find_resource(&path.group, &path.version, &path.resource)
            .ok_or_else(ApiError::unknown_resource)?;
        if path.namespace.is_some() && !kind.namespaced {
            return Err(ApiError::unknown_resource());
        }
        check_verb(kind, path, verb)?;
        Representation::negotiate(&parts.headers)?;
        let registry = &self.shared.registry;
        let collection = Collection { kind, namespace: path.namespace.as_deref() };
        let name = path.name.as_deref();
        let target = name.map(|name| Target { kind, namespace: path.namespace.as_deref(), name });
        let written = match (verb, target) {
            (Verb::List, _) => {
                let list = registry.list(collection, &query.list_options()?)?;
                Written { code: StatusCode::OK, json: list, warnings: Vec::new() }
            }
            (Verb::Watch, _) => {
                let mut options = query.watch_options()?;
                if let Some(name) = name {
                    options.selection.fields = options.selection.fields.and("metadata.name", name);
                }
                let events = registry.watch(collection, options)?;
                return Ok(stream(Body::events(events.into_stream())));
            }
            (Verb::Get, Some(target)) => registry.read(target)?,
            (Verb::Create, target) => self.create(request, kind, target, body).await?,
            (Verb::Update, Some(target)) => {
                let options = query.write_options("UpdateOptions")?;
                let body = self.object(kind, &parts.headers, body, &options).await?;
                registry.update(target, part(path), user, body, &options).await?
            }
            (Verb::Patch, Some(target)) => {
                let format = PatchFormat::of(&parts.headers)?;
                if query.force().is_some() {
                    let why = "may not be specified for non-apply patch";
                    let error = FieldError::forbidden("force", why);
                    return Err(ApiError::invalid_options("PatchOptions", &[error]));
                }
                let options = query.write_options("PatchOptions")?;
                let patch = parse_patch(format, &body::read(body).await?)?;
                registry.patch(target, part(path), user, &patch, &options).await?
            }
            (Verb::Delete, Some(target)) => {
                let options = delete_options(query, &parts.headers, body).await?;
                registry.delete(target, user, &options).await?
            }
            (Verb::DeleteCollection, None) => {
                let options = delete_options(query, &parts.headers, body).await?;
                let selection = query.delete_selection()?;
                let list = registry.delete_collection(collection, user, &selection, &options).await?;
                Written { code: StatusCode::OK, json: list, warnings: Vec::new() }
            }
            _ => return Err(ApiError::method_not_allowed()),
        };
        respond(&parts.headers, written)
    }

    async fn create<B>(
        &self,
        request: ResourceRequest<'_>,
        kind: &'static Kind,
        target: Option<Target<'_>>,
        body: B,
    ) -> Result<Written, ApiError>
    where
        B: http_body::Body<Data: Buf>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let ResourceRequest { parts, path, query, user, .. } = request;
        let registry = &self.shared.registry;
        let options = query.write_options("CreateOptions")?;
        let body_kind = match &path.subresource {
            Some(name) => kind.subresource(name).ok_or_else(ApiError::unknown_resource)?.body_kind(),
            None => kind,
        };
        let body = self.object(body_kind, &parts.headers, body, &options).await?;
        let namespace = path.namespace.as_deref();
        match (path.subresource.as_deref(), target) {
            (None, _) if kind.kind == "TokenReview" => {
                token_review::create(&self.token_authenticators(), body.0)
            }
            (None, _) => registry.create(kind, namespace, user, body, &options).await,
            (Some("token"), Some(target)) => {
                self.wait_for_signing_key().await?;
                let (issuer, now) = (&self.shared.issuer, registry.clock().now());
                let namespace = namespace.unwrap_or("");
                token_request::create(registry.view(), issuer, user, namespace, target.name, body, now)
            }
            (Some("binding"), Some(target)) => {
                binding::create(registry, target, &body.0, options.dry_run).await
            }
            _ => Err(ApiError::method_not_allowed()),
        }
    }

    /// An RSA key takes a moment to make; whoever asks in that moment waits for it, up to a limit.
    async fn wait_for_signing_key(&self) -> Result<(), ApiError> {
        const LIMIT: std::time::Duration = std::time::Duration::from_secs(30);
        let mut ready = self.shared.signing_key_ready.subscribe();
        if *ready.borrow() {
            return Ok(());
        }
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
    ) -> Result<(Object, Vec<String>), ApiError>
    where
        B: http_body::Body<Data: Buf>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let format = BodyFormat::of(headers)?;
        let bytes = body::read(body).await?;
        let bytes = match format {
            BodyFormat::Json => bytes,
            BodyFormat::Yaml => yaml_to_json(&bytes)?,
        };
        self.shared.registry.decode(kind, &bytes, options.field_validation)
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

fn check_verb(kind: &Kind, path: &ResourcePath, verb: Verb) -> Result<(), ApiError> {
    let verbs = match path.subresource.as_deref() {
        None => kind.verbs,
        Some(name) => kind.subresource(name).ok_or_else(ApiError::unknown_resource)?.verbs,
    };
    let fits = match verb {
        Verb::Create => path.name.is_some() == path.subresource.is_some(),
        Verb::Get | Verb::Update | Verb::Patch | Verb::Delete => path.name.is_some(),
        Verb::List | Verb::DeleteCollection => path.name.is_none(),
        Verb::Watch => true,
    };
    // Reading and deleting across namespaces is for collections; a single object has its namespace in the path.
    let is_placed = !kind.namespaced
        || path.namespace.is_some()
        || matches!(verb, Verb::List | Verb::Watch) && path.name.is_none();
    if !is_placed && path.name.is_some() {
        return Err(ApiError::unknown_resource());
    }
    if verbs.contains(&verb) && fits && is_placed { Ok(()) } else { Err(ApiError::method_not_allowed()) }
}

fn part(path: &ResourcePath) -> Part {
    match path.subresource.as_deref() {
        Some("status") => Part::Status,
        Some("finalize") => Part::Finalize,
        _ => Part::Object,
    }
}

fn parse_patch(format: PatchFormat, body: &[u8]) -> Result<Patch, ApiError> {
    const MOST_OPERATIONS: usize = 10_000;
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        ApiError::bad_request(format!(
            "error decoding patch: malformed JSON in line {}, column {}",
            error.line(),
            error.column()
        ))
    })?;
    match format {
        PatchFormat::Merge if value.is_object() => Ok(Patch::Merge(value)),
        PatchFormat::Merge => {
            Err(ApiError::bad_request("error decoding patch: a merge patch must be a JSON object"))
        }
        PatchFormat::Json => {
            let found = match &value {
                Value::Array(operations) if operations.len() > MOST_OPERATIONS => {
                    return Err(ApiError::too_large(MOST_OPERATIONS));
                }
                Value::Array(_) => None,
                Value::Object(_) => Some("object"),
                Value::String(_) => Some("string"),
                Value::Number(_) => Some("number"),
                Value::Bool(_) => Some("bool"),
                Value::Null => Some("null"),
            };
            if let Some(found) = found {
                return Err(ApiError::bad_request(format!(
                    "error decoding patch: json: cannot unmarshal {found} into Go value of type []handlers.jsonPatchOp"
                )));
            }
            let patch = serde_json::from_value(value).map_err(|_| {
                ApiError::bad_request(
                    "error decoding patch: every operation needs op (add, remove, replace, move, copy, test), path and what goes with it",
                )
            })?;
            Ok(Patch::Json(patch))
        }
    }
}

async fn delete_options<B>(query: &Query, headers: &HeaderMap, body: B) -> Result<DeleteOptions, ApiError>
where
    B: http_body::Body<Data: Buf>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let bytes = body::read(body).await?;
    let bytes = match BodyFormat::of(headers) {
        Ok(BodyFormat::Yaml) if !bytes.is_empty() => yaml_to_json(&bytes)?,
        Err(error) if !bytes.is_empty() => return Err(error),
        _ => bytes,
    };
    let mut options = DeleteOptions::parse(&bytes)?;
    if options.grace_period_seconds.is_none() {
        options.grace_period_seconds = query.number("gracePeriodSeconds");
    }
    if options.propagation_policy.is_none() {
        options.propagation_policy = query.text("propagationPolicy").map(str::to_owned);
    }
    options.dry_run.extend(query.all_of("dryRun").filter(|value| !value.is_empty()).map(str::to_owned));
    if options.dry_run.iter().any(|value| value != "All") {
        let error = FieldError::not_supported("dryRun", options.dry_run.clone(), &["All"]);
        return Err(ApiError::invalid_options("DeleteOptions", &[error]));
    }
    if let Some(policy) = &options.propagation_policy
        && !matches!(policy.as_str(), "Background" | "Foreground" | "Orphan")
    {
        let supported = ["Foreground", "Background", "Orphan", "nil"];
        let error = FieldError::not_supported("propagationPolicy", policy.as_str(), &supported);
        return Err(ApiError::invalid_options("DeleteOptions", &[error]));
    }
    Ok(options)
}

fn yaml_to_json(bytes: &[u8]) -> Result<Bytes, ApiError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| ApiError::bad_request("error converting YAML to JSON: the body is not UTF-8"))?;
    // The reader's own message quotes the line at fault, which may hold a token.
    let value: Value = serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location().map(|place| format!("line {}, column {}", place.line(), place.column()));
        let place = place.unwrap_or_else(|| "an unknown place".to_owned());
        ApiError::bad_request(format!("error converting YAML to JSON: yaml: a fault at {place}"))
    })?;
    Ok(value.to_string().into())
}

impl Written {
    fn read(json: impl Into<Bytes>) -> Self {
        Self { code: StatusCode::OK, json: json.into(), warnings: Vec::new() }
    }
}

fn respond(headers: &HeaderMap, written: Written) -> Result<Response<Body>, ApiError> {
    let representation = Representation::negotiate(headers)?;
    let body = match representation {
        Representation::Json => written.json,
        Representation::Yaml => {
            let value: Value = serde_json::from_slice(&written.json)
                .map_err(|_| ApiError::internal("a response that is not JSON"))?;
            serde_saphyr::to_string(&value)
                .map_err(|_| ApiError::internal("a response that YAML cannot write"))?
                .into()
        }
    };
    let mut response = Response::new(Body::whole(body));
    *response.status_mut() = written.code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(representation.content_type()));
    for value in warning_headers(&written.warnings) {
        headers.append(header::WARNING, value);
    }
    Ok(response)
}

/// `299 - "text"`, repeats dropped; when all texts together are long, each is cut.
fn warning_headers(warnings: &[String]) -> Vec<HeaderValue> {
    const LONG: usize = 4096;
    const CUT: usize = 256;
    let total: usize = warnings.iter().map(|warning| warning.chars().count()).sum();
    let mut told: Vec<&str> = Vec::new();
    let mut headers = Vec::new();
    for warning in warnings {
        if told.contains(&warning.as_str()) {
            continue;
        }
        told.push(warning);
        let mut text = String::new();
        for character in warning.chars().take(if total > LONG { CUT } else { usize::MAX }) {
            match character {
                '"' | '\\' => text.extend(['\\', character]),
                control if control.is_control() => text.push(' '),
                other => text.push(other),
            }
        }
        headers.extend(HeaderValue::from_bytes(format!("299 - \"{text}\"").as_bytes()).ok());
    }
    headers
}

fn stream(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn public(content_type: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::whole(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

fn refuse(error: &ApiError) -> Response<Body> {
    let mut response = Response::new(Body::whole(error.to_status().to_string()));
    *response.status_mut() = error.code();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = error.retry_after_seconds() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
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
