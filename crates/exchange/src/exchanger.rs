//! Sends an exchange's request, a few times if need be, and has the answer read.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::Full;
use tokenward_tokens::{Clock, Token};
use tokio::time::Instant;

use crate::client::SendError;
use crate::error::with_causes;
use crate::{Answer, Credentials, Exchange, ExchangeError, HttpClient, Retries};

/// The shell around exchanges: one client, one policy of retries, one clock.
///
/// ```
/// use std::time::Duration;
/// use tokenward_exchange::tokens::{Clock, Token};
/// use tokenward_exchange::{
///     Authorities, Credentials, Endpoint, Exchanger, HttpClient, Limits, Retries, TokenExchange,
/// };
///
/// /// A driver makes one exchanger and keeps it.
/// fn exchanger() -> Result<Exchanger, Box<dyn std::error::Error>> {
///     let client = HttpClient::new(&Authorities::System, Limits::default())?;
///     let retries = Retries { attempts: 5, first_pause: Duration::from_millis(100), ..Retries::default() };
///     Ok(Exchanger::new(client, Clock::system()).with_retries(retries))
/// }
///
/// async fn fetch(exchanger: &Exchanger, token: &Token) -> Result<Credentials, Box<dyn std::error::Error>> {
///     let sts = TokenExchange::new(Endpoint::parse("https://sts.example/token")?).audience("payments")?;
///     Ok(exchanger.exchange(&sts, token).await?)
/// }
/// # let _ = (exchanger, fetch);
/// ```
#[derive(Clone, Debug)]
pub struct Exchanger {
    client: HttpClient,
    retries: Retries,
    clock: Clock,
}

impl Exchanger {
    /// An exchanger over this client, with the default retries.
    ///
    /// Shown at [`Exchanger`].
    #[must_use]
    pub fn new(client: HttpClient, clock: Clock) -> Self {
        Self { client, retries: Retries::default(), clock }
    }

    /// With other retries.
    ///
    /// Shown at [`Exchanger`].
    #[must_use]
    pub fn with_retries(mut self, retries: Retries) -> Self {
        self.retries = retries;
        self
    }

    /// Exchanges the token. What may go well a little later (no connection, no answer in time, 429, 5xx) is tried again within the client's
    /// total limit, and not before the time that the server names in Retry-After.
    ///
    /// Shown at [`Exchanger`].
    ///
    /// # Errors
    /// That of the last attempt.
    pub async fn exchange(
        &self,
        exchange: &(dyn Exchange + '_),
        token: &Token,
    ) -> Result<Credentials, ExchangeError> {
        if token.is_empty() {
            return Err(ExchangeError::NoToken);
        }
        let end = Instant::now() + self.client.limits().total;
        let mut attempt = 1;
        loop {
            let limit = end.saturating_duration_since(Instant::now());
            let attempted = tokio::time::timeout(limit, self.attempt(exchange, token)).await;
            let (error, wanted) = match attempted {
                Ok(Ok(credentials)) => return Ok(credentials),
                Ok(Err(failed)) => failed,
                Err(_) => {
                    let origin = exchange.endpoint().origin().to_owned();
                    return Err(ExchangeError::TooSlow { origin, limit: self.client.limits().total });
                }
            };
            let left = end.saturating_duration_since(Instant::now());
            let again = error.is_transient().then(|| self.retries.pause(attempt, wanted, left, chance()));
            let Some(pause) = again.flatten() else { return Err(error) };
            let error = with_causes(&error);
            tracing::debug!(attempt, ?pause, error, "trying the exchange again");
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    /// One attempt; a failure comes with the server's wish when to be asked again.
    async fn attempt(
        &self,
        exchange: &(dyn Exchange + '_),
        token: &Token,
    ) -> Result<Credentials, (ExchangeError, Option<Duration>)> {
        let endpoint = exchange.endpoint();
        let origin = || endpoint.origin().to_owned();
        let limits = self.client.limits();
        let request = request(exchange, token).map_err(|source| {
            let source = Box::new(source);
            (ExchangeError::Broken { origin: origin(), step: crate::Step::Send, source }, None)
        })?;
        let received = self.client.send(request).await.map_err(|error| {
            let error = match error {
                SendError::Broken { step, source } => {
                    ExchangeError::Broken { origin: origin(), step, source }
                }
                SendError::TooLong => ExchangeError::TooLong { origin: origin(), most: limits.body },
                SendError::TooSlow => ExchangeError::TooSlow { origin: origin(), limit: limits.attempt },
            };
            (error, None)
        })?;
        if (300..400).contains(&received.status) {
            return Err((ExchangeError::Redirected { origin: origin(), status: received.status }, None));
        }
        let now = self.clock.now();
        let wanted = retry_after(&received.headers, SystemTime::from(now));
        let answer = Answer::from_zeroizing(received.status, received.body, token);
        exchange
            .credentials(&answer, now)
            .map_err(|source| (ExchangeError::Answer { origin: origin(), source }, wanted))
    }
}

fn request(exchange: &(dyn Exchange + '_), token: &Token) -> Result<http::Request<Full<Bytes>>, http::Error> {
    let mut request = exchange.request(token);
    let mut http = http::Request::post(exchange.endpoint().uri().clone())
        .header(header::CONTENT_TYPE, request.content_type)
        .header(header::ACCEPT, request.accept)
        .header(header::USER_AGENT, concat!("tokenward/", env!("CARGO_PKG_VERSION")));
    for (name, value) in std::mem::take(&mut request.headers) {
        http = http.header(name, value);
    }
    // Overwritten once the connection has let go of it.
    http.body(Full::new(Bytes::from_owner(request.into_body())))
}

/// Retry-After (RFC 9110, 10.2.3): seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// A number of `0.0..1.0` from the generator of the keys; a half when there is none: pauses need no secrets.
fn chance() -> f64 {
    let mut bytes = [0; 4];
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_ne_bytes(bytes)) / (f64::from(u32::MAX) + 1.0),
        Err(_) => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_seconds_or_a_date() {
        let now = SystemTime::from("2026-03-01T12:00:00Z".parse::<jiff::Timestamp>().unwrap());
        let table = [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 01 Mar 2026 12:00:30 GMT", Some(30)),
            ("Sun, 01 Mar 2026 11:59:30 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ];
        for (text, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, text.parse().unwrap());
            assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs), "{text:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn chance_is_below_one() {
        for _ in 0..1000 {
            assert!((0.0..1.0).contains(&chance()));
        }
    }
}
