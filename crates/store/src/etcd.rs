//! The store in etcd, which several servers share: a copy of everything in memory, and writes that etcd decides about.
//!
//! Reads and watches are answered from memory, which follows etcd's events. A write is one transaction on the revision
//! that the writer has seen; its answer waits until memory has caught up with it, so that every writer reads what it
//! has written. See `docs/decisions/etcd-is-read-from-memory.md`.

mod cache;
mod client;
mod compaction;
#[expect(
    unreachable_pub,
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    clippy::enum_variant_names,
    reason = "generated from proto/etcd.proto by the test `generated`"
)]
mod generated {
    include!("etcd/generated/etcdserverpb.rs");
}
mod layout;
mod tls;
mod txn;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use self::cache::{Source, follow};
use self::client::{Client, key_alone};
pub use self::client::{EtcdEndpoint, EtcdEndpointError};
use self::generated::KeyValue;
pub use self::layout::Layout;
pub use self::tls::{EtcdTls, EtcdTlsError};
use self::txn::{Expected, Outcome, Then, conditional, outcome};
use crate::change::Change;
use crate::memory::Memory;
use crate::{Entry, HistoryLimits, Key, Revision, Unavailable, Unstamped, WriteError};

/// How often a delete of whatever is there is tried while others write.
const DELETE_ATTEMPTS: usize = 8;
/// How long a reader waits for a revision that has not come yet.
const FRESHNESS: Duration = Duration::from_secs(3);
/// How often etcd is asked whether it is there.
const PULSE: Duration = Duration::from_secs(1);

/// Finds out of the bytes that etcd holds where the revision goes; `None` when they are in no encoding that is known.
pub type Decoder = Box<dyn Fn(&Key, &[u8]) -> Option<Unstamped> + Send + Sync>;

/// How a store in etcd is kept.
pub struct EtcdOptions {
    /// The servers; one or more. One is used as long as it answers.
    pub endpoints: Vec<EtcdEndpoint>,
    /// How those at `https://` are spoken to; none believes the authorities of this machine, and shows no certificate.
    pub tls: Option<EtcdTls>,
    /// Which object is where.
    pub layout: Layout,
    /// Reads what etcd holds.
    pub decode: Decoder,
    /// How long etcd may take to answer, and memory to catch up with a write.
    pub timeout: Duration,
    /// How often history that is older than this is compacted away, as kube-apiserver does; none leaves that to others.
    pub compact_every: Option<Duration>,
    /// How much history each collection keeps in memory.
    pub history: HistoryLimits,
}

impl EtcdOptions {
    /// Answers within 10 seconds, compaction every 5 minutes.
    pub fn new(
        endpoints: Vec<EtcdEndpoint>,
        layout: Layout,
        decode: impl Fn(&Key, &[u8]) -> Option<Unstamped> + Send + Sync + 'static,
    ) -> Self {
        Self {
            endpoints,
            tls: None,
            layout,
            decode: Box::new(decode),
            timeout: Duration::from_secs(10),
            compact_every: Some(Duration::from_secs(5 * 60)),
            history: HistoryLimits::default(),
        }
    }
}

impl std::fmt::Debug for EtcdOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EtcdOptions").field("endpoints", &self.endpoints).finish_non_exhaustive()
    }
}

/// Why there is no store in etcd.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EtcdError {
    /// No server was named.
    #[error("wanted the address of an etcd server, found none")]
    NoEndpoint,
    /// An address cannot be used.
    #[error("cannot connect to etcd")]
    Endpoint(#[from] tonic::transport::Error),
    /// There can be no TLS with them.
    #[error(transparent)]
    Tls(#[from] EtcdTlsError),
    /// They answer, and do not let this server read.
    #[error("etcd at {endpoints} refuses to be read: {reason}")]
    Refused {
        /// Who was asked.
        endpoints: String,
        /// What etcd says.
        reason: String,
    },
    /// None of the servers answers.
    #[error("no etcd server answers at {endpoints}; start it, or correct the addresses")]
    NoAnswer {
        /// Who was asked.
        endpoints: String,
        /// What the last one did.
        #[source]
        source: Unavailable,
    },
}

impl EtcdError {
    /// Nothing could be read there.
    fn of(endpoints: &[EtcdEndpoint], error: Unavailable) -> Self {
        let endpoints = endpoints.iter().map(EtcdEndpoint::to_string).collect::<Vec<_>>().join(", ");
        match error {
            Unavailable::Refused(reason) => Self::Refused { endpoints, reason },
            source => Self::NoAnswer { endpoints, source },
        }
    }
}

/// The way to etcd.
pub(crate) struct Etcd<I> {
    source: Arc<Source<I>>,
    memory: Arc<Memory<I>>,
    applied: watch::Receiver<Revision>,
    answers: Arc<AtomicBool>,
    /// Whether etcd has lost writes that are known here.
    has_gone_back: Arc<AtomicBool>,
    /// Stopped when the last handle goes.
    _tasks: JoinSet<()>,
}

impl<I: Clone + Send + Sync + 'static> Etcd<I> {
    pub(crate) async fn connect(
        options: EtcdOptions,
        indexer: impl Fn(&Key, &[u8]) -> I + Send + Sync + 'static,
    ) -> Result<(Self, Arc<Memory<I>>), EtcdError> {
        if options.endpoints.is_empty() {
            return Err(EtcdError::NoEndpoint);
        }
        let indexer = Arc::new(indexer);
        let source = Arc::new(Source {
            client: Client::new(&options.endpoints, options.tls, options.timeout)?,
            layout: options.layout,
            decode: options.decode,
            index: Box::new({
                let indexer = indexer.clone();
                move |key, bytes| indexer(key, bytes)
            }),
        });
        let snapshot = source.snapshot().await.map_err(|error| EtcdError::of(&options.endpoints, error))?;
        let revision = snapshot.revision;
        let memory = Memory::new(revision, revision, options.history, move |key, bytes| indexer(key, bytes));
        for entry in snapshot.entries {
            memory.load(entry);
        }
        let memory = Arc::new(memory);
        let (sender, applied) = watch::channel(revision);
        let (answers, has_gone_back) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        let mut tasks = JoinSet::new();
        tasks.spawn(follow(source.clone(), memory.clone(), sender, has_gone_back.clone()));
        tasks.spawn(feel_pulse(source.clone(), answers.clone()));
        if let Some(period) = options.compact_every {
            tasks.spawn(compaction::compact_every(source.clone(), period));
        }
        let this = Self { source, memory: memory.clone(), applied, answers, has_gone_back, _tasks: tasks };
        Ok((this, memory))
    }

    /// Whether etcd answered when it was last asked, and has what is known here.
    pub(crate) fn answers(&self) -> bool {
        self.answers.load(Ordering::Relaxed) && !self.has_gone_back.load(Ordering::Relaxed)
    }

    pub(crate) async fn write(&self, change: Change<I>) -> Result<Arc<Entry<I>>, WriteError<I>> {
        match change {
            Change::Create { key, value, index } => {
                let bytes = value.bytes().to_vec();
                match self.change(&key, Expected::Free, Then::Put(bytes)).await? {
                    Outcome::Done { revision, .. } => {
                        self.written(Entry::new(key, value, index, revision, None)).await
                    }
                    Outcome::Otherwise(pair) => Err(WriteError::Exists(self.found(pair).await?)),
                }
            }
            Change::Update { key, expected, value, index } => {
                let is_same =
                    |entry: &Arc<Entry<I>>| entry.revision == expected && entry.same_content(&value);
                let kept = self.memory.get(&key).filter(is_same);
                let then = if kept.is_some() { Then::Nothing } else { Then::Put(value.bytes().to_vec()) };
                match self.change(&key, Expected::At(expected), then).await? {
                    Outcome::Done { revision, pair } => {
                        if let Some(kept) = kept {
                            return Ok(kept);
                        }
                        let created = pair.map(|pair| txn::revision_of(pair.create_revision));
                        self.written(Entry::new(key, value, index, revision, created)).await
                    }
                    Outcome::Otherwise(None) => Err(WriteError::Missing { key }),
                    Outcome::Otherwise(pair) => {
                        Err(WriteError::Conflict { expected, current: self.found(pair).await? })
                    }
                }
            }
            Change::Delete { key, expected } => self.delete(key, expected).await,
        }
    }

    async fn delete(&self, key: Key, expected: Option<Revision>) -> Result<Arc<Entry<I>>, WriteError<I>> {
        for _ in 0..DELETE_ATTEMPTS {
            let seen = expected.or_else(|| self.memory.get(&key).map(|entry| entry.revision));
            // What memory does not have yet may be there all the same.
            let (at, then) = match seen {
                Some(revision) => (Expected::At(revision), Then::Delete),
                None => (Expected::Free, Then::Nothing),
            };
            match self.change(&key, at, then).await? {
                Outcome::Done { revision, pair: Some(pair) } => {
                    let last = self.source.entry(&pair).ok_or_else(unreadable)?;
                    return self.written(last.deleted(revision)).await;
                }
                Outcome::Done { .. } | Outcome::Otherwise(None) => return Err(WriteError::Missing { key }),
                Outcome::Otherwise(pair) => {
                    let current = self.found(pair).await?;
                    if let Some(expected) = expected {
                        return Err(WriteError::Conflict { expected, current });
                    }
                }
            }
        }
        Err(Unavailable::TimedOut.into())
    }

    async fn change(&self, key: &Key, expected: Expected, then: Then) -> Result<Outcome, Unavailable> {
        if self.has_gone_back.load(Ordering::Relaxed) {
            return Err(gone_back());
        }
        let known = *self.applied.borrow();
        let writes = !matches!(then, Then::Nothing);
        let txn = conditional(&self.source.layout.to_etcd(key), expected, then);
        let outcome = outcome(self.source.client.txn(txn).await?);
        match outcome {
            // Nobody here would ever see it.
            Outcome::Done { revision, .. } if revision < known || (writes && revision == known) => {
                Err(gone_back())
            }
            outcome => Ok(outcome),
        }
    }

    /// What a write has made, once everybody here sees it: the very entry that watchers get, if they still get it.
    async fn written(&self, entry: Entry<I>) -> Result<Arc<Entry<I>>, WriteError<I>> {
        self.caught_up(entry.revision).await?;
        Ok(self.memory.event_entry(&entry.key, entry.revision).unwrap_or_else(|| Arc::new(entry)))
    }

    /// What stood in a write's way, once everybody here sees it: whoever tries again must not meet it again.
    async fn found(&self, pair: Option<KeyValue>) -> Result<Arc<Entry<I>>, Unavailable> {
        let entry = pair.and_then(|pair| self.source.entry(&pair)).ok_or_else(unreadable)?;
        self.caught_up(entry.revision).await?;
        let current = self.memory.get(&entry.key).filter(|current| current.revision == entry.revision);
        Ok(current.unwrap_or_else(|| Arc::new(entry)))
    }

    /// Waits until memory has got to `revision`, or for [`FRESHNESS`].
    pub(crate) async fn reached(&self, revision: Revision) {
        let mut applied = self.applied.clone();
        // Whoever comes too early finds out when it reads.
        let _ = tokio::time::timeout(FRESHNESS, applied.wait_for(|applied| *applied >= revision)).await;
    }

    async fn caught_up(&self, revision: Revision) -> Result<(), Unavailable> {
        let mut applied = self.applied.clone();
        let reached = applied.wait_for(|applied| *applied >= revision);
        match tokio::time::timeout(self.source.client.timeout(), reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Unavailable::Closed),
            Err(_) => Err(Unavailable::TimedOut),
        }
    }
}

fn gone_back() -> Unavailable {
    Unavailable::Refused(
        "etcd has lost writes that are known here; restart the server to go on without them".to_owned(),
    )
}

fn unreadable() -> Unavailable {
    Unavailable::Refused("the object is kept in an encoding that is not read here".to_owned())
}

/// Without the value: an object may be a Secret.
impl std::fmt::Debug for KeyValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyValue")
            .field("key", &String::from_utf8_lossy(&self.key))
            .field("value_bytes", &self.value.len())
            .field("create_revision", &self.create_revision)
            .field("mod_revision", &self.mod_revision)
            .finish_non_exhaustive()
    }
}

/// As above.
impl std::fmt::Debug for generated::PutRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PutRequest").field("value_bytes", &self.value.len()).finish_non_exhaustive()
    }
}

/// Asks etcd from time to time whether it is there, and lets this server read.
async fn feel_pulse<I: Clone>(source: Arc<Source<I>>, answers: Arc<AtomicBool>) {
    let request = key_alone(source.layout.root());
    loop {
        tokio::time::sleep(PULSE).await;
        let answer = source.client.range(&request).await;
        if answers.swap(answer.is_ok(), Ordering::Relaxed) == answer.is_ok() {
            continue;
        }
        match answer {
            Ok(_) => tracing::info!("etcd answers again"),
            Err(Unavailable::Refused(reason)) => {
                tracing::error!(reason, "etcd refuses to be read; reads go on from memory, writes fail");
            }
            Err(_) => tracing::error!("etcd does not answer; reads go on from memory, writes fail"),
        }
    }
}
