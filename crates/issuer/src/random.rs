//! Random ids.

use std::cell::RefCell;

use uuid::{Builder, Uuid};

/// How many bytes one id takes.
const LENGTH: usize = 16;
/// How many ids are fetched from the generator at once: each call of it costs as much as several ids.
const AT_ONCE: usize = 32;

thread_local! {
    /// Random bytes that no id has been made of, and how many there are.
    static UNUSED: RefCell<([u8; LENGTH * AT_ONCE], usize)> = const { RefCell::new(([0; LENGTH * AT_ONCE], 0)) };
}

/// A random UUID (version 4) from the generator that the keys use: the operating system seeds it, and is not asked for
/// each id.
///
/// # Panics
/// When the generator cannot be seeded: nothing could be signed then either.
pub fn random_uuid() -> Uuid {
    let bytes = UNUSED.with_borrow_mut(|(bytes, left)| {
        if *left == 0 {
            aws_lc_rs::rand::fill(bytes).expect("the operating system gives randomness");
            *left = AT_ONCE;
        }
        *left -= 1;
        let place = *left * LENGTH;
        <[u8; LENGTH]>::try_from(&bytes[place..place + LENGTH]).expect("as long as an id")
    });
    Builder::from_random_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_id_comes_twice_in_one_thread_or_in_several() {
        let ids = || (0..5 * AT_ONCE + 3).map(|_| random_uuid()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..3).map(|_| std::thread::spawn(ids)).collect();
        let mut all = ids();
        for thread in threads {
            all.extend(thread.join().expect("it does not panic"));
        }
        assert!(all.iter().all(|id| id.get_version_num() == 4));
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
    }
}
