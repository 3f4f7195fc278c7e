//! Who asks, by certificate or token; and whether they may. Both with a kubelet's times.

use std::time::Duration;

use http::{HeaderMap, header};
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use tokenward_node::ClusterError;
use tokenward_tokens::Token;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::access::{AccessReview, Reviews, User};
use crate::memory::Memory;

const TOKEN_HOLDS: Duration = Duration::from_secs(120);
const ALLOWED_HOLDS: Duration = Duration::from_secs(300);
const DENIED_HOLDS: Duration = Duration::from_secs(30);

/// What was answered before.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// By the token's digest.
    tokens: Memory<[u8; 32], User>,
    reviews: Memory<AccessReview, bool>,
}

impl Answers {
    /// The user of a request; `None` when nobody is known.
    ///
    /// # Errors
    /// The API server could not be asked.
    pub(crate) async fn user(
        &self,
        reviews: &impl Reviews,
        certificate: Option<&CertificateDer<'_>>,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Option<User>, ClusterError> {
        if let Some(user) = certificate.and_then(of_certificate) {
            return Ok(Some(user));
        }
        let Some(token) = bearer(headers) else { return Ok(None) };
        let digest: [u8; 32] = Sha256::digest(token.expose_token()).into();
        if let Some(user) = self.tokens.get(&digest, now) {
            return Ok(Some(user));
        }
        let user = reviews.token_review(&token).await?;
        if let Some(user) = &user {
            self.tokens.put(digest, user.clone(), now, TOKEN_HOLDS);
        }
        Ok(user)
    }

    /// Whether it is allowed.
    ///
    /// # Errors
    /// The API server could not be asked.
    pub(crate) async fn may(
        &self,
        reviews: &impl Reviews,
        review: AccessReview,
        now: Timestamp,
    ) -> Result<bool, ClusterError> {
        if let Some(known) = self.reviews.get(&review, now) {
            return Ok(known);
        }
        let is_allowed = reviews.access_review(&review).await?;
        self.reviews.put(review, is_allowed, now, if is_allowed { ALLOWED_HOLDS } else { DENIED_HOLDS });
        Ok(is_allowed)
    }
}

/// A certificate that the handshake has verified: its common name and organizations, as Kubernetes reads them.
fn of_certificate(certificate: &CertificateDer<'_>) -> Option<User> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let groups = subject.iter_organization().filter_map(|group| group.as_str().ok().map(str::to_owned));
    (!name.is_empty()).then(|| User { name, groups: groups.collect(), ..User::default() })
}

fn bearer(headers: &HeaderMap) -> Option<Token> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| Token::new(token.to_owned()))
}
