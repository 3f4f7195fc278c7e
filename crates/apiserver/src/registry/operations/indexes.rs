//! Places in arrays as upstream's JSON patch reads them: counted from the end when they are negative, and numbers as Go
//! reads them, with a sign or zeros before them.
//!
//! They depend on the tree. So an operation with such places is written anew, without them, right before it is carried out.

use std::borrow::Cow;

use json_patch::jsonptr::{Pointer, PointerBuf, Token};
use json_patch::{AddOperation, PatchOperation, RemoveOperation};
use serde_json::Value;

/// What is done for one operation, one after the other.
pub(super) enum Steps<'a> {
    /// The operation itself.
    Whole(&'a PatchOperation),
    /// A move whose target is to be found once the value is gone from where it was.
    Remove {
        from: &'a Pointer,
        path: &'a Pointer,
    },
    /// Its second half.
    Add {
        path: &'a Pointer,
        value: Value,
    },
    Done,
}

impl<'a> Steps<'a> {
    pub(super) fn of(operation: &'a PatchOperation) -> Self {
        match operation {
            PatchOperation::Move(moved) if is_unusual(&moved.path) => {
                Self::Remove { from: &moved.from, path: &moved.path }
            }
            _ => Self::Whole(operation),
        }
    }

    /// The next operation for the tree as it is now.
    pub(super) fn next(&mut self, tree: &Value) -> Option<Cow<'a, PatchOperation>> {
        match std::mem::replace(self, Self::Done) {
            Self::Whole(operation) => Some(written_anew(operation, tree)),
            Self::Remove { from, path } => {
                let from = plain(from, tree, Use::There);
                let value = tree.pointer(from.as_str()).cloned().unwrap_or_default();
                *self = Self::Add { path, value };
                Some(Cow::Owned(PatchOperation::Remove(RemoveOperation { path: from })))
            }
            Self::Add { path, value } => {
                let path = plain(path, tree, Use::Added);
                Some(Cow::Owned(PatchOperation::Add(AddOperation { path, value })))
            }
            Self::Done => None,
        }
    }
}

/// What is at a place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Something is there.
    There,
    /// Something comes there, which makes an array longer by one.
    Added,
}

fn written_anew<'a>(operation: &'a PatchOperation, tree: &Value) -> Cow<'a, PatchOperation> {
    let from = match operation {
        PatchOperation::Move(moved) => is_unusual(&moved.from),
        PatchOperation::Copy(copy) => is_unusual(&copy.from),
        _ => false,
    };
    if !from && !is_unusual(operation.path()) {
        return Cow::Borrowed(operation);
    }
    let mut operation = operation.clone();
    let set = |place: &mut PointerBuf, of: Use| *place = plain(place, tree, of);
    match &mut operation {
        PatchOperation::Add(add) => set(&mut add.path, Use::Added),
        PatchOperation::Remove(remove) => set(&mut remove.path, Use::There),
        PatchOperation::Replace(replace) => set(&mut replace.path, Use::There),
        PatchOperation::Test(test) => set(&mut test.path, Use::There),
        // Its target is as everybody writes it.
        PatchOperation::Move(moved) => set(&mut moved.from, Use::There),
        PatchOperation::Copy(copy) => {
            set(&mut copy.from, Use::There);
            set(&mut copy.path, Use::Added);
        }
    }
    Cow::Owned(operation)
}

/// Whether a step may be an index that the standard does not know.
fn is_unusual(place: &Pointer) -> bool {
    place.tokens().any(|token| {
        let text = token.encoded();
        text.len() > 1 && text.starts_with(['-', '+', '0'])
    })
}

/// The place with indexes as the standard writes them. What is no place of the tree stays as it is.
fn plain(place: &Pointer, tree: &Value, of: Use) -> PointerBuf {
    let mut here = Some(tree);
    let mut plain = PointerBuf::root();
    let last = place.count().saturating_sub(1);
    for (position, token) in place.tokens().enumerate() {
        let text = token.decoded();
        let index = here.and_then(Value::as_array).and_then(|items| {
            let more = usize::from(of == Use::Added && position == last);
            index(&text, items.len() + more)
        });
        here = match index {
            Some(index) => here.and_then(|here| here.get(index)),
            None => here.and_then(Value::as_object).and_then(|members| members.get(&*text)),
        };
        match index {
            Some(index) => plain.push_back(index),
            None => plain.push_back(Token::new(text)),
        }
    }
    plain
}

/// A place in an array of so many items.
fn index(text: &str, length: usize) -> Option<usize> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: usize = digits.parse().ok()?;
    if text.starts_with('-') && number > 0 { length.checked_sub(number) } else { Some(number) }
}
