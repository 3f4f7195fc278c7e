//! What the tests of the driver share: an exchange server that verifies tokens, and a driver on a real socket.

pub(crate) mod exchange_server;
pub(crate) mod world;
