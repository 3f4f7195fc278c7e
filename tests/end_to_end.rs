//! End to end: the built command, real sockets, real clients and real drivers. Few and whole: what a function of values can
//! show is shown beside that function. Each file is one story and says what would break without it.

#![expect(clippy::unwrap_used, reason = "a test world that breaks is a failed test")]

mod bad_input;
mod canary;
mod credentials;
mod docs;
mod drivers_that_fail;
mod interruptions;
mod off_the_wire;
mod quickstart;
mod sources;
mod statuses;
mod support;
