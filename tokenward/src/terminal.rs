//! Terminals: where colour may be used, how wide they are, and lines that are redrawn in place.

use std::io::{self, IsTerminal as _, Write};

use rustix::termios::tcgetwinsize;

/// Whether text may be coloured. Everything stays readable without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    coloured: bool,
}

impl Style {
    /// No colour.
    pub(crate) const fn plain() -> Self {
        Self { coloured: false }
    }

    /// Colour when standard error is a terminal and nothing forbids it.
    pub(crate) fn of_standard_error() -> Self {
        let variable = |name| std::env::var_os(name);
        Self {
            coloured: io::stderr().is_terminal()
                && colour_is_welcome(variable("NO_COLOR").as_deref(), variable("TERM").as_deref()),
        }
    }

    pub(crate) fn error(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    pub(crate) fn hint(self, text: &str) -> String {
        self.paint("1;36", text)
    }

    /// Yellow, as kubectl shows the server's warnings.
    pub(crate) fn warning(self, text: &str) -> String {
        self.paint("33;1", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The rules of no-color.org: any value but the empty one forbids it.
fn colour_is_welcome(no_color: Option<&std::ffi::OsStr>, term: Option<&std::ffi::OsStr>) -> bool {
    no_color.is_none_or(std::ffi::OsStr::is_empty) && term.is_none_or(|term| term != "dumb")
}

/// Size of the terminal behind standard error, columns and rows; none when it is not a terminal.
pub(crate) fn size() -> Option<(u16, u16)> {
    let stderr = io::stderr();
    if !stderr.is_terminal() {
        return None;
    }
    let size = tcgetwinsize(&stderr).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}

/// A block of lines at the end of a terminal that is drawn again in place.
#[derive(Debug)]
pub(crate) struct Region<W> {
    terminal: W,
    drawn: usize,
}

impl<W: Write> Region<W> {
    pub(crate) fn new(terminal: W) -> Self {
        Self { terminal, drawn: 0 }
    }

    /// Draws `lines` over what was drawn before. Lines must fit the width; of too many the last ones are shown.
    pub(crate) fn draw(&mut self, lines: &[String], rows: u16) -> io::Result<()> {
        // The cursor stands on the row below, which must exist, or moving up would miss the first line.
        let room = usize::from(rows).saturating_sub(1);
        let shown = &lines[lines.len().saturating_sub(room)..];
        let mut frame = self.erasure();
        for line in shown {
            frame.push_str(line);
            frame.push('\n');
        }
        self.drawn = shown.len();
        // One write a frame, so that the terminal never shows half of it.
        self.terminal.write_all(frame.as_bytes())?;
        self.terminal.flush()
    }

    /// Writes `text` above the block: what scrolls away while the block stays.
    pub(crate) fn print_above(&mut self, text: &str) -> io::Result<()> {
        let mut frame = self.erasure();
        self.drawn = 0;
        frame.push_str(text);
        self.terminal.write_all(frame.as_bytes())?;
        self.terminal.flush()
    }

    /// Removes the block.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        self.print_above("")
    }

    fn erasure(&self) -> String {
        match self.drawn {
            0 => String::new(),
            // Up to the block's first row, then clear to the end of the screen.
            rows => format!("\x1b[{rows}F\x1b[0J"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn colour_is_off_when_it_is_not_welcome() {
        let no = |value: &'static str| Some(OsStr::new(value));
        assert!(colour_is_welcome(None, no("xterm")));
        assert!(colour_is_welcome(no(""), None));
        assert!(!colour_is_welcome(no("1"), no("xterm")));
        assert!(!colour_is_welcome(None, no("dumb")));
        assert_eq!(Style::plain().error("Error:"), "Error:");
        assert_eq!(Style { coloured: true }.warning("Warning:"), "\x1b[33;1mWarning:\x1b[0m");
    }

    #[test]
    fn a_region_is_drawn_over_itself_and_leaves_nothing_behind() {
        let lines = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let mut region = Region::new(Vec::new());
        region.draw(&lines(&["a", "b"]), 24).unwrap();
        region.draw(&lines(&["c"]), 24).unwrap();
        region.print_above("said\n").unwrap();
        region.draw(&lines(&["d"]), 24).unwrap();
        region.clear().unwrap();
        let text = String::from_utf8(region.terminal).unwrap();
        assert_eq!(text, "a\nb\n\x1b[2F\x1b[0Jc\n\x1b[1F\x1b[0Jsaid\nd\n\x1b[1F\x1b[0J");
    }

    #[test]
    fn a_low_terminal_shows_the_end() {
        let mut region = Region::new(Vec::new());
        let lines: Vec<String> = (0..9).map(|line| line.to_string()).collect();
        region.draw(&lines, 4).unwrap();
        assert_eq!(String::from_utf8(region.terminal).unwrap(), "6\n7\n8\n");
    }
}
