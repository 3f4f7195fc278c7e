//! Table-driven redaction of protobuf wire bytes into JSON that may be logged.
