//! A revisioned key space with watch: what a control plane keeps its objects in.
//!
//! Every write gets the next [`Revision`] of one counter for the whole store. A value is encoded once, by its writer; the
//! store puts the revision into the bytes and from then on hands the same bytes to every reader and watcher. Each
//! collection (`pods`, `storage.k8s.io/csidrivers`) keeps a bounded history of its events, from which watchers read with
//! a cursor of their own and older revisions are listed.
//!
//! The one invariant: *whoever was told revision `R` of a collection, by a listing, a batch or a bookmark, has every
//! event of that collection up to `R`, and none after it.*
//!
//! [`Store`] is a handle that is cheap to clone and outlives any server over it. Reads are always answered from memory.
//! What keeps the objects beyond that is chosen when the store is made: nothing ([`Store::memory`]), a log on this
//! machine's disk ([`Store::open`]), or etcd ([`Store::etcd`]). Writes are `async`, since disk or etcd have to acknowledge
//! them first; nobody sees a write before.
//!
//! ```
//! use tokenward_store::{Key, Page, Scope, Store, Unstamped};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Store::memory(|_key, bytes| bytes.len());
//! let pods = Scope::collection("pods");
//! let (listing, mut watch) = store.list_and_watch(&pods);
//! assert!(listing.entries.is_empty());
//!
//! let key = Key::new("pods", Some("default"), "web")?;
//! let body = br#"{"metadata":{"resourceVersion":""}}"#.to_vec();
//! let created = store.create(key, Unstamped::new(body, 32)).await?;
//! assert_eq!(&created.value[..], br#"{"metadata":{"resourceVersion":"2"}}"#);
//!
//! let batch = watch.next().await?;
//! assert_eq!(batch.events[0].revision, created.revision);
//! assert_eq!(store.list(&pods, &Page::default())?.entries.len(), 1);
//! # Ok(())
//! # }
//! ```

mod bell;
mod change;
mod collection;
mod error;
mod etcd;
mod event;
mod history;
mod key;
mod list;
mod log;
mod memory;
mod revision;
mod store;
mod value;
mod watch;

pub use error::{Compacted, KeyError, ReadError, RevisionError, Unavailable, WriteError};
pub use etcd::{
    Decoder, EtcdEndpoint, EtcdEndpointError, EtcdError, EtcdOptions, EtcdTls, EtcdTlsError, Layout,
};
pub use event::{Event, EventKind};
pub use history::HistoryLimits;
pub use key::{Key, Scope};
pub use list::{Listing, Page};
pub use log::{Cut, HeaderError, LogOptions, OpenError, Recovery};
pub use revision::Revision;
pub use store::Store;
pub use value::{Entry, Unstamped};
pub use watch::{Batch, Start, Watch};
