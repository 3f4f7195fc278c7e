//! One watch for each resource, however many controllers follow it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::api::{Api, ApiError, Resource, WatchEvent};
use crate::pace;

/// So many events may wait for a controller before its resources wait for it.
const WAITING_EVENTS: usize = 1024;

/// What a controller hears.
pub(crate) type Events = mpsc::Receiver<(Resource, WatchEvent)>;

/// Who follows which resource.
#[derive(Default)]
pub(crate) struct Feeds {
    followers: BTreeMap<Resource, Vec<mpsc::Sender<(Resource, WatchEvent)>>>,
}

impl Feeds {
    /// The events of these resources, each resource's in their order.
    pub(crate) fn follow(&mut self, resources: &[Resource]) -> Events {
        let (sender, events) = mpsc::channel(WAITING_EVENTS);
        for resource in resources {
            self.followers.entry(*resource).or_default().push(sender.clone());
        }
        events
    }

    /// A future for each resource, which feeds its followers until none of them listens.
    pub(crate) fn into_feeds<A: Api>(
        self,
        api: &Arc<A>,
    ) -> impl Iterator<Item = impl Future<Output = ()> + Send + use<A>> {
        let api = api.clone();
        self.followers.into_iter().map(move |(resource, followers)| feed(api.clone(), resource, followers))
    }
}

async fn feed<A: Api>(
    api: Arc<A>,
    resource: Resource,
    mut followers: Vec<mpsc::Sender<(Resource, WatchEvent)>>,
) {
    let mut changes = Changes { api, resource, watch: None, idle: 0 };
    while !followers.is_empty() {
        let event = changes.next().await;
        let mut gone = Vec::new();
        for (position, follower) in followers.iter().enumerate() {
            // One whose controller has ended.
            if follower.send((resource, event.clone())).await.is_err() {
                gone.push(position);
            }
        }
        for position in gone.into_iter().rev() {
            followers.remove(position);
        }
    }
}

/// The changes of a resource, watched anew whenever a watch ends.
struct Changes<A> {
    api: Arc<A>,
    resource: Resource,
    watch: Option<BoxStream<'static, Result<WatchEvent, ApiError>>>,
    /// Watches in a row that ended without telling anything.
    idle: u32,
}

impl<A: Api> Changes<A> {
    async fn next(&mut self) -> WatchEvent {
        let resource = self.resource.plural;
        loop {
            let watch = match &mut self.watch {
                Some(watch) => watch,
                None => {
                    if self.idle > 0 {
                        sleep(pace::delay(self.idle)).await;
                    }
                    self.watch.insert(self.api.watch(self.resource))
                }
            };
            match watch.next().await {
                Some(Ok(event)) => {
                    self.idle = 0;
                    return event;
                }
                Some(Err(error)) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(resource, %error, cause, "watch broke, watching anew");
                }
                None => tracing::debug!(resource, "watch ended, watching anew"),
            }
            self.watch = None;
            self.idle = self.idle.saturating_add(1);
        }
    }
}
