//! One connection used as it is: a call goes from its caller's task straight to HTTP/2, and the answer straight back.
//!
//! Between a caller and HTTP/2 tonic's channel has a queue, limits, a task that connects anew, and one task more for each call. A
//! caller that makes small calls again and again, and knows itself when to connect anew, pays for all of it with each of them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream, SendStream};
use http::header::USER_AGENT;
use http::{HeaderValue, Request, Response, Uri};
use http_body::Frame;
use http_body_util::BodyExt as _;
use tokio::net::UnixStream;
use tonic::body::Body;
use tower::Service;

use crate::quiet::QuietStream;
use crate::{ConnectError, SocketPath};

/// What HTTP/2 advises a server to take at least.
const CALLS_AT_FIRST: usize = 100;

/// Bytes of answers that may be on their way, of a call and of all together (hyper's).
const CALL_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 5 << 20;

/// What goes wrong with a call on its way.
type Error = Box<dyn std::error::Error + Send + Sync>;

/// A connection to the server of a socket, for calls of one message each way. It ends with its last clone.
#[derive(Clone)]
pub struct DirectChannel {
    requests: SendRequest<Bytes>,
    is_closed: Arc<AtomicBool>,
}

impl DirectChannel {
    /// Connects to the server at `path`, once.
    ///
    /// # Errors
    /// As [`crate::connect`].
    pub async fn connect(path: &SocketPath) -> Result<Self, ConnectError> {
        let stream = UnixStream::connect(path).await.map_err(|source| ConnectError::new(path, source))?;
        let mut settings = h2::client::Builder::new();
        // Until the server says how many calls it takes at once; those beyond that wait here.
        settings.enable_push(false).initial_max_send_streams(CALLS_AT_FIRST);
        // A narrow window cuts the answers of many calls into frames so small that HTTP/2 takes them for an attack.
        settings.initial_window_size(CALL_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
        let stream = QuietStream::new(stream).map_err(|source| ConnectError::new(path, source))?;
        let handshake = settings.handshake(stream);
        let (requests, connection) = handshake
            .await
            .map_err(|source| ConnectError::Other { path: path.clone(), source: source.into() })?;
        let is_closed = Arc::new(AtomicBool::new(false));
        let closing = Arc::clone(&is_closed);
        tokio::spawn(async move {
            // Whoever waits for an answer is told of it, and whoever comes later finds it closed.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke");
            }
            closing.store(true, Ordering::Release);
        });
        Ok(Self { requests, is_closed })
    }

    /// Whether the server has closed it, or takes no more calls while it ends those from before, or it broke.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        self.is_closed.load(Ordering::Acquire)
            || matches!(self.requests.clone().poll_ready(&mut context), Poll::Ready(Err(_)))
    }

    /// What its calls are addressed to: the authority is `localhost`, as grpc-go sends it.
    #[must_use]
    pub fn origin() -> Uri {
        Uri::from_static("http://localhost")
    }
}

impl Service<Request<Body>> for DirectChannel {
    type Response = Response<Answer>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, Error>> + Send>>;

    /// Always: a connection that has broken says so as the outcome of the call.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        head.headers
            .insert(USER_AGENT, HeaderValue::from_static(concat!("tokenward/", env!("CARGO_PKG_VERSION"))));
        let requests = self.requests.clone();
        Box::pin(async move {
            let mut requests = requests.ready().await?;
            let (answer, stream) = requests.send_request(Request::from_parts(head, ()), false)?;
            drop(requests);
            let body = send(body, stream).await;
            match answer.await {
                // A server may answer before it has read everything.
                Ok(answer) => Ok(answer.map(|stream| Answer { stream, is_read: false })),
                Err(error) => Err(body.err().unwrap_or_else(|| error.into())),
            }
        })
    }
}

/// Sends the body of a call: one message, the end of which goes with it. Beyond what the server takes at once it waits in the
/// connection's memory.
async fn send(mut body: Body, mut stream: SendStream<Bytes>) -> Result<(), Error> {
    let mut held = Bytes::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame.inspect_err(|_| stream.send_reset(Reason::CANCEL))?.into_data() else {
            continue;
        };
        if !held.is_empty() {
            stream.send_data(held, false)?;
        }
        held = frame;
    }
    Ok(stream.send_data(held, true)?)
}

/// The body of an answer.
pub struct Answer {
    stream: RecvStream,
    is_read: bool,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if !self.is_read {
            if let Some(data) = ready!(self.stream.poll_data(context)) {
                let data = data?;
                // What has been read makes room for more; of a stream that has ended nobody asks.
                let _ = self.stream.flow_control().release_capacity(data.len());
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            self.is_read = true;
        }
        let trailers = ready!(self.stream.poll_trailers(context))?;
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }
}
