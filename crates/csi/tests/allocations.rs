//! In steady state, sanitizing allocates nothing. What would break without it: a driver that logs each of its calls would
//! allocate as Go's sanitizer does, some 55 times for each.
#![expect(clippy::unwrap_used, reason = "a test's own world that does not stand up should stop the test")]

mod messages;

use std::fmt;
use std::fmt::Write as _;

use prost::Message as _;
use tokenward_csi::{TABLE, v1};
use tokenward_sanitize::{MessageId, Sanitizer, WireMessage};

/// Hands the generated type that a wire form belongs to over.
macro_rules! message_debug {
    ($($($part:ident)::+ = $id:literal;)+) => {
        fn decoded(id: MessageId, wire: &[u8]) -> Box<dyn Typed> {
            use v1::*;
            match id.0 {
                $($id => Box::new(<$($part)::+>::decode(wire).unwrap()),)+
                other => panic!("message {other} is not generated"),
            }
        }
    };
}
macro_rules! oneof_debug {
    ($($part:tt)*) => {};
}
macro_rules! enum_debug {
    ($($part:tt)*) => {};
}
include!("../src/generated/debug.rs");

trait Typed: WireMessage + fmt::Debug {}
impl<M: WireMessage + fmt::Debug> Typed for M {}

/// Forgets what it is told, and allocates nothing.
struct Nowhere(usize);

impl fmt::Write for Nowhere {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

fn allocations(work: impl FnOnce()) -> u64 {
    allocation_counter::measure(work).count_total
}

#[test]
fn after_the_first_round_nothing_is_allocated() {
    let all: Vec<(MessageId, Vec<u8>, Box<dyn Typed>)> = messages::all()
        .into_iter()
        .map(|(name, wire)| {
            let id = TABLE.find(&name).unwrap();
            let message = decoded(id, &wire);
            (id, wire, message)
        })
        .collect();
    assert!(all.len() > 150);
    let mut sanitizer = Sanitizer::new();
    let mut text = String::new();
    let mut nowhere = Nowhere(0);
    let mut round = || {
        for (id, wire, message) in &all {
            sanitizer.json(&TABLE, *id, wire);
            text.clear();
            sanitizer.append_json(&TABLE, *id, wire, &mut text);
            sanitizer.write_json(&TABLE, *id, wire, &mut nowhere).unwrap();
            sanitizer.message_json(message.as_ref());
            write!(nowhere, "{message:?}").unwrap();
        }
    };
    // What the counter would miss, it would not count here either.
    assert!(allocations(&mut round) > 0);
    assert_eq!(allocations(&mut round), 0);
    assert!(nowhere.0 > 0);
}
