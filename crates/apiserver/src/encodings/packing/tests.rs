use std::collections::BTreeMap;
use std::ops::RangeBounds;

use futures_util::FutureExt as _;
use proptest::prelude::*;
use tokenward_store::{Key, Store, Unstamped};

use super::*;

/// A collection's entries by name, in the order of a list.
#[derive(Default)]
struct World {
    entries: BTreeMap<usize, Arc<Entry<Index>>>,
    written: u8,
}

/// So many objects are in a namespace.
const IN_NAMESPACE: usize = 50;

fn namespace(name: usize) -> String {
    format!("ns-{:02}", name / IN_NAMESPACE)
}

impl World {
    /// Writes an object anew, whose encoding has this length. Sometimes a watcher has it encoded at once.
    fn write(&mut self, store: &Store<Index>, name: usize, length: usize, is_watched: bool) {
        self.written = self.written.wrapping_add(1);
        let key = Key::new("pods", Some(&namespace(name)), &format!("{name}-{}", self.entries.len()));
        let key = key.expect("a key");
        let value = Unstamped::new(vec![self.written; length], 0);
        let created = store.create(key.clone(), value).now_or_never();
        let entry = created.expect("in memory").expect("a name of its own");
        store.delete(&key, None).now_or_never().expect("in memory").expect("just made");
        if is_watched {
            encoded(&entry);
        }
        self.entries.insert(name, entry);
    }

    /// Lists all, and gives how many entries have moved.
    fn list(&self) -> (Vec<Stretch>, usize) {
        self.list_part(.., Extent::Whole)
    }

    fn list_part(&self, names: impl RangeBounds<usize>, extent: Extent) -> (Vec<Stretch>, usize) {
        let before: Vec<Stretch> = self.entries.values().map(encoded).collect();
        let mut packing = Packing::of(extent);
        for (_, entry) in self.entries.range(names) {
            packing.push(entry.clone(), encoded(entry));
        }
        let listed = packing.finish();
        let moved =
            self.entries.values().zip(before).filter(|(entry, before)| !is_same(&encoded(entry), before));
        let moved = moved.count();
        (listed, moved)
    }

    fn bytes(&self) -> Vec<u8> {
        self.entries.values().map(|entry| original(entry)).collect::<Vec<_>>().concat()
    }

    /// The memory of all blocks that entries are in.
    fn memory(&self) -> usize {
        let blocks: BTreeMap<*const u8, usize> =
            self.entries.values().map(|entry| encoded(entry).block_memory()).collect();
        blocks.values().sum()
    }
}

/// What an encoder would make: bytes that tell one revision from the others.
fn original(entry: &Entry<Index>) -> &[u8] {
    &entry.value[entry.revision.to_string().len()..]
}

fn encoded(entry: &Arc<Entry<Index>>) -> Stretch {
    let stretch = entry.index.encodings.protobuf(|| Ok::<_, ()>(Stretch::of(original(entry).to_vec())));
    stretch.expect("it does not fail")
}

fn is_same(one: &Stretch, other: &Stretch) -> bool {
    std::ptr::eq(one.bytes(), other.bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn lists_hold_what_was_encoded_and_settle_at_once_in_twice_the_memory(
        rounds in proptest::collection::vec(
            proptest::collection::vec((0..200_usize, 1..6_000_usize, any::<bool>()), 1..100),
            1..5,
        ),
        large in proptest::option::of((0..200_usize, 60_000..200_000_usize)),
    ) {
        let store = Store::memory(|_, _| Index::default());
        let mut world = World::default();
        for round in rounds {
            for (name, length, is_watched) in round {
                world.write(&store, name, length, is_watched);
            }
            if let Some((name, length)) = large {
                world.write(&store, name, length, false);
            }
            let (listed, _) = world.list();
            let bytes = world.bytes();
            let together: Vec<&[u8]> = listed.iter().map(Stretch::bytes).collect();
            prop_assert!(together.concat() == bytes);
            prop_assert!(world.entries.values().all(|entry| encoded(entry).bytes() == original(entry)));
            prop_assert!(world.memory() <= 2 * bytes.len(), "{} for {}", world.memory(), bytes.len());
            let (again, moved) = world.list();
            prop_assert_eq!(moved, 0, "nothing has changed");
            prop_assert!(again.iter().zip(&listed).all(|(again, listed)| is_same(again, listed)));
            let most = 2 * (1 + 200 / IN_NAMESPACE) + 4 * bytes.len() / BLOCK;
            prop_assert!(again.len() <= most, "{} for {}", again.len(), bytes.len());
        }
    }

    /// Whoever lists in turn a namespace, a page and the whole does not move what the others have put.
    #[test]
    fn lists_of_other_extents_leave_things_where_they_are(
        written in proptest::collection::vec((0..200_usize, 1..6_000_usize, any::<bool>()), 1..300),
        later in proptest::collection::vec((0..200_usize, 1..40_000_usize, any::<bool>()), 0..100),
        pages in proptest::collection::vec((0..200_usize, 1..200_usize), 1..6),
        begins_whole in any::<bool>(),
    ) {
        let store = Store::memory(|_, _| Index::default());
        let mut world = World::default();
        for (name, length, is_watched) in written {
            world.write(&store, name, length, is_watched);
        }
        if begins_whole {
            world.list();
        }
        for (name, length, is_watched) in later {
            world.write(&store, name, length, is_watched);
        }
        let list_pages = || -> usize {
            let list = |(start, count): &(usize, usize)| world.list_part(*start..start + count, Extent::Page).1;
            pages.iter().map(list).sum()
        };
        // Pages alone: out of a torn block, and into one with others.
        let moved: usize = (0..4).map(|_| list_pages()).sum();
        prop_assert!(moved <= 2 * world.entries.len(), "{moved} of {}", world.entries.len());
        prop_assert_eq!(list_pages(), 0);
        world.list();
        prop_assert!(world.memory() <= 2 * world.bytes().len());
        for first in (0..200).step_by(IN_NAMESPACE) {
            prop_assert_eq!(world.list_part(first..first + IN_NAMESPACE, Extent::Whole).1, 0);
        }
        prop_assert_eq!(list_pages(), 0);
        prop_assert_eq!(world.list().1, 0);
    }
}

#[test]
fn what_is_no_entry_s_stands_between_and_moves_nothing() {
    let store = Store::memory(|_, _| Index::default());
    let mut world = World::default();
    (0..10).for_each(|name| world.write(&store, name, 100, true));
    let mut packing = Packing::of(Extent::Whole);
    for (name, entry) in &world.entries {
        if *name == 5 {
            packing.push_foreign(Stretch::of(b"foreign".to_vec()));
        }
        packing.push(entry.clone(), encoded(entry));
    }
    let lengths: Vec<usize> = packing.finish().iter().map(Stretch::len).collect();
    assert_eq!(lengths, [500, 7, 500]);
}

#[test]
fn a_change_moves_its_neighbours_only() {
    let store = Store::memory(|_, _| Index::default());
    let mut world = World::default();
    (0..1_000).for_each(|name| world.write(&store, name, 1_000, false));
    assert_eq!(world.list().1, 1_000);
    // In the middle of its namespace, whose 50 objects are one block.
    world.write(&store, 525, 1_000, true);
    let (_, moved) = world.list();
    assert!((1..=IN_NAMESPACE).contains(&moved), "{moved} moved");
    assert_eq!(world.list().1, 0);
}
