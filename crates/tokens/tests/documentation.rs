//! Each public item of this library has an example, or says at which other item it is shown.
#![expect(clippy::unwrap_used, reason = "a test's own world that does not stand up should stop the test")]

#[path = "../../../tests/shared/documentation.rs"]
mod documentation;

#[test]
fn every_public_item_has_an_example() {
    documentation::check(env!("CARGO_MANIFEST_DIR"), 50);
}
