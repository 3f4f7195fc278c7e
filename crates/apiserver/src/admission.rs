//! Admission: what is filled in or refused after a request was authorized and before its object is validated.

pub(crate) mod node_restriction;
pub(crate) mod service_account;
pub(crate) mod tolerations;
