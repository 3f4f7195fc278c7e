//! One key of the cache: its token, who holds it, when it is refreshed, and what went wrong.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokenward_tokens::Audience;
use tokenward_tokens::due::{Spread, TokenLifetime, expired, planned_refresh, refresh_due};
use tracing::debug;

use super::super::TokenError;
use super::{Flight, Holder};
use crate::cluster::{ClusterError, GrantedToken, PodReference, TokenRequest};
use crate::planner::Due;

/// The wait after a failed request, as that between retries of a volume (500 ms doubling to 2 min 2 s). Each is shortened
/// by up to half: those who failed together do not ask together again.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(122);

#[derive(Debug)]
pub(super) struct Entry {
    pod: Arc<PodReference>,
    service_account: Box<str>,
    audience: Audience,
    expiration_seconds: Option<i64>,
    driver: Box<str>,
    /// The volumes of the pod that are given the token, and whether they are republished.
    holders: Vec<(Box<str>, bool)>,
    current: Option<GrantedToken>,
    planned: Option<Due>,
    flight: Option<InFlight>,
    trouble: Option<Box<Trouble>>,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    flight: Flight,
    /// It was made ahead of need.
    is_planned: bool,
}

#[derive(Debug)]
struct Trouble {
    failure: ClusterError,
    last_wait: Duration,
    retry: Due,
}

impl Entry {
    pub(super) fn new(pod: Arc<PodReference>, request: &TokenRequest) -> Self {
        Self {
            pod,
            service_account: request.service_account.as_str().into(),
            audience: request.audience.clone(),
            expiration_seconds: request.expiration_seconds,
            driver: Box::default(),
            holders: Vec::with_capacity(1),
            current: None,
            planned: None,
            flight: None,
            trouble: None,
        }
    }

    pub(super) fn is(&self, request: &TokenRequest) -> bool {
        self.audience == request.audience
            && self.expiration_seconds == request.expiration_seconds
            && *self.service_account == *request.service_account
            && *self.pod == request.pod
    }

    pub(super) fn request(&self) -> TokenRequest {
        TokenRequest {
            pod: (*self.pod).clone(),
            service_account: self.service_account.to_string(),
            audience: self.audience.clone(),
            expiration_seconds: self.expiration_seconds,
        }
    }

    pub(super) fn pod(&self) -> &PodReference {
        &self.pod
    }

    pub(super) fn shared_pod(&self) -> Arc<PodReference> {
        Arc::clone(&self.pod)
    }

    pub(super) fn is_of_account(&self, namespace: &str, name: &str) -> bool {
        *self.service_account == *name && self.pod.namespace == namespace
    }

    pub(super) fn driver(&self) -> &str {
        &self.driver
    }

    pub(super) fn hold(&mut self, holder: Holder<'_>) {
        if *self.driver != *holder.driver {
            self.driver = holder.driver.into();
        }
        match self.holders.iter_mut().find(|(volume, _)| **volume == *holder.volume) {
            Some((_, is_republished)) => *is_republished = holder.is_republished,
            None => self.holders.push((holder.volume.into(), holder.is_republished)),
        }
    }

    /// Whether anybody holds it when this volume does no more.
    pub(super) fn let_go(&mut self, volume: &str) -> bool {
        self.holders.retain(|(holder, _)| **holder != *volume);
        !self.holders.is_empty()
    }

    pub(super) fn holders(&self) -> impl Iterator<Item = &str> {
        self.holders.iter().map(|(volume, _)| &**volume)
    }

    pub(super) fn is_held_by(&self, volume: &str) -> bool {
        self.holders().any(|holder| holder == volume)
    }

    /// Refreshed ahead of need only for these volumes.
    pub(super) fn refresh_only(&mut self, is_republished: impl Fn(&str) -> bool) {
        for (volume, republished) in &mut self.holders {
            *republished = is_republished(volume);
        }
        if !self.is_republished() {
            self.planned = None;
        }
    }

    fn is_republished(&self) -> bool {
        self.holders.iter().any(|(_, is_republished)| *is_republished)
    }

    pub(super) fn has_token(&self) -> bool {
        self.current.is_some()
    }

    pub(super) fn expires(&self) -> Option<Timestamp> {
        self.current.as_ref().map(|granted| granted.expires)
    }

    pub(super) fn fresh(&self, jitter: Duration, now: Timestamp) -> Option<&GrantedToken> {
        self.current.as_ref().filter(|granted| !refresh_due(&lifetime(granted), jitter, now))
    }

    pub(super) fn flight(&self) -> Option<Flight> {
        self.flight.map(|flying| flying.flight)
    }

    pub(super) fn took_off(&mut self, flight: Flight, is_planned: bool) {
        self.flight = Some(InFlight { flight, is_planned });
        self.planned = None;
    }

    /// The failure after which it is too early to ask again.
    pub(super) fn recent_failure(&self, now: Timestamp) -> Option<ClusterError> {
        let trouble = self.trouble.as_ref()?;
        trouble.retry.waits_until(now).map(|_| trouble.failure.clone())
    }

    pub(super) fn planned(&self) -> Option<Timestamp> {
        self.planned.as_ref().map(Due::at)
    }

    pub(super) fn is_due(&self, now: Timestamp, slack: Duration) -> bool {
        let slack = SignedDuration::try_from(slack).unwrap_or(SignedDuration::ZERO);
        self.flight.is_none()
            && self.planned.is_some_and(|planned| planned.waits_until(now).is_none_or(|at| at - slack <= now))
    }

    /// Plans the next refresh, unless there is a plan or nobody is served by one.
    pub(super) fn plan(&mut self, spread: Spread, turn: f64, now: Timestamp) {
        if self.planned.is_some() || self.flight.is_some() || !self.is_republished() {
            return;
        }
        let Some(granted) = &self.current else { return };
        self.planned = planned_refresh(&lifetime(granted), spread, turn).map(|at| Due::at_moment(at, now));
    }

    pub(super) fn landed(
        &mut self,
        request: &TokenRequest,
        answer: Result<GrantedToken, ClusterError>,
        turn: f64,
        fraction: f64,
        now: Timestamp,
    ) -> Result<GrantedToken, TokenError> {
        let was_planned = self.flight.take().is_some_and(|flying| flying.is_planned);
        match answer {
            Ok(granted) => {
                let is_steady = was_planned && self.current.is_some() && self.trouble.is_none();
                self.current = Some(granted.clone());
                self.trouble = None;
                self.planned = None;
                self.plan(if is_steady { Spread::Narrow } else { Spread::Wide }, turn, now);
                Ok(granted)
            }
            Err(failure) => {
                let last_wait = self.trouble.as_ref().map_or(Duration::ZERO, |trouble| trouble.last_wait);
                let wait = (last_wait * 2).clamp(FIRST_WAIT, LONGEST_WAIT);
                let retry = Due::after(now, wait.mul_f64(0.5 + 0.5 * fraction));
                self.trouble = Some(Box::new(Trouble { failure: failure.clone(), last_wait: wait, retry }));
                self.planned = Some(retry).filter(|_| self.is_republished());
                self.conclude(request, failure, now)
            }
        }
    }

    pub(super) fn abandoned(&mut self, now: Timestamp) {
        self.flight = None;
        self.planned = Some(Due::after(now, FIRST_WAIT)).filter(|_| self.is_republished());
    }

    /// What a failure means: nothing yet while the old token lives.
    pub(super) fn conclude(
        &self,
        request: &TokenRequest,
        failure: ClusterError,
        now: Timestamp,
    ) -> Result<GrantedToken, TokenError> {
        match &self.current {
            Some(granted) if !expired(granted.expires, now) => {
                let TokenRequest { pod, service_account, audience, .. } = request;
                debug!(%pod, %service_account, %audience, error = %failure, "Couldn't update token");
                Ok(granted.clone())
            }
            Some(_) => Err(TokenError::expired(request, failure)),
            None => Err(TokenError::fetch(request, failure)),
        }
    }

    /// Drops an expired token. False: nothing is left worth keeping.
    pub(super) fn survives_sweep(&mut self, now: Timestamp) -> bool {
        if self.flight.is_some() || self.expires().is_some_and(|expires| !expired(expires, now)) {
            return true;
        }
        self.current = None;
        // What went wrong is remembered, or it would be tried again at once.
        self.planned.is_some() || self.trouble.is_some()
    }

    /// Drops a token that was issued for another service account of the same name. A token that does not say for which is
    /// given the benefit of the doubt, unless there is no account at all.
    pub(super) fn drop_unless_of(&mut self, wanted: Option<&str>) -> bool {
        let Some(granted) = &self.current else { return false };
        let issued_for = granted.token.service_account_uid();
        if wanted.is_some() && (issued_for.is_none() || issued_for.as_deref() == wanted) {
            return false;
        }
        // Whoever publishes the volume fetches another.
        self.current = None;
        self.trouble = None;
        self.planned = None;
        true
    }
}

fn lifetime(granted: &GrantedToken) -> TokenLifetime {
    TokenLifetime { expires: granted.expires, ttl_seconds: granted.ttl_seconds }
}
