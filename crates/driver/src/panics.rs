//! Panics as lines of the log: what the standard library prints of one is the text as it is, and a text may hold a token.

use std::panic::set_hook;

/// Makes each panic of this process a line of its log, with whatever is shaped like a token blanked, in place of the text that the standard
/// library prints to standard error. For `main`, once: the hook of a process is its owner's to set.
///
/// A plugin answers INTERNAL for a handler that panics, with or without this.
///
/// ```
/// tokenward_driver::log_panics();
/// let token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln";
/// assert!(std::panic::catch_unwind(|| panic!("refused: {token}")).is_err());
/// ```
pub fn log_panics() {
    set_hook(Box::new(|panic| {
        let text = panic.payload_as_str().unwrap_or("a panic without a text");
        let at = panic.location().map(ToString::to_string);
        let at = at.as_deref().unwrap_or("somewhere");
        tracing::error!(at, text = %tokenward_leaks::blank(text), "panicked");
    }));
}
