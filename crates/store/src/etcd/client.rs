//! Calls to etcd: one server of several at a time, each call with a time limit.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::generated::kv_client::KvClient;
use super::generated::watch_client::WatchClient;
use super::generated::{CompactionRequest, RangeRequest, RangeResponse, TxnRequest, TxnResponse};
use super::tls::Credentials;
use super::{EtcdError, EtcdTls};
use crate::Unavailable;

/// A connection that says nothing for so long is asked whether it lives; etcd refuses to be asked every 5 seconds.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Answers hold up to this many bytes: lists of objects of a megabyte and more.
const LARGEST_ANSWER: usize = 256 << 20;

/// Where an etcd server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdEndpoint {
    url: String,
    is_tls: bool,
}

/// A text that is no [`EtcdEndpoint`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EtcdEndpointError {
    /// No URL of a server.
    #[error("`{0}` is no address of an etcd server; wanted http://HOST:PORT or https://HOST:PORT")]
    Malformed(String),
    /// A user, perhaps with a password: it would be shown wherever the address is.
    #[error(
        "wanted the address of an etcd server, found one with a user in it; leave out what stands before the @"
    )]
    User,
}

impl FromStr for EtcdEndpoint {
    type Err = EtcdEndpointError;

    /// `http://HOST:PORT` or `https://HOST:PORT`.
    ///
    /// # Errors
    /// Anything else.
    fn from_str(text: &str) -> Result<Self, EtcdEndpointError> {
        if text.contains('@') {
            return Err(EtcdEndpointError::User);
        }
        let malformed = || EtcdEndpointError::Malformed(text.to_owned());
        let uri: tonic::transport::Uri = text.parse().map_err(|_| malformed())?;
        match (uri.scheme_str(), uri.host(), uri.path()) {
            (Some(scheme @ ("http" | "https")), Some(_), "" | "/") => {
                Ok(Self { url: text.to_owned(), is_tls: scheme == "https" })
            }
            _ => Err(malformed()),
        }
    }
}

impl std::fmt::Display for EtcdEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.url)
    }
}

pub(crate) struct Client {
    servers: Vec<Server>,
    connections: Mutex<Connections>,
    timeout: Duration,
}

/// One server, not connected to.
struct Server {
    endpoint: Endpoint,
    is_tls: bool,
}

struct Connections {
    /// One for each server.
    channels: Vec<Channel>,
    /// Which of them is in use.
    current: usize,
    /// What those with TLS were made with, and what is to come.
    tls: Option<watch::Receiver<Arc<Credentials>>>,
}

impl Client {
    /// Connects to nobody yet: that is done when something is asked. There must be one endpoint or more.
    pub(crate) fn new(
        endpoints: &[EtcdEndpoint],
        tls: Option<EtcdTls>,
        timeout: Duration,
    ) -> Result<Self, EtcdError> {
        let tls = match tls {
            None if endpoints.iter().any(|endpoint| endpoint.is_tls) => Some(EtcdTls::new(Vec::new(), None)?),
            tls => tls,
        };
        let servers = endpoints.iter().map(|server| {
            let endpoint = Endpoint::from_shared(server.url.clone())?
                .connect_timeout(timeout)
                .http2_keep_alive_interval(KEEP_ALIVE)
                .keep_alive_timeout(timeout)
                .keep_alive_while_idle(true);
            Ok(Server { endpoint, is_tls: server.is_tls })
        });
        let servers = servers.collect::<Result<Vec<_>, tonic::transport::Error>>()?;
        let mut tls = tls.map(|tls| tls.follow());
        let credentials = tls.as_mut().map(|tls| tls.borrow_and_update().clone());
        let channels = servers.iter().map(|server| server.channel(credentials.as_deref())).collect();
        let connections = Mutex::new(Connections { channels, current: 0, tls });
        Ok(Self { servers, connections, timeout })
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    fn channel(&self) -> (usize, Channel) {
        let mut connections = self.connections.lock();
        connections.follow_tls(&self.servers);
        (connections.current, connections.channels[connections.current].clone())
    }

    /// Turns to another server, unless somebody else has done so since `failed` was in use.
    fn turn_from(&self, failed: usize) {
        let mut connections = self.connections.lock();
        if connections.current == failed {
            connections.current = (failed + 1) % self.servers.len();
        }
    }

    async fn call<T>(
        &self,
        call: impl AsyncFnOnce(Channel) -> Result<tonic::Response<T>, Status>,
    ) -> Result<T, Unavailable> {
        let (number, channel) = self.channel();
        match tokio::time::timeout(self.timeout, call(channel)).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => {
                let error = unavailable(&status);
                if !matches!(error, Unavailable::Refused(_)) {
                    self.turn_from(number);
                }
                Err(error)
            }
            Err(_) => {
                self.turn_from(number);
                Err(Unavailable::TimedOut)
            }
        }
    }

    /// Reads. Tried with every server once.
    pub(crate) async fn range(&self, request: &RangeRequest) -> Result<RangeResponse, Unavailable> {
        let mut last = Unavailable::TimedOut;
        for _ in &self.servers {
            let call = async |channel| kv(channel).range(request.clone()).await;
            match self.call(call).await {
                Err(error) if !matches!(error, Unavailable::Refused(_)) => last = error,
                answered => return answered,
            }
        }
        Err(last)
    }

    /// Writes. Never tried twice: one that failed may have happened.
    pub(crate) async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, Unavailable> {
        self.call(async |channel| kv(channel).txn(request).await).await
    }

    pub(crate) async fn compact(&self, revision: i64) -> Result<(), Unavailable> {
        let request = CompactionRequest { revision };
        self.call(async |channel| kv(channel).compact(request).await).await.map(|_| ())
    }

    /// A watch stream on the server in use; what it says goes on until it fails.
    pub(crate) async fn watch<T>(
        &self,
        requests: impl tokio_stream::Stream<Item = super::generated::WatchRequest> + Send + 'static,
        follow: impl AsyncFnOnce(tonic::Streaming<super::generated::WatchResponse>) -> Result<T, Status>,
    ) -> Result<T, Status> {
        let (number, channel) = self.channel();
        let mut client = WatchClient::new(channel).max_decoding_message_size(LARGEST_ANSWER);
        let opened = tokio::time::timeout(self.timeout, client.watch(with_leader(requests)));
        let result = match opened.await {
            Ok(Ok(response)) => follow(response.into_inner()).await,
            Ok(Err(status)) => Err(status),
            Err(_) => Err(Status::deadline_exceeded("no answer")),
        };
        if result.is_err() {
            self.turn_from(number);
        }
        result
    }
}

impl Server {
    /// A channel, which connects when something is asked.
    fn channel(&self, credentials: Option<&Credentials>) -> Channel {
        match credentials {
            Some(credentials) if self.is_tls => credentials.channel(&self.endpoint),
            _ => self.endpoint.connect_lazy(),
        }
    }
}

impl Connections {
    /// Makes the channels with TLS anew if they were made with what does not count any more. Calls that are under way have
    /// their own hold on theirs.
    fn follow_tls(&mut self, servers: &[Server]) {
        let Some(tls) = &mut self.tls else { return };
        // Without a sender nothing is to come.
        if !tls.has_changed().unwrap_or(false) {
            return;
        }
        let credentials = tls.borrow_and_update().clone();
        for (server, channel) in servers.iter().zip(&mut self.channels) {
            if server.is_tls {
                *channel = server.channel(Some(&credentials));
            }
        }
    }
}

fn kv(channel: Channel) -> KvClient<Channel> {
    KvClient::new(channel).max_decoding_message_size(LARGEST_ANSWER)
}

/// A call that fails on a server that has lost the others: a watch there would tell nothing, and not say so.
fn with_leader<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
    request
}

/// What etcd itself says of a refusal, without what its library puts before it.
pub(crate) fn words_of_etcd(text: &str) -> Option<&str> {
    text.find("etcdserver: ").map(|start| &text[start..])
}

/// What a caller may know. The transport's own texts name hosts; etcd's do not.
fn unavailable(status: &Status) -> Unavailable {
    let from_etcd = status.message().starts_with("etcdserver: ");
    match status.code() {
        Code::DeadlineExceeded | Code::Cancelled => Unavailable::TimedOut,
        Code::Unavailable if from_etcd && status.message().contains("timed out") => Unavailable::TimedOut,
        Code::Unavailable => Unavailable::Unreachable,
        _ if from_etcd => Unavailable::Refused(status.message().to_owned()),
        // The connection broke while etcd was busy with the request.
        Code::Unknown => Unavailable::Unreachable,
        code => Unavailable::Refused(code.description().to_owned()),
    }
}

/// The end of the range of all keys that begin with `prefix`.
pub(crate) fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        // A prefix ends in `/`.
        *last += 1;
    }
    end
}

/// One key.
pub(crate) fn key_alone(key: &str) -> RangeRequest {
    RangeRequest { key: key.as_bytes().to_vec(), ..RangeRequest::default() }
}
