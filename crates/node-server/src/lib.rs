//! The HTTPS server of a node: `/healthz`, `/metrics` and `/configz`, as a kubelet serves them, for whoever may read them.
//!
//! The one invariant: **nothing is answered before the API server has said who asks and that they may**. Who asks is known by
//! a client certificate or by a TokenReview of a bearer token; whether they may, by a SubjectAccessReview for the node's
//! subresource (`nodes/metrics`, `nodes/healthz`, `nodes/configz`, or `nodes/proxy` for those that a kubelet grants by it). [`Reviews`]
//! is how the API server is asked; answers are remembered as long as a kubelet remembers them.
//!
//! Start at [`serve()`] for how it runs and [`access`] for who may read what.

pub mod access;
mod answers;
mod authenticate;
mod configz;
mod memory;
mod serve;
pub mod tls;

pub use access::{AccessReview, Reviews, User};
pub use answers::{Face, FaceConfig};
pub use configz::Configuration;
pub use serve::serve;
