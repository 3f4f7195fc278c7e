//! A stored object in other encodings than the one that the store keeps, and as a release sees it that does not know all of
//! it: each made when somebody first asks for it.
//!
//! They lie beside the object in the store, so that an object is encoded once for all who read or watch it: kubelets and
//! informers all ask for protobuf. Where the bytes are may change: whoever lists a collection puts neighbours together
//! ([`Packing`]), so that the next list is given in long pieces and copies nothing.

mod packing;
mod stretch;

use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;
use parking_lot::Mutex;
use tokenward_kube_rules::Release;

pub(crate) use self::packing::{Extent, Packing};
use self::stretch::Held;
pub(crate) use self::stretch::Stretch;

/// The encodings of one revision of one object.
#[derive(Default)]
pub(crate) struct Encodings {
    /// As an item of a list has it. The lock is held to look at it or to change it, never to encode.
    protobuf: Mutex<Kept>,
    pruned: OnceLock<Box<Pruned>>,
}

/// Where an encoding is, once it has been made.
#[derive(Default)]
struct Kept {
    stretch: Option<Held>,
    /// Whether the object has another revision by now, or is gone.
    is_past: bool,
}

/// What a release shows of an object; `None` is all of it.
type Pruned = (Release, Option<Bytes>);

impl Encodings {
    /// What the release shows of the object, if it is less than all: what `prune` finds out, once.
    ///
    /// One release is remembered. Servers of several in one process are for tests.
    pub(crate) fn pruned(&self, release: Release, prune: impl FnOnce() -> Option<Bytes>) -> Option<Bytes> {
        match self.pruned.get().map(Box::as_ref) {
            Some((known, pruned)) if *known == release => pruned.clone(),
            Some(_) => prune(),
            None => {
                let pruned = prune();
                let _ = self.pruned.set(Box::new((release, pruned.clone())));
                pruned
            }
        }
    }

    /// The object as an item of a list in protobuf, which `encode` makes if nobody has yet.
    ///
    /// # Errors
    /// Those of `encode`.
    pub(crate) fn protobuf<E>(&self, encode: impl FnOnce() -> Result<Stretch, E>) -> Result<Stretch, E> {
        if let Some(known) = &self.protobuf.lock().stretch {
            return Ok(Stretch::clone(known));
        }
        // Whoever comes at the same time encodes it too, and the first to be ready is kept: nobody waits for another.
        let encoded = encode()?;
        Ok(Stretch::clone(self.protobuf.lock().stretch.get_or_insert_with(|| Held::of(encoded))))
    }

    /// Says that another revision has followed, or none will: history may keep this one for long, and must not keep a
    /// block with all neighbours for its sake.
    pub(crate) fn set_apart(&self) {
        let mut kept = self.protobuf.lock();
        kept.is_past = true;
        if let Some(shared) = kept.stretch.as_mut().filter(|stretch| !stretch.is_most_of_its_block()) {
            *shared = Held::of(Stretch::of(shared.bytes().to_vec()));
        }
    }

    /// From now on the same bytes are kept there, unless they have been set apart.
    fn move_to(&self, place: Stretch) {
        let mut kept = self.protobuf.lock();
        if !kept.is_past {
            kept.stretch = Some(Held::of(place));
        }
    }
}

/// An index is cloned for another revision of its object, which has encodings of its own.
impl Clone for Encodings {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// What was made of an object says nothing about it.
impl PartialEq for Encodings {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Without the bytes: the object may be a Secret.
impl fmt::Debug for Encodings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encodings")
            .field("protobuf", &self.protobuf.lock().stretch.is_some())
            .field("pruned", &self.pruned.get().is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_encoded_once_and_a_clone_anew() {
        let encodings = Encodings::default();
        let encode = |item: &'static [u8]| move || Ok::<_, ()>(Stretch::of(item.to_vec()));
        assert!(encodings.protobuf(|| Err("broken")).is_err());
        for _ in 0..2 {
            assert_eq!(encodings.protobuf(encode(b"first")).unwrap().bytes(), b"first");
        }
        assert_eq!(encodings.protobuf(encode(b"second")).unwrap().bytes(), b"first");
        assert_eq!(encodings.clone().protobuf(encode(b"second")).unwrap().bytes(), b"second");
        assert_eq!(format!("{encodings:?}"), "Encodings { protobuf: true, pruned: false }");
    }

    #[test]
    fn each_release_sees_its_own_and_the_first_is_remembered() {
        let encodings = Encodings::default();
        let less = || Some(Bytes::from_static(b"less"));
        assert_eq!(encodings.pruned(Release::V1_34, less), less());
        assert_eq!(encodings.pruned(Release::V1_34, || panic!("known")), less());
        assert_eq!(encodings.pruned(Release::V1_35, || None), None);
        assert_eq!(encodings.pruned(Release::V1_34, || panic!("known")), less());
    }
}
