//! A configuration that is read anew while the driver serves: when its file, or a file that it names, has changed, and when somebody asks.
//!
//! One that cannot be used changes nothing: the last good one stays, and a log line and a metric say so.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokenward_driver::with_causes;
use tokenward_exchange::Proxies;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::configuration::Sources;
use crate::{Configuration, ConfigurationError, Metrics};

/// The configuration that counts now. Clones share it: who holds one sees the next one too.
#[derive(Clone, Debug)]
pub struct CurrentConfiguration(Arc<RwLock<Arc<Configuration>>>);

impl From<Configuration> for CurrentConfiguration {
    fn from(configuration: Configuration) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(configuration))))
    }
}

impl CurrentConfiguration {
    /// The configuration of this moment; a call keeps to the one that it began with.
    #[must_use]
    pub fn get(&self) -> Arc<Configuration> {
        Arc::clone(&self.0.read())
    }

    fn replace(&self, configuration: Configuration) {
        let mut current = self.0.write();
        *current = Arc::new(configuration.succeed(&current));
    }
}

/// What a look at the files came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// Nothing has changed since the last look.
    Unchanged,
    /// The configuration is another now.
    Replaced,
}

/// A configuration file, and the configuration that was read from it.
#[derive(Debug)]
pub struct ConfigurationFile {
    path: PathBuf,
    proxies: Proxies,
    sources: Sources,
    current: CurrentConfiguration,
}

impl ConfigurationFile {
    /// Reads the file for the first time; servers are connected to through `proxies`.
    ///
    /// # Errors
    /// As [`Configuration::load`].
    pub fn open(path: &Path, proxies: Proxies) -> Result<Self, ConfigurationError> {
        // The working directory may change; whoever named the file meant this one.
        let path = std::path::absolute(path)
            .map_err(|source| ConfigurationError::Read { path: path.to_owned(), source })?;
        let mut sources = Sources::beside(&path);
        let current = Configuration::read(&mut sources, &path, &proxies)?.into();
        Ok(Self { path, proxies, sources, current })
    }

    /// The configuration, which follows the file as long as somebody looks at it.
    #[must_use]
    pub fn current(&self) -> CurrentConfiguration {
        self.current.clone()
    }

    /// Looks whether files have changed, and reads the configuration anew then.
    ///
    /// # Errors
    /// As [`Configuration::load`], once for each state of the files; the last good configuration stays.
    pub fn look(&mut self) -> Result<Reloaded, ConfigurationError> {
        if !self.sources.have_changed() {
            return Ok(Reloaded::Unchanged);
        }
        self.sources = Sources::beside(&self.path);
        let text = self.sources.text(&self.path)?;
        // Whoever writes a file in place empties it first.
        if text.trim().is_empty() && self.current.get().names().next().is_some() {
            return Err(ConfigurationError::Empty);
        }
        let configuration = Configuration::of(&text, &mut self.sources, &self.proxies)?;
        if self.sources.have_changed() {
            // Written while it was read: the next look has it whole.
            return Ok(Reloaded::Unchanged);
        }
        self.current.replace(configuration);
        Ok(Reloaded::Replaced)
    }

    /// Looks at the files again and again until `stop`: after each `interval`, and at once when `asked` has something. Says in the log and in
    /// `metrics` what it came to.
    pub async fn follow(
        mut self,
        interval: Duration,
        mut asked: mpsc::Receiver<()>,
        metrics: Metrics,
        stop: CancellationToken,
    ) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(interval) => {}
                Some(()) = asked.recv() => tracing::info!("asked to read the configuration anew"),
            }
            // Files on a node can be slow.
            let looked = tokio::task::spawn_blocking(move || {
                let looked = self.look();
                (self, looked)
            });
            let Ok((this, looked)) = looked.await else { return };
            self = this;
            match looked {
                Ok(Reloaded::Unchanged) => {}
                Ok(Reloaded::Replaced) => {
                    let exchanges = self.current.get().names().collect::<Vec<_>>().join(", ");
                    tracing::info!(exchanges, "the configuration has changed");
                    metrics.reloaded("replaced");
                }
                Err(error) => {
                    let error = with_causes(&error);
                    tracing::warn!(
                        error,
                        "the configuration has changed and cannot be used; the last good one stays"
                    );
                    metrics.reloaded("refused");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "exchanges: {sts: {kind: tokenExchange, url: 'https://a.example/', audiences: [a], clientId: i, clientSecretFile: secret}}";

    fn names(current: &CurrentConfiguration) -> Vec<String> {
        current.get().names().map(str::to_owned).collect()
    }

    #[test]
    fn the_last_good_configuration_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.yaml");
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        write("config.yaml", FIRST);
        assert!(ConfigurationFile::open(&path, Proxies::none()).is_err(), "there is no secret yet");
        write("secret", "s3cret\n");
        let mut file = ConfigurationFile::open(&path, Proxies::none()).unwrap();
        let current = file.current();
        assert_eq!(file.look().unwrap(), Reloaded::Unchanged);

        // The secret alone: the configuration is read anew with it.
        let before = current.get();
        write("secret", "an0ther");
        assert_eq!(file.look().unwrap(), Reloaded::Replaced);
        assert!(!Arc::ptr_eq(&before, &current.get()));
        assert!(Arc::ptr_eq(&before.places, &current.get().places), "exchanges are counted as before");

        // Told once, and again when it is another.
        write("config.yaml", "nonsense: 1");
        assert!(file.look().is_err());
        assert_eq!(file.look().unwrap(), Reloaded::Unchanged);
        assert_eq!(names(&current), ["sts"]);
        write("config.yaml", &FIRST.replace("sts:", "aws:"));
        std::fs::remove_file(directory.path().join("secret")).unwrap();
        assert!(file.look().is_err());
        assert_eq!(names(&current), ["sts"]);
        write("secret", "s3cret");
        assert_eq!(file.look().unwrap(), Reloaded::Replaced);
        assert_eq!(names(&current), ["aws"]);

        // As it is while somebody writes it.
        write("config.yaml", "");
        assert!(matches!(file.look(), Err(ConfigurationError::Empty)));
        assert_eq!(names(&current), ["aws"]);

        write("config.yaml", "limits: {concurrentExchanges: 3}");
        assert_eq!(file.look().unwrap(), Reloaded::Replaced);
        assert_eq!(current.get().places.available_permits(), 3);
    }

    #[tokio::test]
    async fn whoever_asks_need_not_wait() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.yaml");
        std::fs::write(&path, "{}").unwrap();
        let file = ConfigurationFile::open(&path, Proxies::none()).unwrap();
        let (current, stop) = (file.current(), CancellationToken::new());
        let (ask, asked) = mpsc::channel(1);
        let metrics = Metrics::default();
        let following =
            tokio::spawn(file.follow(Duration::from_secs(86_400), asked, metrics.clone(), stop.clone()));
        std::fs::write(&path, FIRST.replace("clientSecretFile: secret", "")).unwrap();
        ask.send(()).await.unwrap();
        let changed = async {
            while names(&current) != ["sts"] {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), changed).await.unwrap();
        stop.cancel();
        following.await.unwrap();
    }
}
