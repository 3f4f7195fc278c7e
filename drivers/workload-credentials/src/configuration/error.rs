//! Why a configuration cannot be used.

use std::io;
use std::path::PathBuf;

use tokenward_exchange::{ClientError, EndpointError, ParameterError};

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigurationError {
    /// An exchange that no token may be sent to.
    #[error("exchange `{exchange}`: audiences is empty; name those whose tokens may be sent there")]
    Audiences {
        /// The exchange.
        exchange: String,
    },
    /// The authorities' certificates cannot be used.
    #[error("exchange `{exchange}`: there is no client for it")]
    Client {
        /// The exchange.
        exchange: String,
        /// Why.
        #[source]
        source: ClientError,
    },
    /// The client's id or secret cannot be used.
    #[error("exchange `{exchange}`")]
    ClientCredentials {
        /// The exchange.
        exchange: String,
        /// Why.
        #[source]
        source: ParameterError,
    },
    /// The file has nothing in it any more: somebody may be about to write it.
    #[error("the configuration file is empty; write `{{}}` for a driver of tokens alone")]
    Empty,
    /// A field that says something of another one, which is not there.
    #[error("exchange `{exchange}`: {field} says something of {wanted}, which is not there")]
    Incomplete {
        /// The exchange.
        exchange: String,
        /// The field.
        field: &'static str,
        /// What it is about.
        wanted: &'static str,
    },
    /// A limit that makes no sense.
    #[error("limits: {limit} must be between {least} and {most}")]
    Limit {
        /// Its name.
        limit: &'static str,
        /// The least that it can be.
        least: u64,
        /// The most that it can be.
        most: u64,
    },
    /// A name that would be hard to write.
    #[error("exchange `{exchange}`: wanted a name of 1 to 63 lower-case letters, digits and `-`")]
    Name {
        /// The exchange.
        exchange: String,
    },
    /// A field that is of another kind of exchange.
    #[error("exchange `{exchange}`: {field} is not for exchanges of the kind {kind}")]
    OtherKind {
        /// The exchange.
        exchange: String,
        /// The field.
        field: &'static str,
        /// The exchange's kind.
        kind: &'static str,
    },
    /// A file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file has more bytes than any of its kind.
    #[error("`{}` has more than {most} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        most: u64,
    },
    /// A secret that is no text.
    #[error("`{}` is not text in UTF-8", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// The URL is not one that tokens may be sent to.
    #[error("exchange `{exchange}`: url")]
    Url {
        /// The exchange.
        exchange: String,
        /// Why.
        #[source]
        source: EndpointError,
    },
    /// Not the YAML of a configuration.
    #[error("the configuration cannot be read")]
    Yaml(#[source] Box<serde_saphyr::Error>),
}
