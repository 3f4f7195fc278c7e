//! The body of a response: bytes that are there, pieces that are put together while they are sent, or a stream of watch
//! events.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::Stream;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use self::gzip::Gzip;
use crate::signal::{Given, Signal};
use crate::status::ApiError;

mod gzip;

/// What a response carries.
pub struct Body(Content);

type Pieces = Box<dyn Iterator<Item = Bytes> + Send>;

enum Content {
    Whole(Option<Bytes>),
    Pieces { rest: usize, pieces: Pieces },
    Gzip(Box<Gzip>),
    Events(Events),
}

/// Events, for as long as they last.
struct Events {
    stream: Pin<Box<dyn Stream<Item = Bytes> + Send>>,
    /// What is kept meanwhile.
    held: Option<Box<dyn Send>>,
    /// Ends them.
    stop: Option<Given>,
}

impl Events {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Poll::Ready(piece) = self.stream.as_mut().poll_next(context) {
            return Poll::Ready(piece);
        }
        // Only at a pause: whoever reads has what was there before the end.
        match self.stop.as_mut().map(|stop| Pin::new(stop).poll(context)) {
            Some(Poll::Ready(())) => Poll::Ready(None),
            Some(Poll::Pending) | None => Poll::Pending,
        }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A response to a token request is a token: never its bytes.
        let content = match &self.0 {
            Content::Whole(bytes) => format!("{} bytes", bytes.as_ref().map_or(0, Bytes::len)),
            Content::Pieces { rest, .. } => format!("{rest} bytes"),
            Content::Gzip(_) => "compressed bytes".to_owned(),
            Content::Events(_) => "events".to_owned(),
        };
        f.debug_tuple("Body").field(&content).finish()
    }
}

impl Body {
    /// A body that is there at once.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self(Content::Whole((!bytes.is_empty()).then_some(bytes)))
    }

    /// A body of `length` bytes that is put together while it is sent, none of whose pieces is empty.
    pub(crate) fn pieces(length: usize, pieces: impl Iterator<Item = Bytes> + Send + 'static) -> Self {
        Self(Content::Pieces { rest: length, pieces: Box::new(pieces) })
    }

    /// A body that comes piece by piece, for as long as the stream lasts.
    pub(crate) fn events(stream: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self(Content::Events(Events { stream: Box::pin(stream), held: None, stop: None }))
    }

    /// Lets the body be compressed, if it is no stream and has more than `threshold` bytes. Says whether it is.
    pub(crate) fn compress_beyond(&mut self, threshold: usize) -> bool {
        let nothing = Content::Whole(None);
        let pieces = match std::mem::replace(&mut self.0, nothing) {
            Content::Whole(Some(bytes)) if bytes.len() > threshold => gzip::pieces_of(bytes),
            Content::Pieces { rest, pieces } if rest > threshold => pieces,
            other => {
                self.0 = other;
                return false;
            }
        };
        self.0 = Content::Gzip(Box::new(Gzip::new(pieces)));
        true
    }

    /// The same body, which keeps something for as long as its events last.
    pub(crate) fn holding(self, held: impl Send + 'static) -> Self {
        match self.0 {
            Content::Events(events) => {
                let held: (Option<Box<dyn Send>>, _) = (events.held, held);
                Self(Content::Events(Events { held: Some(Box::new(held)), ..events }))
            }
            at_once => Self(at_once),
        }
    }

    /// The same body, whose events end when `stop` is given.
    pub(crate) fn until(self, stop: &Signal) -> Self {
        match self.0 {
            Content::Events(events) => {
                let stop = Some(stop.given());
                Self(Content::Events(Events { stop, ..events }))
            }
            at_once => Self(at_once),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Content::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Pieces { rest, pieces } => {
                let piece = pieces.next();
                *rest = rest.saturating_sub(piece.as_ref().map_or(0, Bytes::len));
                Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
            }
            Content::Gzip(gzip) => Poll::Ready(gzip.next().map(|piece| Ok(Frame::data(piece)))),
            Content::Events(events) => {
                events.poll_next(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Content::Whole(None) | Content::Pieces { rest: 0, .. })
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Content::Pieces { rest, .. } => SizeHint::with_exact(*rest as u64),
            Content::Gzip(_) | Content::Events(_) => SizeHint::default(),
        }
    }
}

/// The most bytes that a request's body may have.
pub(crate) const REQUEST_LIMIT: usize = 3 * 1024 * 1024;

/// A body that has not come by then is not waited for: it would hold a place among the requests in flight.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Takes what a client that is being refused is still sending, if that is little and comes at once. Some clients take an
/// answer that overtakes their request for a broken connection: curl 7 does.
pub(crate) async fn swallow<B>(body: Pin<&mut B>)
where
    B: http_body::Body<Data: Buf>,
{
    const MOST_BYTES: usize = 64 * 1024;
    const LONGEST: Duration = Duration::from_millis(50);
    let mut body = body;
    let rest = async {
        let mut left = MOST_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            match left.checked_sub(frame.data_ref().map_or(0, Buf::remaining)) {
                Some(fewer) => left = fewer,
                None => return,
            }
        }
    };
    // Whoever takes longer has waited for nothing but the answer.
    let _ = tokio::time::timeout(LONGEST, rest).await;
}

/// Reads a request's body, up to the limits.
pub(crate) async fn read<B>(body: B) -> Result<Bytes, ApiError>
where
    B: http_body::Body<Data: Buf>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let whole = Limited::new(body, REQUEST_LIMIT).collect();
    let Ok(read) = tokio::time::timeout(TIME_LIMIT, whole).await else {
        return Err(ApiError::timeout("the request's body did not come within the time allotted"));
    };
    match read {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::too_large(REQUEST_LIMIT)),
        Err(_) => Err(ApiError::bad_request("the request's body ended before its time: send it again")),
    }
}
