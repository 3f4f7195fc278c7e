//! Repeated requests: the same answer for the same request, a refusal for another one under the same name.

use std::collections::HashMap;
use std::fmt;

use parking_lot::Mutex;
use tonic::Status;

/// What was made, by its name: for operations that the specification wants idempotent (CreateVolume and its kin) in drivers whose backend
/// does not remember by itself. Lives in memory, for one operation of a name at a time, which a [`Plugin`](crate::Plugin) sees to.
///
/// ```
/// use tokenward_driver::Repeats;
/// use tonic::Code;
///
/// let volumes: Repeats<u64, String> = Repeats::default();
/// let make = || Ok("id-1".to_owned());
/// assert_eq!(volumes.once("pvc-1", 10, make).unwrap(), "id-1");
/// assert_eq!(volumes.once("pvc-1", 10, || unreachable!("it is there")).unwrap(), "id-1");
/// assert_eq!(volumes.once("pvc-1", 20, make).unwrap_err().code(), Code::AlreadyExists);
/// assert!(volumes.any(|made| made == "id-1"));
/// assert_eq!(volumes.forget_where(|made| made == "id-1"), 1);
/// ```
pub struct Repeats<W, M>(Mutex<HashMap<String, (W, M)>>);

impl<W, M> Default for Repeats<W, M> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<W, M> fmt::Debug for Repeats<W, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Repeats({})", self.0.lock().len())
    }
}

impl<W: PartialEq, M: Clone> Repeats<W, M> {
    /// What was made under this name, or what `make` makes now. `wanted` is all that decides whether two requests are the same: a size,
    /// parameters, never a secret.
    ///
    /// Shown at [`Repeats`].
    ///
    /// # Errors
    /// ALREADY_EXISTS when something else was made under the name; those of `make`, after which nothing is remembered.
    pub fn once(&self, name: &str, wanted: W, make: impl FnOnce() -> Result<M, Status>) -> Result<M, Status> {
        if let Some((before, made)) = self.0.lock().get(name) {
            if *before == wanted {
                return Ok(made.clone());
            }
            return Err(Status::already_exists(format!(
                "`{name}` was made for another request; choose another name, or delete it first"
            )));
        }
        let made = make()?;
        self.0.lock().insert(name.to_owned(), (wanted, made.clone()));
        Ok(made)
    }

    /// Whether something was made for which `holds`.
    ///
    /// Shown at [`Repeats`].
    pub fn any(&self, mut holds: impl FnMut(&M) -> bool) -> bool {
        self.0.lock().values().any(|(_, made)| holds(made))
    }

    /// Forgets what was made and is gone; says how many.
    ///
    /// Shown at [`Repeats`].
    pub fn forget_where(&self, mut gone: impl FnMut(&M) -> bool) -> usize {
        let mut kept = self.0.lock();
        let before = kept.len();
        kept.retain(|_, (_, made)| !gone(made));
        before - kept.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_not_remembered() {
        let repeats: Repeats<(), u32> = Repeats::default();
        assert!(repeats.once("a", (), || Err(Status::unavailable("not now"))).is_err());
        assert_eq!(repeats.once("a", (), || Ok(1)).unwrap(), 1);
        assert!(repeats.any(|made| *made == 1));
        assert_eq!(repeats.forget_where(|_| true), 1);
        assert_eq!(repeats.once("a", (), || Ok(2)).unwrap(), 2);
    }
}
