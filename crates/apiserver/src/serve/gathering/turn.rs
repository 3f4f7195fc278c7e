//! Whether a connection that is woken is driven at once, or after the others that wait for the processor.
//!
//! Among those are its own streams, if many of them have something to say: then all they say leaves together. Whether they
//! are cannot be known, but it can be learned: a turn that was put off and brought several writes has paid off, and one
//! that brought a single write has not. Where it does not pay off it is tried now and then only.

/// So many turns in a row that were put off in vain, and it is not tried for a while.
const PATIENCE: u8 = 4;
/// For so many turns.
const REST: u8 = 64;

#[derive(Debug, Default)]
pub(super) struct Turn {
    is_put_off: bool,
    in_vain: u8,
    resting: u8,
}

impl Turn {
    /// The connection is woken. Whether it is to be woken again, behind everybody who waits now.
    pub(super) fn is_left_to_others(&mut self) -> bool {
        if self.is_put_off {
            return false;
        }
        if self.resting > 0 {
            self.resting -= 1;
            return false;
        }
        self.is_put_off = true;
        true
    }

    /// It was driven, and wrote so often.
    pub(super) fn has_come(&mut self, writes: usize) {
        if !std::mem::take(&mut self.is_put_off) {
            return;
        }
        match writes {
            // It has only read.
            0 => {}
            1 if self.in_vain + 1 == PATIENCE => *self = Self { resting: REST, ..Self::default() },
            1 => self.in_vain += 1,
            _ => self.in_vain = 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Drives a connection whose turns bring these writes, and says which were put off.
    fn put_off(turn: &mut Turn, writes: impl IntoIterator<Item = usize>) -> Vec<bool> {
        let mut told = Vec::new();
        for writes in writes {
            told.push(turn.is_left_to_others());
            assert!(!told.last().expect("just pushed") || !turn.is_left_to_others(), "it is put off once");
            turn.has_come(writes);
        }
        told
    }

    #[test]
    fn turns_are_put_off_for_as_long_as_that_pays_off() {
        let mut turn = Turn::default();
        assert_eq!(put_off(&mut turn, [2, 0, 9, 1, 1, 1, 2].repeat(5)), [true; 35]);
        let alone = put_off(&mut turn, vec![1; 2 * 68]);
        let expected = [vec![true; 4], vec![false; 64]].concat();
        assert_eq!(alone, expected.repeat(2));
    }
}
