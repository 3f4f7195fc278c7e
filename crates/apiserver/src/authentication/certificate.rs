//! Client certificates: whom a verified one names, and what becomes of one that is not good.
//!
//! The TLS handshake lets every certificate pass whose key the peer holds; whether to believe it is decided here, so
//! that a client with a bad one reads a 401 and not a broken connection, as with upstream.

use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::User;

/// The client certificate of a connection, put into each of its requests' extensions.
#[derive(Clone, Debug)]
pub enum ClientCertificate {
    /// It leads to no authority that is believed, or is not for clients, or not good at the time.
    Refused,
    /// It is good until `expires`. Without a common name it names nobody.
    Verified {
        /// Whom it names.
        user: Option<Arc<User>>,
        /// When it ends: a connection may outlive it.
        expires: Timestamp,
    },
}

/// A certificate, or a bearer token, that is good for nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadCredentials;

impl ClientCertificate {
    /// Reads a leaf certificate whose chain has been verified: the common name is the user, the organizations are the
    /// groups.
    #[must_use]
    pub fn verified(der: &[u8]) -> Self {
        let Ok((_, certificate)) = x509_parser::parse_x509_certificate(der) else { return Self::Refused };
        let end = certificate.validity().not_after.timestamp();
        let Ok(expires) = Timestamp::from_second(end) else { return Self::Refused };
        let subject = certificate.subject();
        // Of several the last one counts, as it does for whoever reads certificates in Go.
        let name = subject.iter_common_name().last().and_then(|name| name.as_str().ok());
        let user = name.filter(|name| !name.is_empty()).map(|name| {
            let groups = subject.iter_organization().filter_map(|group| group.as_str().ok());
            let mut user = User::authenticated(name, groups.map(str::to_owned));
            let id = format!("X509SHA256={}", hexadecimal(&Sha256::digest(der)));
            user.extra.insert("authentication.kubernetes.io/credential-id".to_owned(), vec![id]);
            Arc::new(user)
        });
        Self::Verified { user, expires }
    }

    /// Whom it names at `now`.
    pub(crate) fn user(&self, now: Timestamp) -> Result<Option<Arc<User>>, BadCredentials> {
        match self {
            Self::Verified { user, expires } if now <= *expires => Ok(user.clone()),
            _ => Err(BadCredentials),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(attributes: &[(rcgen::DnType, &str)]) -> Vec<u8> {
        let mut parameters = rcgen::CertificateParams::default();
        let mut name = rcgen::DistinguishedName::new();
        for (kind, value) in attributes {
            name.push(kind.clone(), *value);
        }
        parameters.distinguished_name = name;
        parameters.not_after = rcgen::date_time_ymd(2030, 1, 1);
        let key = rcgen::KeyPair::generate().expect("a key");
        parameters.self_signed(&key).expect("a certificate").der().to_vec()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn certificates_name_users_and_groups_until_they_end() {
        let der = certificate(&[
            (rcgen::DnType::CommonName, "system:node:n1"),
            (rcgen::DnType::OrganizationName, "system:nodes"),
        ]);
        let certificate = ClientCertificate::verified(&der);
        let user = certificate.user(at("2029-12-31T00:00:00Z")).expect("good").expect("somebody");
        assert_eq!(user.node(), Some("n1"));
        assert!(user.is_in("system:authenticated"));
        let id = &user.extra["authentication.kubernetes.io/credential-id"][0];
        assert!(id.starts_with("X509SHA256=") && id.len() == 11 + 64, "{id}");
        assert_eq!(certificate.user(at("2030-01-02T00:00:00Z")).unwrap_err(), BadCredentials);
    }

    #[test]
    fn one_without_a_name_is_nobody_and_a_bad_one_is_refused() {
        let now = at("2029-01-01T00:00:00Z");
        let nameless = certificate(&[(rcgen::DnType::OrganizationName, "system:masters")]);
        assert_eq!(ClientCertificate::verified(&nameless).user(now), Ok(None));
        assert_eq!(ClientCertificate::Refused.user(now), Err(BadCredentials));
        assert_eq!(ClientCertificate::verified(b"not a certificate").user(now), Err(BadCredentials));
    }
}
