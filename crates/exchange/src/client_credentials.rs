//! How a confidential client says to a token endpoint who it is (RFC 6749, section 2.3.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use form_urlencoded::byte_serialize;
use http::HeaderValue;
use zeroize::Zeroizing;

use crate::exchange::check;
use crate::{ParameterError, Secret};

/// Longest id and secret, in bytes.
const LONGEST: usize = 1024;

/// Where the client's id and secret stand in the request; the names are those of RFC 7591, section 2.
///
/// Shown at [`ClientCredentials`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientAuthentication {
    /// `client_secret_basic`: in the header `Authorization`. Every server takes it.
    #[default]
    Basic,
    /// `client_secret_post`: in the form.
    Post,
}

/// A client's id and secret. `Debug` shows the id alone.
///
/// ```
/// use tokenward_exchange::{ClientAuthentication, ClientCredentials, Endpoint, Secret, TokenExchange};
///
/// let secret = Secret::new("gX1fBat3bV".to_owned());
/// let client = ClientCredentials::new("s6BhdRkqt3", secret, ClientAuthentication::Basic)?;
/// assert!(!format!("{client:?}").contains("gX1"));
/// let exchange = TokenExchange::new(Endpoint::parse("https://sts.example/token")?).client_credentials(client);
/// # let _ = exchange;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCredentials {
    id: String,
    secret: Secret,
    authentication: ClientAuthentication,
}

impl ClientCredentials {
    /// The credentials, and how they are sent.
    ///
    /// Shown at [`ClientCredentials`].
    ///
    /// # Errors
    /// When the id has spaces or characters that are not visible ASCII, or the secret is empty or has control characters or such that are not
    /// ASCII (RFC 6749, appendix A). The secret is not quoted.
    pub fn new(
        id: impl Into<String>,
        secret: Secret,
        authentication: ClientAuthentication,
    ) -> Result<Self, ParameterError> {
        let id = id.into();
        check("client_id", &id, LONGEST)?;
        let bytes = secret.expose_secret().as_bytes();
        if !(1..=LONGEST).contains(&bytes.len()) || !bytes.iter().all(|byte| (b' '..=b'~').contains(byte)) {
            let wanted = "1 to 1024 ASCII characters without line breaks";
            return Err(ParameterError { parameter: "client_secret", wanted });
        }
        Ok(Self { id, secret, authentication })
    }

    /// The fields of the form.
    pub(crate) fn fields(&self) -> Vec<(&'static str, &str)> {
        match self.authentication {
            ClientAuthentication::Basic => Vec::new(),
            ClientAuthentication::Post => {
                vec![("client_id", &self.id), ("client_secret", self.secret.expose_secret())]
            }
        }
    }

    /// The value of `Authorization`. Both halves are encoded as in a form first: a `:` in the id would otherwise be its end.
    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        if self.authentication != ClientAuthentication::Basic {
            return None;
        }
        let (id, secret) = (self.id.as_bytes(), self.secret.expose_secret().as_bytes());
        // Room for the worst case: buffers that grow leave copies of the secret behind.
        let mut pair = Zeroizing::new(String::with_capacity(3 * (id.len() + secret.len()) + 1));
        pair.extend(byte_serialize(id));
        pair.push(':');
        pair.extend(byte_serialize(secret));
        let mut value = Zeroizing::new(String::with_capacity("Basic ".len() + pair.len().div_ceil(3) * 4));
        value.push_str("Basic ");
        STANDARD.encode_string(pair.as_bytes(), &mut value);
        // Overwritten once the connection has let go of it.
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(ZeroizedText(value))).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// What no description of an answer may repeat: the secret as it is, and as it was sent.
    pub(crate) fn secrets(&self) -> Vec<Zeroizing<String>> {
        let plain = Zeroizing::new(self.secret.expose_secret().to_owned());
        let mut in_form = Zeroizing::new(String::with_capacity(3 * plain.len()));
        in_form.extend(byte_serialize(plain.as_bytes()));
        let header = self.authorization();
        let sent =
            header.as_ref().and_then(|value| value.to_str().ok()).and_then(|value| value.split_once(' '));
        [plain, in_form].into_iter().chain(sent.map(|(_, pair)| Zeroizing::new(pair.to_owned()))).collect()
    }
}

struct ZeroizedText(Zeroizing<String>);

impl AsRef<[u8]> for ZeroizedText {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(
        id: &str,
        secret: &str,
        by: ClientAuthentication,
    ) -> Result<ClientCredentials, ParameterError> {
        ClientCredentials::new(id, Secret::new(secret.to_owned()), by)
    }

    #[test]
    fn the_header_is_that_of_the_rfc() {
        let table = [
            // The example of RFC 6749, section 2.3.1.
            ("s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw", "Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3"),
            // `a%3Ab:p+w%25`
            ("a:b", "p w%", "Basic YSUzQWI6cCt3JTI1"),
        ];
        for (id, secret, expected) in table {
            let credentials = credentials(id, secret, ClientAuthentication::Basic).unwrap();
            let header = credentials.authorization().unwrap();
            assert_eq!(header.to_str().unwrap(), expected);
            assert!(header.is_sensitive() && credentials.fields().is_empty());
        }
    }

    #[test]
    fn the_form_has_them_otherwise() {
        let credentials = credentials("id", "s3cret", ClientAuthentication::Post).unwrap();
        assert_eq!(credentials.fields(), [("client_id", "id"), ("client_secret", "s3cret")]);
        assert_eq!(credentials.authorization(), None);
        assert!(!format!("{credentials:?}").contains("s3cret"));
    }

    #[test]
    fn no_form_of_the_secret_may_be_repeated() {
        for by in [ClientAuthentication::Basic, ClientAuthentication::Post] {
            let known = credentials("id", "p+ss/w=rd", by).unwrap().secrets();
            for form in ["p+ss/w=rd", "p%2Bss%2Fw%3Drd"] {
                assert!(known.iter().any(|secret| secret.as_str() == form), "{form}");
            }
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused_without_being_shown() {
        for (id, secret) in
            [("", "s"), ("a b", "s"), ("a", ""), ("a", "s3cret\n"), ("a", "s3crüt"), ("a", &"s".repeat(1025))]
        {
            let error = credentials(id, secret, ClientAuthentication::Basic).unwrap_err();
            assert!(!error.to_string().contains("s3cr"), "{error}");
        }
    }
}
