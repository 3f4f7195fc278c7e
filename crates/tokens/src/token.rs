//! One service account token, whose default is silence.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use zeroize::Zeroizing;

/// A service account token. Clones share one text, which is overwritten when the last of them goes.
///
/// `Debug` shows audience, subject and expiry, read from the token without verifying it, and nothing at all of a text
/// that is not a token. There is no `Display` and no `Serialize`.
///
/// Equality is not constant-time: it compares tokens one already holds, it does not authenticate.
///
/// ```
/// use tokenward_tokens::Token;
///
/// // The claims: {"aud":["vault"],"kubernetes.io":{"serviceaccount":{"uid":"u-1"}}}
/// let claims = "eyJhdWQiOlsidmF1bHQiXSwia3ViZXJuZXRlcy5pbyI6eyJzZXJ2aWNlYWNjb3VudCI6eyJ1aWQiOiJ1LTEifX19";
/// let token = Token::new(format!("eyJhbGciOiJFUzI1NiJ9.{claims}.c2ln"));
/// assert!(format!("{token:?}").starts_with(r#"Token { audiences: ["vault"], "#));
/// assert_eq!(token.service_account_uid().as_deref(), Some("u-1"));
/// assert!(token.expose_token().ends_with(".c2ln"));
/// assert!(!token.is_empty());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Arc<Zeroizing<String>>);

impl Token {
    /// Takes a token's text over. Any text will do: whether it is a token is for whoever verifies it.
    ///
    /// Shown at [`Token`].
    pub fn new(text: String) -> Self {
        Self(Arc::new(Zeroizing::new(text)))
    }

    /// The token itself, for the wire or for the file that the pod reads, and for nothing else.
    ///
    /// Shown at [`Token`].
    pub fn expose_token(&self) -> &str {
        &self.0
    }

    /// The uid of the service account that the token says it was issued for, unverified. `None` of what is no token of
    /// Kubernetes.
    ///
    /// Shown at [`Token`].
    pub fn service_account_uid(&self) -> Option<String> {
        let claims = tokenward_jose::peek_claims(&self.0).ok()?;
        claims.kubernetes.map(|bound| bound.serviceaccount.uid).filter(|uid| !uid.is_empty())
    }

    /// Whether there is no text at all (an entry without `token`).
    ///
    /// Shown at [`Token`].
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(claims) = tokenward_jose::peek_claims(&self.0) else {
            return f.write_str(if self.is_empty() { "Token(empty)" } else { "Token(malformed)" });
        };
        let expires = claims.exp.and_then(|seconds| Timestamp::from_second(seconds).ok());
        f.debug_struct("Token")
            .field("audiences", &claims.aud.0)
            .field("subject", &claims.sub)
            .field("expires", &expires.map(bare))
            .finish()
    }
}

/// A time that prints bare, without the quotes of a string.
fn bare(time: Timestamp) -> impl fmt::Debug {
    struct Bare(Timestamp);
    impl fmt::Debug for Bare {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            fmt::Display::fmt(&self.0, f)
        }
    }
    Bare(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Claims as JSON, made a token with a header and a signature that can be recognised.
    fn token(claims: &str) -> Token {
        let segment = |bytes: &str| tokenward_jose::encode_segment(bytes.as_bytes());
        Token::new(format!("{}.{}.{}", segment(r#"{"alg":"none"}"#), segment(claims), segment("signature")))
    }

    #[test]
    fn debug_shows_whom_and_until_when() {
        let token =
            token(r#"{"aud":["vault"],"exp":1800000000,"sub":"system:serviceaccount:apps:web","jti":"id"}"#);
        assert_eq!(
            format!("{token:?}"),
            r#"Token { audiences: ["vault"], subject: "system:serviceaccount:apps:web", expires: Some(2027-01-15T08:00:00Z) }"#
        );
    }

    #[test]
    fn a_token_says_whose_it_is() {
        let uid = |claims: &str| token(claims).service_account_uid();
        assert_eq!(
            uid(r#"{"kubernetes.io":{"serviceaccount":{"name":"web","uid":"u"}}}"#).as_deref(),
            Some("u")
        );
        assert_eq!(uid(r#"{"kubernetes.io":{"serviceaccount":{"name":"web"}}}"#), None);
        assert_eq!(uid(r#"{"sub":"s"}"#), None);
        assert_eq!(Token::new("opaque".to_owned()).service_account_uid(), None);
    }

    #[test]
    fn debug_shows_nothing_of_the_text() {
        let whole = token(r#"{"sub":"s"}"#);
        for segment in whole.expose_token().split('.') {
            assert!(!format!("{whole:?} {whole:#?}").contains(segment));
        }
        for malformed in ["canary", "canary.canary", "canary.canary.canary", "e30.ImNhbmFyeSI.canary"] {
            assert_eq!(format!("{:?}", Token::new(malformed.into())), "Token(malformed)");
        }
        assert_eq!(format!("{:?}", Token::new(String::new())), "Token(empty)");
    }

    #[test]
    fn an_expiry_out_of_range_is_not_shown() {
        assert!(format!("{:?}", token(r#"{"exp":9223372036854775807}"#)).contains("expires: None"));
    }
}
