//! The part of kube-apiserver that CSI service account tokens pass through, wire-compatible with the real one.
//!
//! [`ApiServer`] is a [`tower::Service`]: tests, controllers and checks call it without a port and without TLS, and
//! [`serve`] puts it behind HTTPS. Its one invariant: a stored object is the bytes that go on the wire, and a token is
//! in no log, no error and no object.
//!
//! A request goes through these rooms, each a module: [`request`] reads the path, [`authentication`] says who asks,
//! `authorization` whether they may, `admission` and `strategy` what their object has to be, `registry` does it over a
//! [`tokenward_store::Store`].
//!
//! ```
//! use std::sync::Arc;
//! use http::Request;
//! use tokenward_apiserver::{ApiServer, Config, Body, User, new_store};
//! use tokenward_issuer::{Issuer, IssuerConfig};
//! use tokenward_kube_rules::{FeatureGates, Release};
//! use tokenward_tokens::Clock;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let issuer = Issuer::new(IssuerConfig::new(["https://kubernetes.default.svc"])?);
//! let server = ApiServer::new(Config::new(
//!     FeatureGates::for_release(Release::V1_35),
//!     new_store(),
//!     Arc::new(issuer),
//!     Clock::system(),
//! ));
//! let admin = server.client(User::authenticated("admin", ["system:masters".to_owned()]));
//! let drivers = admin.get("/apis/storage.k8s.io/v1/csidrivers").await?;
//! assert_eq!(drivers["kind"], "CSIDriverList");
//! # Ok(())
//! # }
//! ```

mod admission;
pub mod authentication;
mod authorization;
mod binding;
mod body;
mod client;
mod cluster_view;
mod content;
mod default_roles;
mod discovery;
mod document;
mod encodings;
mod event_lifetime;
mod eviction;
mod face;
mod flow_control;
mod form;
mod https;
mod identity;
mod index;
mod layout;
mod media;
mod metrics;
mod node_proxy;
mod object;
mod openapi;
mod query;
mod random;
mod registry;
pub mod request;
mod review;
pub mod selector;
mod serve;
mod server;
mod signal;
mod status;
mod storage;
mod strategy;
mod system_priorities;
mod table;
mod token_request;
mod token_review;
mod webhook;
mod yaml;

pub use authentication::{PeerIdentity, StaticTokenError, StaticTokens, User};
pub use body::Body;
pub use client::{Client, ClientError, Reply, WatchEvent};
pub use event_lifetime::forget_old_events;
pub use flow_control::RequestLimits;
pub use identity::{ServerIdentity, keep as keep_identity};
pub use index::{Facts, Index, PodFacts, VolumeUse};
pub use node_proxy::NodeAccess;
pub use object::Object;
pub use serve::{ServeError, TlsConfig, serve};
pub use server::{ApiServer, Config};
pub use status::{ApiError, Subject};
pub use storage::{etcd_store, new_store, open_store};
