//! Nothing is computed for a log line that nobody reads. What would break without it: every call of a driver would pay for
//! its debug lines, as the drivers do that sanitize first and ask for the level afterwards.
#![expect(clippy::unwrap_used, reason = "a test's own world that does not stand up should stop the test")]

use std::collections::BTreeMap;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokenward_sanitize::{
    Field, Kind, Message, MessageId, STRIPPED, Sanitized, SanitizedList, SanitizedMap, Sanitizer, Table,
    WireMessage,
};
use tracing::Level;

static MESSAGES: &[Message] = &[Message::new(
    "test.Login",
    &[Field::single("password", 2, Kind::String).secret(), Field::single("user", 1, Kind::String)],
    &[1, 0],
)];
static TABLE: Table = Table::new(MESSAGES, &[], &[]);

/// Counts how often it is encoded.
#[derive(Default)]
struct Login(AtomicUsize);

impl WireMessage for Login {
    fn table(&self) -> &Table {
        &TABLE
    }

    fn message_id(&self) -> MessageId {
        MessageId(0)
    }

    fn append_wire(&self, wire: &mut Vec<u8>) {
        self.0.fetch_add(1, Ordering::Relaxed);
        wire.extend_from_slice(b"\x0a\x03bob\x12\x06tiger!");
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn logged(level: Level, work: impl FnOnce()) -> String {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, work);
    let bytes = log.0.lock().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_level_that_is_off_costs_nothing_and_one_that_is_on_costs_one_walk() {
    let (login, list, map) =
        (Login::default(), [Login::default()], BTreeMap::from([("a", Login::default())]));
    let line = || {
        let (request, requests, by_name) =
            (Sanitized::message(&login), SanitizedList(&list), SanitizedMap(&map));
        tracing::debug!(%request, %requests, ?by_name, "called");
    };
    let counts = || [&login, &list[0], &map["a"]].map(|login| login.0.load(Ordering::Relaxed));

    assert_eq!(logged(Level::INFO, line), "");
    assert_eq!(counts(), [0, 0, 0]);

    let json = format!(r#"{{"password":"{STRIPPED}","user":"bob"}}"#);
    let written = logged(Level::DEBUG, line);
    assert!(
        written.contains(&format!(r#"request={json} requests=[{json}] by_name={{"a":{json}}}"#)),
        "{written}"
    );
    assert_eq!(counts(), [1, 1, 1]);
}

#[test]
fn lists_and_maps_are_json() {
    let json = |text: String| text.parse::<serde_json::Value>().unwrap();
    let login = || Login::default();
    let one = serde_json::json!({"password": STRIPPED, "user": "bob"});
    assert_eq!(json(SanitizedList::<Login>(&[]).to_string()), serde_json::json!([]));
    assert_eq!(json(SanitizedList(&[login(), login()]).to_string()), serde_json::json!([one, one]));
    assert_eq!(json(SanitizedMap(&BTreeMap::<String, Login>::new()).to_string()), serde_json::json!({}));
    let token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln";
    let named = BTreeMap::from([(format!("\"{token}"), login()), ("plain".to_owned(), login())]);
    let wanted = serde_json::json!({format!("\"{STRIPPED}"): one, "plain": one});
    assert_eq!(json(SanitizedMap(&named).to_string()), wanted);
}

/// A message that formats another while it is encoded finds the thread's sanitizer lent.
#[test]
fn messages_may_be_formatted_while_others_are() {
    struct Outer(Login);
    impl WireMessage for Outer {
        fn table(&self) -> &Table {
            &TABLE
        }

        fn message_id(&self) -> MessageId {
            MessageId(0)
        }

        fn append_wire(&self, wire: &mut Vec<u8>) {
            let inner = Sanitized::message(&self.0).to_string();
            wire.push(0x0a);
            wire.push(u8::try_from(inner.len()).unwrap());
            wire.extend_from_slice(inner.as_bytes());
        }
    }
    let shown = Sanitized::message(&Outer(Login::default())).to_string();
    let inner = format!(r#"{{"password":"{STRIPPED}","user":"bob"}}"#);
    assert_eq!(shown, serde_json::json!({"user": inner}).to_string());
}

/// Half of it is on the wire when its type panics.
struct Broken;

impl WireMessage for Broken {
    fn table(&self) -> &Table {
        &TABLE
    }

    fn message_id(&self) -> MessageId {
        MessageId(0)
    }

    fn append_wire(&self, wire: &mut Vec<u8>) {
        wire.extend_from_slice(b"\x0a\x05alice");
        panic!("a type that cannot be encoded");
    }
}

/// A message that is empty on the wire.
struct Nobody;

impl WireMessage for Nobody {
    fn table(&self) -> &Table {
        &TABLE
    }

    fn message_id(&self) -> MessageId {
        MessageId(0)
    }

    fn append_wire(&self, _: &mut Vec<u8>) {}
}

#[test]
fn a_message_that_panicked_is_not_in_the_next_one() {
    let mut sanitizer = Sanitizer::new();
    catch_unwind(AssertUnwindSafe(|| sanitizer.message_json(&Broken).len())).unwrap_err();
    assert_eq!(sanitizer.message_json(&Nobody), "{}");
    // The thread's own is kept, too.
    catch_unwind(|| Sanitized::message(&Broken).to_string()).unwrap_err();
    assert_eq!(Sanitized::message(&Nobody).to_string(), "{}");
}
