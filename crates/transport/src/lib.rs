//! gRPC over Unix sockets, client and server, and the kubelet's plugin registration service.
//!
//! The one invariant: a socket that answers is never taken from the process that serves it, and one that we serve is
//! never open to anybody but its owner.
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tokenward_transport::registration::registration_client::RegistrationClient;
//! use tokenward_transport::registration::InfoRequest;
//! use tokenward_transport::{SocketPath, connect};
//!
//! let path = SocketPath::parse("unix:///var/lib/kubelet/plugins_registry/example-reg.sock")?;
//! let mut plugin = RegistrationClient::new(connect(&path).await?);
//! let info = plugin.get_info(InfoRequest {}).await?.into_inner();
//! println!("{} serves at {}", info.name, info.endpoint);
//! # Ok(())
//! # }
//! ```
//!
//! Who makes small calls again and again connects with [`DirectChannel`]. A server is [`bind`] and then [`serve`] with its [`Services`].

mod bind;
mod code;
mod connect;
mod direct;
mod path;
mod quiet;
mod serve;

pub use bind::{BindError, BoundSocket, Incoming, bind};
pub use code::code_name;
pub use connect::{ConnectError, connect};
pub use direct::{Answer, DirectChannel};
pub use path::{MAX_PATH_BYTES, SocketPath, SocketPathError};
pub use serve::{DRAIN_LIMIT, ServeError, Services, serve, serve_draining};

/// Package `pluginregistration`: how the kubelet learns of a plugin whose socket appears in its registry directory.
#[expect(
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    reason = "generated from proto/registration.proto by the test `generated`"
)]
pub mod registration {
    include!("generated/pluginregistration.rs");
}
