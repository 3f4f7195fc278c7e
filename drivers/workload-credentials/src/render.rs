//! Credentials as the bytes of a file.

use std::fmt::Write as _;

use serde::Serialize;
use tokenward_exchange::{AwsSession, BearerToken, Credentials};
use zeroize::Zeroizing;

use crate::configuration::Kind;

/// How credentials are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Format {
    /// A credentials file of the AWS SDKs, with the profile `default`.
    AwsCredentials,
    /// Lines `NAME=value`, as `env` files have them.
    Env,
    /// JSON; of AWS that of a `credential_process`.
    Json,
    /// The bare token.
    Raw,
}

impl Format {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "aws-credentials" => Some(Self::AwsCredentials),
            "env" => Some(Self::Env),
            "json" => Some(Self::Json),
            "raw" => Some(Self::Raw),
            _ => None,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::AwsCredentials => "aws-credentials",
            Self::Env => "env",
            Self::Json => "json",
            Self::Raw => "raw",
        }
    }

    /// What exchanges of this kind are written as, the first by default.
    pub(crate) fn of(kind: Kind) -> &'static [Self] {
        match kind {
            Kind::AssumeRoleWithWebIdentity => &[Self::AwsCredentials, Self::Env, Self::Json],
            Kind::JwtLogin | Kind::TokenExchange => &[Self::Raw, Self::Env, Self::Json],
        }
    }
}

/// Credentials of another kind than the format is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the credentials cannot be written in this format, which is a fault of the driver")]
pub(crate) struct Mismatch;

/// Writes credentials. They are visible ASCII throughout, so no line of a file can be broken by one.
pub(crate) fn render(
    credentials: &Credentials,
    format: Format,
    kind: Kind,
) -> Result<Zeroizing<Vec<u8>>, Mismatch> {
    match (credentials, format) {
        (Credentials::Aws(session), Format::AwsCredentials) => Ok(lines(
            "[default]\n",
            " = ",
            &[
                ("aws_access_key_id", session.access_key_id.expose_secret()),
                ("aws_secret_access_key", session.secret_access_key.expose_secret()),
                ("aws_session_token", session.session_token.expose_secret()),
            ],
        )),
        (Credentials::Aws(session), Format::Env) => Ok(lines(
            "",
            "=",
            &[
                ("AWS_ACCESS_KEY_ID", session.access_key_id.expose_secret()),
                ("AWS_SECRET_ACCESS_KEY", session.secret_access_key.expose_secret()),
                ("AWS_SESSION_TOKEN", session.session_token.expose_secret()),
            ],
        )),
        (Credentials::Aws(session), Format::Json) => Ok(aws_json(session)),
        (Credentials::Bearer(bearer), Format::Raw) => {
            Ok(Zeroizing::new(bearer.token.expose_secret().as_bytes().to_vec()))
        }
        (Credentials::Bearer(bearer), Format::Env) => {
            let name = if kind == Kind::JwtLogin { "VAULT_TOKEN" } else { "ACCESS_TOKEN" };
            Ok(lines("", "=", &[(name, bearer.token.expose_secret())]))
        }
        (Credentials::Bearer(bearer), Format::Json) => Ok(bearer_json(bearer)),
        _ => Err(Mismatch),
    }
}

fn lines(head: &str, between: &str, pairs: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    let length: usize = pairs.iter().map(|(name, value)| name.len() + between.len() + value.len() + 1).sum();
    // Sized at once: a string that grows leaves copies behind.
    let mut text = String::with_capacity(head.len() + length);
    text.push_str(head);
    for (name, value) in pairs {
        let _ = writeln!(text, "{name}{between}{value}");
    }
    Zeroizing::new(text.into_bytes())
}

fn aws_json(session: &AwsSession) -> Zeroizing<Vec<u8>> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Process<'a> {
        version: u32,
        access_key_id: &'a str,
        secret_access_key: &'a str,
        session_token: &'a str,
        expiration: String,
    }
    json(&Process {
        version: 1,
        access_key_id: session.access_key_id.expose_secret(),
        secret_access_key: session.secret_access_key.expose_secret(),
        session_token: session.session_token.expose_secret(),
        expiration: session.expires.to_string(),
    })
}

fn bearer_json(bearer: &BearerToken) -> Zeroizing<Vec<u8>> {
    #[derive(Serialize)]
    struct Bearer<'a> {
        token: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        expires: Option<String>,
    }
    json(&Bearer { token: bearer.token.expose_secret(), expires: bearer.expires.map(|end| end.to_string()) })
}

fn json(value: &impl Serialize) -> Zeroizing<Vec<u8>> {
    // More than any of our credentials can take, escapes and all: a buffer that grows leaves copies behind.
    let mut bytes = Vec::with_capacity(256 << 10);
    serde_json::to_writer(&mut bytes, value).expect("strings and numbers always serialize");
    bytes.push(b'\n');
    Zeroizing::new(bytes)
}

#[cfg(test)]
mod tests {
    use tokenward_exchange::Secret;

    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    fn write(credentials: &Credentials, format: Format, kind: Kind) -> Option<String> {
        let bytes = render(credentials, format, kind).ok()?;
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn formats() {
        let expires = "2026-03-01T13:00:00Z".parse().unwrap();
        let aws = Credentials::Aws(AwsSession {
            access_key_id: secret("ASIA"),
            secret_access_key: secret("s+/="),
            session_token: secret("t"),
            expires,
        });
        let bearer = |expires| Credentials::Bearer(BearerToken { token: secret("hvs.\"x"), expires });
        let role = Kind::AssumeRoleWithWebIdentity;
        let table = [
            (
                &aws,
                Format::AwsCredentials,
                role,
                Some(
                    "[default]\naws_access_key_id = ASIA\naws_secret_access_key = s+/=\naws_session_token = t\n",
                ),
            ),
            (
                &aws,
                Format::Env,
                role,
                Some("AWS_ACCESS_KEY_ID=ASIA\nAWS_SECRET_ACCESS_KEY=s+/=\nAWS_SESSION_TOKEN=t\n"),
            ),
            (
                &aws,
                Format::Json,
                role,
                Some(
                    "{\"Version\":1,\"AccessKeyId\":\"ASIA\",\"SecretAccessKey\":\"s+/=\",\"SessionToken\":\"t\",\"Expiration\":\"2026-03-01T13:00:00Z\"}\n",
                ),
            ),
            (&aws, Format::Raw, role, None),
            (&bearer(None), Format::Raw, Kind::JwtLogin, Some("hvs.\"x")),
            (&bearer(None), Format::Env, Kind::JwtLogin, Some("VAULT_TOKEN=hvs.\"x\n")),
            (&bearer(None), Format::Env, Kind::TokenExchange, Some("ACCESS_TOKEN=hvs.\"x\n")),
            (&bearer(None), Format::Json, Kind::TokenExchange, Some("{\"token\":\"hvs.\\\"x\"}\n")),
            (
                &bearer(Some(expires)),
                Format::Json,
                Kind::JwtLogin,
                Some("{\"token\":\"hvs.\\\"x\",\"expires\":\"2026-03-01T13:00:00Z\"}\n"),
            ),
            (&bearer(None), Format::AwsCredentials, Kind::JwtLogin, None),
        ];
        for (credentials, format, kind, expected) in table {
            assert_eq!(write(credentials, format, kind).as_deref(), expected, "{format:?}");
        }
    }

    #[test]
    fn names_of_formats_are_read_back() {
        for kind in [Kind::AssumeRoleWithWebIdentity, Kind::JwtLogin, Kind::TokenExchange] {
            for format in Format::of(kind) {
                assert_eq!(Format::parse(format.as_str()), Some(*format));
            }
        }
        assert_eq!(Format::parse("yaml"), None);
    }
}
