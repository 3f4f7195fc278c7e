//! A plugin on real sockets: who it is, how it registers, one operation at a time for a volume, how calls end, what its answers may
//! say, and what it shows over HTTP.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod calls;
mod http;
mod identity;
mod world;
