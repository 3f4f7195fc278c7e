//! Random ids.

use uuid::{Builder, Uuid};

/// A random UUID (version 4) from the generator that the keys use: the operating system seeds it, and is not asked for
/// each id.
///
/// # Panics
/// When the generator cannot be seeded: nothing could be signed then either.
pub fn random_uuid() -> Uuid {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system gives randomness");
    Builder::from_random_bytes(bytes).into_uuid()
}
