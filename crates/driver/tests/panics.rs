//! A panic whose text holds a token: the log has the panic, and not the token.

use std::io::{self, Write};
use std::sync::Arc;

use parking_lot::Mutex;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_panic_is_logged_without_its_tokens() {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    tokenward_driver::log_panics();
    let token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJjNG40cnkifQ.c4n4ry";
    let panicked = std::thread::spawn(move || panic!("the vault refused {token}")).join();
    assert!(panicked.is_err());
    let log = String::from_utf8(captured.0.lock().clone()).unwrap();
    assert!(log.contains("panicked") && log.contains("the vault refused ***stripped***"), "{log}");
    assert!(log.contains("panics.rs:") && !log.contains("c4n4ry") && !log.contains("eyJ"), "{log}");
}
