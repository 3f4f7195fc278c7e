//! The events of one watch, as they come in pieces of any size.

use crate::Failure;

/// What stands before the number that tells events apart.
const REVISION: &[u8] = br#""resourceVersion":""#;

/// What one watcher has got so far.
#[derive(Default)]
pub(super) struct Lines {
    /// The start of a line whose end has not come.
    begun: Vec<u8>,
    newest: u64,
}

impl Lines {
    /// How many events have ended with this piece.
    ///
    /// # Errors
    /// When an event is none, or does not come after the one before it.
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<u64, Failure> {
        let mut events = 0;
        let mut rest = piece;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            if self.begun.is_empty() {
                self.event(&rest[..end])?;
            } else {
                let mut line = std::mem::take(&mut self.begun);
                line.extend_from_slice(&rest[..end]);
                self.event(&line)?;
                line.clear();
                self.begun = line;
            }
            rest = &rest[end + 1..];
            events += 1;
        }
        self.begun.extend_from_slice(rest);
        Ok(events)
    }

    fn event(&mut self, line: &[u8]) -> Result<(), Failure> {
        let start = memchr::memmem::find(line, REVISION);
        let digits = start.map(|start| &line[start + REVISION.len()..]).unwrap_or_default();
        let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let revision: u64 = std::str::from_utf8(&digits[..length])?
            .parse()
            .map_err(|_| "wanted an event with a resource version, found another")?;
        if revision <= self.newest {
            return Err(format!("an event of revision {revision} came after that of {}", self.newest).into());
        }
        self.newest = revision;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(revision: u64) -> String {
        format!(
            "{{\"type\":\"MODIFIED\",\"object\":{{\"metadata\":{{\"resourceVersion\":\"{revision}\"}}}}}}\n"
        )
    }

    #[test]
    fn events_are_counted_whatever_the_pieces() {
        let text = [line(2), line(10), line(11)].concat();
        for size in [1, 7, 40, text.len()] {
            let mut lines = Lines::default();
            let events: u64 = text.as_bytes().chunks(size).map(|piece| lines.take(piece).unwrap()).sum();
            assert_eq!((events, lines.newest), (3, 11), "pieces of {size}");
        }
    }

    #[test]
    fn repeats_and_steps_back_are_found() {
        for (first, second) in [(3, 3), (3, 2)] {
            let text = [line(first), line(second)].concat();
            assert!(Lines::default().take(text.as_bytes()).is_err());
        }
        assert!(Lines::default().take(b"{}\n").is_err());
    }
}
