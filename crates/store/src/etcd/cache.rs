//! Keeps memory what etcd is: everything once, then every event, from whichever server answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::Decoder;
use super::client::{Client, end_of, words_of_etcd};
use super::generated::event::EventType;
use super::generated::watch_request::RequestUnion;
use super::generated::{Event, KeyValue, RangeRequest, WatchCreateRequest, WatchRequest, WatchResponse};
use super::layout::Layout;
use super::txn::revision_of;
use crate::change::Write;
use crate::memory::{Indexer, Memory};
use crate::{Entry, Key, Revision, Unavailable};

/// How many objects are read at once when all are.
const PAGE: i64 = 500;
/// The first wait before a stream that broke is opened again; each further one is twice as long, up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What reads etcd and what fills memory.
pub(crate) struct Source<I> {
    pub(crate) client: Client,
    pub(crate) layout: Layout,
    pub(crate) decode: Decoder,
    pub(crate) index: Indexer<I>,
}

/// Everything at one revision.
pub(crate) struct Snapshot<I> {
    pub(crate) revision: Revision,
    pub(crate) entries: Vec<Entry<I>>,
}

/// Why a watch stream ended.
enum Ended {
    /// History does not reach back: everything has to be read again.
    Compacted,
    /// The stream broke after something had come over it, or before.
    Broken { status: Status, has_worked: bool },
}

impl<I: Clone> Source<I> {
    /// Reads everything, page by page, at one revision.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot<I>, Unavailable> {
        let root = self.layout.root();
        let mut request = RangeRequest {
            key: root.as_bytes().to_vec(),
            range_end: end_of(root),
            limit: PAGE,
            ..RangeRequest::default()
        };
        let mut entries = Vec::new();
        loop {
            let page = self.client.range(&request).await?;
            if request.revision == 0 {
                request.revision = page.header.map_or(0, |header| header.revision);
            }
            if let Some(last) = page.kvs.last() {
                request.key = [&last.key[..], b"\0"].concat();
            }
            entries.extend(page.kvs.iter().filter_map(|pair| self.entry(pair)));
            if !page.more {
                return Ok(Snapshot { revision: revision_of(request.revision), entries });
            }
        }
    }

    /// The object that a pair is; `None` when it is none that this server can read.
    pub(crate) fn entry(&self, pair: &KeyValue) -> Option<Entry<I>> {
        let key = self.key(pair)?;
        let Some(value) = (self.decode)(&key, &pair.value) else {
            tracing::warn!(%key, "etcd holds an object in an encoding that is not read here; it is left out");
            return None;
        };
        let index = (self.index)(&key, value.bytes());
        let (revision, created) = (revision_of(pair.mod_revision), revision_of(pair.create_revision));
        Some(Entry::new(key, value, index, revision, Some(created)))
    }

    fn key(&self, pair: &KeyValue) -> Option<Key> {
        self.layout.from_etcd(std::str::from_utf8(&pair.key).ok()?)
    }

    /// What an event does to memory, which holds everything before it.
    fn write(&self, event: &Event, current: impl FnOnce(&Key) -> Option<Arc<Entry<I>>>) -> Option<Write<I>> {
        let pair = event.kv.as_ref()?;
        let put = if event.r#type() == EventType::Put { self.entry(pair) } else { None };
        if let Some(entry) = put {
            return Some(Write::Put(Arc::new(entry)));
        }
        // One that is overwritten by something unreadable is gone for us too.
        let last = current(&self.key(pair)?)?;
        Some(Write::Delete(Arc::new(last.deleted(revision_of(pair.mod_revision)))))
    }
}

/// Follows etcd until the task is dropped. `applied` says up to where memory is complete, `has_gone_back` that etcd has lost what is
/// in it.
pub(crate) async fn follow<I: Clone + Send + Sync + 'static>(
    source: Arc<Source<I>>,
    memory: Arc<Memory<I>>,
    applied: watch::Sender<Revision>,
    has_gone_back: Arc<AtomicBool>,
) {
    let mut wait = FIRST_WAIT;
    loop {
        match stream(&source, &memory, &applied).await {
            Ended::Broken { status, has_worked } => {
                if has_worked {
                    wait = FIRST_WAIT;
                }
                let reason = words_of_etcd(status.message());
                tracing::warn!(code = ?status.code(), reason, "the watch of etcd has ended; it is opened again");
            }
            Ended::Compacted => match source.snapshot().await {
                Ok(snapshot) if snapshot.revision >= memory.current_revision() => {
                    tracing::warn!(revision = %snapshot.revision, "etcd has forgotten events; all was read again");
                    memory.replace(snapshot.entries, snapshot.revision);
                    applied.send_replace(snapshot.revision);
                    has_gone_back.store(false, Ordering::Relaxed);
                    wait = FIRST_WAIT;
                    continue;
                }
                Ok(snapshot) => {
                    has_gone_back.store(true, Ordering::Relaxed);
                    tracing::error!(
                        found = %snapshot.revision,
                        wanted = %memory.current_revision(),
                        "etcd has gone back in time; it has lost writes, and nothing is read from it or written: restart the server"
                    );
                }
                Err(error) => tracing::warn!(%error, "etcd has forgotten events, and cannot be read again"),
            },
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

async fn stream<I: Clone + Send + Sync + 'static>(
    source: &Source<I>,
    memory: &Memory<I>,
    applied: &watch::Sender<Revision>,
) -> Ended {
    let root = source.layout.root();
    let start = memory.current_revision();
    let create = WatchCreateRequest {
        key: root.as_bytes().to_vec(),
        range_end: end_of(root),
        start_revision: i64::try_from(start.get() + 1).unwrap_or(i64::MAX),
        progress_notify: true,
    };
    // The sender must live as long as the stream: etcd ends a watch whose requests have ended.
    let (requests, receiver) = mpsc::channel(1);
    let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    if requests.try_send(request).is_err() {
        return Ended::Broken { status: Status::internal("a stream that takes nothing"), has_worked: false };
    }
    let mut has_worked = false;
    let followed = source
        .client
        .watch(ReceiverStream::new(receiver), async |mut responses| {
            while let Some(response) = responses.message().await? {
                if response.canceled && response.compact_revision > 0 {
                    return Ok(Ended::Compacted);
                }
                if response.canceled {
                    return Err(Status::aborted(response.cancel_reason));
                }
                let newest = revision_of(response.header.map_or(0, |header| header.revision));
                if newest < start {
                    // Another etcd, or one that was put back from an old copy.
                    return Ok(Ended::Compacted);
                }
                has_worked = true;
                take(source, memory, &response, newest);
                applied.send_replace(memory.current_revision());
            }
            Err(Status::unavailable("the stream has ended"))
        })
        .await;
    drop(requests);
    followed.unwrap_or_else(|status| Ended::Broken { status, has_worked })
}

fn take<I: Clone>(source: &Source<I>, memory: &Memory<I>, response: &WatchResponse, newest: Revision) {
    if response.created {
        return;
    }
    let Some(last) = response.events.last() else {
        // etcd says how far the watch has got: everything up to there has been sent.
        memory.raise(newest);
        return;
    };
    let upto = revision_of(last.kv.as_ref().map_or(0, |pair| pair.mod_revision));
    let mut writes: Vec<Write<I>> = Vec::with_capacity(response.events.len());
    for event in &response.events {
        let current = |key: &Key| {
            // What an event before in the same answer has made of it is not in memory yet.
            let pending = writes.iter().rev().find(|write| write.entry().key == *key);
            match pending {
                Some(Write::Put(entry)) => Some(entry.clone()),
                Some(Write::Delete(_)) => None,
                None => memory.get(key),
            }
        };
        writes.extend(source.write(event, current));
    }
    memory.apply(writes);
    memory.raise(upto);
}
