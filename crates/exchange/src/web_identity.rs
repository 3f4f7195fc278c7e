//! AssumeRoleWithWebIdentity of the AWS Security Token Service, and of those that speak like it (MinIO, Ceph, Alibaba's differs): a form
//! to the query API, an XML answer.

use jiff::Timestamp;
use tokenward_tokens::Token;
use zeroize::Zeroizing;

use crate::exchange::check;
use crate::xml::texts;
use crate::{
    Answer, AnswerError, AwsSession, Credentials, Endpoint, Exchange, ParameterError, Refusal, Request,
    Secret,
};

const VERSION: &str = "2011-06-15";
/// Longest session name.
const LONGEST_NAME: usize = 64;
/// Codes with HTTP status 400 after which the same request may go well.
const TRANSIENT: [&str; 4] =
    ["IDPCommunicationError", "RequestThrottled", "Throttling", "ThrottlingException"];

/// The service account token and a role, for the keys of a temporary session.
///
/// ```
/// use tokenward_exchange::{Endpoint, Exchange as _, SessionName, WebIdentity, tokens::Token};
///
/// let sts = Endpoint::parse("https://sts.eu-central-1.amazonaws.com/")?;
/// let name = SessionName::for_pod("shop", "web-0")?;
/// assert_eq!(name.as_str(), "shop.web-0");
/// let exchange = WebIdentity::new(sts, "arn:aws:iam::123456789012:role/shop", name)?.duration_seconds(900)?;
/// let request = exchange.request(&Token::new("a.b.c".to_owned()));
/// let form = String::from_utf8(request.expose_body().to_vec())?;
/// for field in ["WebIdentityToken=a.b.c", "RoleSessionName=shop.web-0", "DurationSeconds=900"] {
///     assert!(form.split('&').any(|given| given == field), "{field}");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct WebIdentity {
    endpoint: Endpoint,
    role_arn: String,
    session_name: SessionName,
    duration_seconds: Option<u32>,
}

/// `RoleSessionName`: 2 to 64 letters, digits and `_+=,.@-`. It stands in every record of the cloud's audit log.
///
/// ```
/// use tokenward_exchange::SessionName;
///
/// assert_eq!(SessionName::parse("shop.web-0")?.as_str(), "shop.web-0");
/// assert!(SessionName::parse("shop/web-0").is_err());
/// # Ok::<(), tokenward_exchange::ParameterError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionName(String);

impl SessionName {
    /// Checks a name.
    ///
    /// Shown at [`SessionName`].
    ///
    /// # Errors
    /// When it is shorter or longer, or has other characters.
    pub fn parse(name: impl Into<String>) -> Result<Self, ParameterError> {
        let name = name.into();
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
        if (2..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(is_good) {
            return Ok(Self(name));
        }
        let wanted = "2 to 64 letters, digits and `_+=,.@-`";
        Err(ParameterError { parameter: "RoleSessionName", wanted })
    }

    /// `NAMESPACE.POD`, cut to what is allowed: whoever reads the audit log finds the pod.
    ///
    /// Shown at [`WebIdentity`].
    ///
    /// # Errors
    /// When the names are not those of Kubernetes objects.
    pub fn for_pod(namespace: &str, pod: &str) -> Result<Self, ParameterError> {
        Self::parse(format!("{namespace}.{pod}").chars().take(LONGEST_NAME).collect::<String>())
    }

    /// The name.
    ///
    /// Shown at [`SessionName`].
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl WebIdentity {
    /// An exchange at this URL (`https://sts.eu-central-1.amazonaws.com/`) for a session in this role.
    ///
    /// Shown at [`WebIdentity`].
    ///
    /// # Errors
    /// When the role is not an ARN.
    pub fn new(
        endpoint: Endpoint,
        role_arn: impl Into<String>,
        session_name: SessionName,
    ) -> Result<Self, ParameterError> {
        let role_arn = role_arn.into();
        check("RoleArn", &role_arn, 2048)?;
        if role_arn.len() < 20 || !role_arn.starts_with("arn:") {
            let wanted = "the ARN of a role, such as arn:aws:iam::123456789012:role/shop";
            return Err(ParameterError { parameter: "RoleArn", wanted });
        }
        Ok(Self { endpoint, role_arn, session_name, duration_seconds: None })
    }

    /// How long the session shall last: 900 to 43200 seconds, and no longer than the role allows. The server's default is an hour.
    ///
    /// Shown at [`WebIdentity`].
    ///
    /// # Errors
    /// When it is outside of that.
    pub fn duration_seconds(mut self, seconds: u32) -> Result<Self, ParameterError> {
        if !(900..=43_200).contains(&seconds) {
            let wanted = "900 to 43200 seconds";
            return Err(ParameterError { parameter: "DurationSeconds", wanted });
        }
        self.duration_seconds = Some(seconds);
        Ok(self)
    }
}

impl Exchange for WebIdentity {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn request(&self, token: &Token) -> Request {
        let duration = self.duration_seconds.map(|seconds| seconds.to_string());
        let mut fields = vec![
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", VERSION),
            ("RoleArn", self.role_arn.as_str()),
            ("RoleSessionName", self.session_name.as_str()),
        ];
        fields.extend(duration.as_deref().map(|seconds| ("DurationSeconds", seconds)));
        fields.push(("WebIdentityToken", token.expose_token()));
        Request::form("application/xml", &fields)
    }

    fn credentials(&self, answer: &Answer, now: Timestamp) -> Result<Credentials, AnswerError> {
        if !answer.is_success() {
            return Err(AnswerError::Refused(refusal(answer)));
        }
        let [access_key_id, secret_access_key, session_token, expiration] =
            texts(answer.expose_body(), CREDENTIALS).map_err(|_| AnswerError::Xml)?;
        let secret = |text: Option<Zeroizing<String>>, name| {
            let text = text.ok_or(AnswerError::Missing(name))?;
            let secret = Secret::new(text.as_str().to_owned());
            if secret.is_credential() { Ok(secret) } else { Err(AnswerError::Value(name)) }
        };
        let session = AwsSession {
            access_key_id: secret(access_key_id, "AccessKeyId")?,
            secret_access_key: secret(secret_access_key, "SecretAccessKey")?,
            session_token: secret(session_token, "SessionToken")?,
            expires: expiration
                .ok_or(AnswerError::Missing("Expiration"))?
                .parse()
                .map_err(|_| AnswerError::Value("Expiration"))?,
        };
        if session.expires <= now {
            return Err(AnswerError::Expired);
        }
        Ok(Credentials::Aws(session))
    }
}

macro_rules! credential {
    ($name:literal) => {
        &["AssumeRoleWithWebIdentityResponse", "AssumeRoleWithWebIdentityResult", "Credentials", $name]
    };
}

const CREDENTIALS: [&[&str]; 4] = [
    credential!("AccessKeyId"),
    credential!("SecretAccessKey"),
    credential!("SessionToken"),
    credential!("Expiration"),
];

fn refusal(answer: &Answer) -> Refusal {
    let paths: [&[&str]; 2] = [&["ErrorResponse", "Error", "Code"], &["ErrorResponse", "Error", "Message"]];
    let mut refusal = Refusal::new(answer.status());
    if let Ok([code, message]) = texts(answer.expose_body(), paths) {
        refusal.transient |= code.as_ref().is_some_and(|code| TRANSIENT.contains(&code.as_str()));
        refusal.code = code.and_then(|code| answer.describe(&code));
        refusal.description = message.and_then(|message| answer.describe(&message));
    }
    refusal
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "arn:aws:iam::123456789012:role/shop";

    fn exchange() -> WebIdentity {
        let endpoint = Endpoint::parse("https://sts.example/").unwrap();
        WebIdentity::new(endpoint, ROLE, SessionName::for_pod("apps", "shop-0").unwrap()).unwrap()
    }

    fn read(status: u16, body: &str) -> Result<Credentials, AnswerError> {
        let sent = Token::new("c4n4ry-c4n4ry-c4n4ry-c4n4ry".to_owned());
        let answer = Answer::new(status, body.as_bytes().to_vec(), &sent);
        exchange().credentials(&answer, "2026-03-01T12:00:00Z".parse().unwrap())
    }

    fn good() -> String {
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n\
         <AssumeRoleWithWebIdentityResult>\n<Audience>sts.example</Audience>\n<Credentials>\n\
         <SessionToken>st+/=</SessionToken>\n<SecretAccessKey>sk</SecretAccessKey>\n\
         <Expiration>2026-03-01T13:00:00Z</Expiration>\n<AccessKeyId>ASIA</AccessKeyId>\n</Credentials>\n\
         </AssumeRoleWithWebIdentityResult>\n<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>\n\
         </AssumeRoleWithWebIdentityResponse>\n"
            .to_owned()
    }

    #[test]
    fn the_form_is_that_of_the_query_api() {
        let request = exchange().duration_seconds(900).unwrap().request(&Token::new("a.b.c".to_owned()));
        assert_eq!(
            String::from_utf8_lossy(request.expose_body()),
            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fshop\
             &RoleSessionName=apps.shop-0&DurationSeconds=900&WebIdentityToken=a.b.c"
        );
    }

    #[test]
    fn parameters_are_checked() {
        for seconds in [0, 899, 43_201] {
            assert!(exchange().duration_seconds(seconds).is_err());
        }
        for role in ["", "role/shop", "arn:a", "arn:aws:iam::123456789012:role/a b"] {
            let name = SessionName::parse("ab").unwrap();
            assert!(WebIdentity::new(exchange().endpoint, role, name).is_err(), "{role:?}");
        }
        for name in ["", "a", "a b", "a/b", &"a".repeat(65)] {
            assert!(SessionName::parse(name).is_err(), "{name:?}");
        }
        assert_eq!(SessionName::for_pod("apps", &"p".repeat(253)).unwrap().as_str().len(), 64);
    }

    #[test]
    fn a_session_is_read() {
        let Ok(Credentials::Aws(session)) = read(200, &good()) else { panic!("no session") };
        assert_eq!(session.access_key_id.expose_secret(), "ASIA");
        assert_eq!(session.secret_access_key.expose_secret(), "sk");
        assert_eq!(session.session_token.expose_secret(), "st+/=");
        assert_eq!(session.expires.to_string(), "2026-03-01T13:00:00Z");
    }

    #[test]
    fn half_a_session_is_none() {
        let table = [
            (good().replace("SessionToken", "Other"), AnswerError::Missing("SessionToken")),
            (good().replace("SecretAccessKey", "Other"), AnswerError::Missing("SecretAccessKey")),
            (good().replace("AccessKeyId", "Other"), AnswerError::Missing("AccessKeyId")),
            (good().replace("Expiration", "Other"), AnswerError::Missing("Expiration")),
            (good().replace("2026-03-01T13:00:00Z", "soon"), AnswerError::Value("Expiration")),
            (good().replace("2026-03-01T13", "2026-03-01T12"), AnswerError::Expired),
            (good().replace("ASIA", "A S"), AnswerError::Value("AccessKeyId")),
            (good().replace("</Credentials>", ""), AnswerError::Xml),
            ("{}".to_owned(), AnswerError::Xml),
        ];
        for (body, expected) in table {
            assert_eq!(read(200, &body), Err(expected), "{body}");
        }
    }

    #[test]
    fn refusals() {
        let error = |code: &str, message: &str| {
            format!(
                "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
                 <Code>{code}</Code><Message>{message}</Message></Error><RequestId>r</RequestId></ErrorResponse>"
            )
        };
        let table = [
            (
                400,
                error("ExpiredTokenException", "Token expired: current &gt; expiry"),
                "HTTP 400, ExpiredTokenException: Token expired: current > expiry",
                false,
            ),
            (
                400,
                error("IDPCommunicationError", "no answer"),
                "HTTP 400, IDPCommunicationError: no answer",
                true,
            ),
            (
                403,
                error("AccessDenied", "c4n4ry-c4n4ry-c4n4ry-c4n4ry"),
                "HTTP 403, AccessDenied: ***stripped***",
                false,
            ),
            (503, String::new(), "HTTP 503", true),
            (400, "not xml c4n4ry-c4n4ry-c4n4ry-c4n4ry".to_owned(), "HTTP 400", false),
        ];
        for (status, body, text, transient) in table {
            let Err(AnswerError::Refused(refusal)) = read(status, &body) else { panic!("{body}") };
            assert_eq!((refusal.to_string().as_str(), refusal.transient), (text, transient));
        }
    }
}
