//! How an operation on a volume can fail, and what follows from it: upstream's three classes and texts.

use std::fmt;

use tokenward_transport::code_name;
use tonic::{Code, Status};

/// What is known about the volume after a failed operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The driver has finished and refused: nothing is mounted. Directories may be cleaned up.
    Final,
    /// Nothing was asked of the driver that could change the volume: its state is what it was.
    Transient,
    /// The driver may still be at it, or have done it: to be treated as possibly mounted.
    Uncertain,
}

/// A failed operation. The text is upstream's, free of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What follows.
    pub class: Class,
    /// For events, conditions and logs.
    pub message: String,
    /// The node has as many volumes of the driver attached as it can have: this one will not come.
    pub is_attachment_limit: bool,
}

impl Failure {
    /// A failure of a class.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), is_attachment_limit: false }
    }

    /// A final failure.
    pub fn last(message: impl Into<String>) -> Self {
        Self::new(Class::Final, message)
    }

    /// A transient failure.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(Class::Transient, message)
    }

    /// An uncertain failure.
    pub fn uncertain(message: impl Into<String>) -> Self {
        Self::new(Class::Uncertain, message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Class of what NodePublishVolume, NodeStageVolume and NodeExpandVolume answered. Codes that leave the outcome open are
/// uncertain, and so is any error that did not come from the driver as a gRPC status.
pub fn class_of(status: &Status) -> Class {
    let open = matches!(
        status.code(),
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Unavailable
            | Code::ResourceExhausted
            | Code::Aborted
    );
    if open || came_from_transport(status) { Class::Uncertain } else { Class::Final }
}

/// Whether the status was made on this side of a broken connection.
pub fn came_from_transport(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

/// A status as Go's gRPC prints it; people search logs for this form.
pub fn grpc_text(code: Code, message: &str) -> String {
    let name = code_name(code);
    format!("rpc error: code = {name} desc = {message}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_five_open_codes_are_uncertain_and_all_others_final() {
        for code in 1..=16 {
            let code = Code::from(code);
            let open = [
                Code::Cancelled,
                Code::DeadlineExceeded,
                Code::Unavailable,
                Code::ResourceExhausted,
                Code::Aborted,
            ];
            let wanted = if open.contains(&code) { Class::Uncertain } else { Class::Final };
            assert_eq!(class_of(&Status::new(code, "no")), wanted, "{code:?}");
        }
    }

    #[test]
    fn an_error_of_the_connection_is_uncertain_whatever_its_code() {
        let broken: Box<dyn std::error::Error + Send + Sync> = Box::new(std::io::Error::other("broken pipe"));
        assert_eq!(class_of(&Status::from_error(broken)), Class::Uncertain);
    }

    #[test]
    fn statuses_read_as_in_go() {
        assert_eq!(
            grpc_text(Code::InvalidArgument, "the driver says no"),
            "rpc error: code = InvalidArgument desc = the driver says no"
        );
    }
}
