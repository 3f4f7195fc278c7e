//! One publish, or republish, of one volume: tokens out of the request, credentials by an exchange or out of the volume, all of it written at
//! once.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokenward_driver::csi::v1::{NodePublishVolumeRequest, NodeUnpublishVolumeRequest};
use tokenward_driver::tokens::Token;
use tokenward_driver::{
    AtomicWriter, CallContext, Contents, File, FileDriver, FileSet, Mounter, PublishTarget, TargetPath,
    TokenSet, Written, required_tokens_from_publish, unpublish_target, with_causes,
};
use tokenward_exchange::{ExchangeError, Exchanger};
use tonic::Status;
use zeroize::Zeroizing;

use crate::attributes::{self, ExchangePlan, VolumePlan};
use crate::events::{EventKind, Said};
use crate::pod::Pod;
use crate::record::{Held, Record, Records};
use crate::render::{Mismatch, render};
use crate::renewal::{Fallback, Lifetime};
use crate::request::check_publish;
use crate::{Config, Configuration};

/// Publishes and unpublishes. One call at a time for a volume: the kit sees to that.
#[derive(Debug)]
pub(crate) struct Publisher {
    config: Config,
    mounter: Mounter,
    records: Records,
    said: Said,
}

/// Why there are no fresh credentials.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    #[error(transparent)]
    Format(#[from] Mismatch),
    #[error("too many exchanges are under way on this node")]
    Busy,
}

impl Failure {
    fn kind(&self) -> &'static str {
        match self {
            Self::Exchange(error) => error.kind(),
            Self::Format(_) => "format",
            Self::Busy => "busy",
        }
    }
}

/// The volume that a call is about.
struct Volume<'a> {
    call: &'a CallContext,
    target: &'a TargetPath,
    pod: &'a Pod,
    configuration: &'a Configuration,
}

/// The credentials for a volume.
struct Obtained {
    contents: Zeroizing<Vec<u8>>,
    /// Of new ones.
    record: Option<Record>,
    /// Of old ones that are over: they stay in the volume, and the call fails all the same.
    failure: Option<Status>,
}

impl FileDriver for Publisher {
    async fn publish(
        self: &Arc<Self>,
        call: &CallContext,
        mut request: NodePublishVolumeRequest,
    ) -> Result<(), Status> {
        // Before anything else looks at the request: from here on it has no token.
        let tokens = required_tokens_from_publish(&mut request, self.config.driver.read);
        let target = check_publish(&request)?;
        let pod = Pod::of(&request.volume_context).map_err(|error| Status::unavailable(error.to_string()))?;
        let is_mounted = AtomicWriter::has_version(target.path.as_path());
        let configuration = self.config.configuration.get();
        let plan = attributes::parse(&request.volume_context, &request.volume_id, &pod, &configuration)
            .map_err(|error| match is_mounted {
                // The configuration has changed under a running pod: a final code could cost it its mount.
                true => Status::unavailable(with_causes(&error)),
                false => Status::invalid_argument(with_causes(&error)),
            })?;
        let tokens = tokens?;
        let now = self.config.driver.clock.now();
        let mut files = token_files(&plan, &tokens, now)?;
        let mut record = None;
        let mut failure = None;
        if let Some(exchange) = &plan.exchange {
            let entry = tokens.unexpired(exchange.audience.as_str(), now)?;
            let volume = Volume { call, target: &target.path, pod: &pod, configuration: &configuration };
            let obtained = self.credentials(&volume, exchange, &entry.token, now).await?;
            insert(&mut files, exchange, obtained.contents)?;
            (record, failure) = (obtained.record, obtained.failure);
        }
        self.write(call, &target, files, record).await?;
        failure.map_or(Ok(()), Err)
    }

    /// Unmounts and removes the volume with all that is known of it.
    async fn unpublish(
        self: &Arc<Self>,
        call: &CallContext,
        request: NodeUnpublishVolumeRequest,
    ) -> Result<(), Status> {
        let target = unpublish_target(&request)?;
        self.said.forget(&target.as_path().to_string_lossy());
        let this = Arc::clone(self);
        call.blocking(move || {
            this.mounter.remove(&target)?;
            this.records.remove(&target).map_err(|error| {
                Status::unavailable(format!("the record of the volume cannot be removed: {error}"))
            })
        })
        .await
    }
}

impl Publisher {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            mounter: Mounter::new(config.driver.volume_size, config.driver.mount),
            records: Records::new(config.record_directory.clone()),
            said: Said::default(),
            config,
        }
    }

    /// Forgets volumes that went while no driver was there.
    pub(crate) fn forget_volumes_that_are_gone(&self) {
        match self.records.forget_volumes_that_are_gone() {
            Ok(0) => {}
            Ok(records) => tracing::info!(records, "forgot volumes that are gone"),
            Err(error) => tracing::warn!(%error, "records of volumes that are gone stay behind"),
        }
    }

    /// Good credentials for the volume: those that it holds, or new ones, or, when there are no new ones, those that it holds still.
    async fn credentials(
        self: &Arc<Self>,
        volume: &Volume<'_>,
        plan: &ExchangePlan,
        token: &Token,
        now: Timestamp,
    ) -> Result<Obtained, Status> {
        let (records, target) = (self.records.clone(), volume.target.clone());
        let (path, fingerprint) = (plan.path.clone(), plan.fingerprint.clone());
        let held = volume.call.blocking(move || Ok(records.held(&target, &path, &fingerprint))).await?;
        let jitter = Duration::from_secs(plan.fingerprint.jitter_seconds());
        if let Some(Held { contents, .. }) = held.as_ref().filter(|held| !held.lifetime.is_due(jitter, now)) {
            return Ok(Obtained { contents: contents.clone(), record: None, failure: None });
        }
        // Given up when nobody waits for it any more; nothing has changed until then.
        match (volume.call.run(self.exchange(volume, plan, token)).await?, held) {
            (Ok(obtained), held) => {
                if held.is_some() {
                    self.tell(volume, EventKind::CredentialsRenewed, || {
                        format!("exchange `{}` works again: the credentials are new", plan.named.name)
                    });
                }
                Ok(obtained)
            }
            (Err(failure), Some(held)) => Ok(self.fall_back(volume, plan, &failure, held)),
            (Err(failure), None) => {
                self.config.metrics.expired(&plan.named.name);
                let error = with_causes(&failure);
                Err(Status::unavailable(format!("exchange `{}`: {error}", plan.named.name)))
            }
        }
    }

    /// What is left when the exchange has failed.
    fn fall_back(&self, volume: &Volume<'_>, plan: &ExchangePlan, failure: &Failure, held: Held) -> Obtained {
        let name = &plan.named.name;
        let error = with_causes(failure);
        // Not the time at which the call began: the exchange has taken its own.
        let failure = match held.lifetime.after_failure(self.config.driver.clock.now()) {
            Fallback::Kept { until } => {
                let until = until.map_or("they are replaced".to_owned(), |end| end.to_string());
                tracing::warn!(
                    exchange = name,
                    error,
                    until,
                    "the exchange failed; the last good credentials stay"
                );
                self.config.metrics.kept(name);
                self.tell(volume, EventKind::CredentialsKept, || {
                    format!("exchange `{name}` failed, the last good credentials stay until {until}: {error}")
                });
                None
            }
            Fallback::Expired { at } => {
                self.config.metrics.expired(name);
                let text = format!(
                    "the credentials expired at {at}, and exchange `{name}` gives no new ones: {error}"
                );
                self.tell(volume, EventKind::CredentialsExpired, || text.clone());
                Some(Status::unavailable(text))
            }
        };
        Obtained { contents: held.contents, record: None, failure }
    }

    /// New credentials. As many exchanges at once as the configuration allows; the others wait, but not for ever.
    async fn exchange(
        &self,
        volume: &Volume<'_>,
        plan: &ExchangePlan,
        token: &Token,
    ) -> Result<Obtained, Failure> {
        let started = Instant::now();
        let result = self.exchange_in_turn(volume.configuration, plan, token).await;
        let outcome = result.as_ref().map_or_else(Failure::kind, |_| "granted");
        self.config.metrics.exchanged(&plan.named.name, outcome, started.elapsed());
        let (contents, lifetime) = result?;
        tracing::info!(exchange = plan.named.name, expires = ?lifetime.expires, "exchanged the token for credentials");
        let record = Record::new(volume.target, plan.fingerprint.clone(), lifetime, &contents);
        Ok(Obtained { contents, record: Some(record), failure: None })
    }

    async fn exchange_in_turn(
        &self,
        configuration: &Configuration,
        plan: &ExchangePlan,
        token: &Token,
    ) -> Result<(Zeroizing<Vec<u8>>, Lifetime), Failure> {
        let (limit, places) = (configuration.total_limit, &configuration.places);
        let Ok(place) = tokio::time::timeout(limit, places.acquire()).await else {
            return Err(Failure::Busy);
        };
        let _place = place.expect("nobody closes the semaphore");
        let exchanger = Exchanger::new(plan.named.http.clone(), self.config.driver.clock.clone())
            .with_retries(self.config.retries);
        let credentials = exchanger.exchange(&*plan.exchange, token).await?;
        let lifetime = Lifetime { issued: self.config.driver.clock.now(), expires: credentials.expires() };
        Ok((render(&credentials, plan.format, plan.named.kind)?, lifetime))
    }

    /// Writes the whole volume, and then the record: a driver that dies between the two exchanges anew.
    async fn write(
        self: &Arc<Self>,
        call: &CallContext,
        target: &PublishTarget,
        files: FileSet,
        record: Option<Record>,
    ) -> Result<(), Status> {
        let (this, target) = (Arc::clone(self), target.clone());
        call.blocking(move || {
            let prepared = this.mounter.prepare_for(&target.path, target.group)?;
            let written = this.fill(&target, &files);
            if written.is_err()
                && prepared.fresh
                && let Err(error) = this.mounter.remove(&target.path)
            {
                let error = with_causes(&error);
                tracing::warn!(error, "a volume that could not be written stays behind");
            }
            if written? == Written::Replaced {
                tracing::debug!(files = files.len(), backing = ?prepared.backing, "wrote the volume");
            }
            if let Some(record) = record
                && let Err(error) = this.records.write(&target.path, &record)
            {
                // The volume is good; without a record its credentials are exchanged anew at each republish.
                tracing::warn!(%error, "the record of a volume could not be written");
            }
            Ok(())
        })
        .await
    }

    fn fill(&self, target: &PublishTarget, files: &FileSet) -> Result<Written, Status> {
        let mode = directory_mode(files, target.group);
        let path = target.path.as_path();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(|error| {
            Status::unavailable(format!("cannot set the mode of `{}`: {error}", path.display()))
        })?;
        let writer = AtomicWriter::new(path).with_group(target.group).with_directory_mode(mode);
        Ok(writer.write(files, self.config.driver.clock.now())?)
    }

    fn tell(&self, volume: &Volume<'_>, kind: EventKind, message: impl FnOnce() -> String) {
        let name = volume.target.as_path().to_string_lossy();
        if let Some(event) =
            self.said.next(&name, volume.pod, kind, &message(), self.config.driver.clock.now())
        {
            self.config.events.tell(event);
        }
    }
}

/// Whoever may read a file may also find it.
fn directory_mode(files: &FileSet, group: Option<u32>) -> u32 {
    let any = files.iter().fold(0, |any, (_, file)| any | file.mode);
    let group = if any & 0o040 == 0 && group.is_none() { 0 } else { 0o050 };
    let others = if any & 0o004 == 0 { 0 } else { 0o005 };
    0o700 | group | others
}

fn token_files(plan: &VolumePlan, tokens: &TokenSet, now: Timestamp) -> Result<FileSet, Status> {
    let mut files = FileSet::new();
    for file in &plan.token_files {
        let entry = tokens.unexpired(file.audience.as_str(), now)?;
        let contents = File::private(Contents::token(&entry.token)).with_mode(file.mode);
        files
            .insert(file.path.clone(), contents)
            .map_err(|conflict| Status::invalid_argument(conflict.to_string()))?;
    }
    Ok(files)
}

fn insert(files: &mut FileSet, plan: &ExchangePlan, mut contents: Zeroizing<Vec<u8>>) -> Result<(), Status> {
    // Taken and not copied: the same bytes are overwritten when the file set goes.
    let file = File::private(Contents::new(std::mem::take(&mut *contents))).with_mode(plan.mode);
    files.insert(plan.path.clone(), file).map_err(|conflict| Status::invalid_argument(conflict.to_string()))
}

#[cfg(test)]
mod tests {
    use tokenward_driver::VolumePath;

    use super::*;

    #[test]
    fn directories_are_open_to_those_who_may_read_a_file() {
        let table: [(&[u32], u32); 6] = [
            (&[], 0o700),
            (&[0o600, 0o400], 0o700),
            (&[0o600, 0o440], 0o750),
            (&[0o444], 0o755),
            (&[0o404, 0o600], 0o705),
            (&[0o640, 0o604], 0o755),
        ];
        for (modes, expected) in table {
            let mut files = FileSet::new();
            for (number, mode) in modes.iter().enumerate() {
                let file = File::private(Contents::new(Vec::new())).with_mode(*mode);
                files.insert(VolumePath::parse(number.to_string()).unwrap(), file).unwrap();
            }
            assert_eq!(directory_mode(&files, None), expected, "{modes:?}");
            assert_eq!(directory_mode(&files, Some(2000)), expected | 0o050, "{modes:?}");
        }
    }
}
