//! Logs: on standard error, as text or JSON.

use std::io;

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::terminal::Style;

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Sets the process's log up. Called once, from `main`.
pub(crate) fn set_up(level: LogLevel, format: LogFormat) {
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let registry = tracing_subscriber::registry().with(filter(level));
    match format {
        LogFormat::Text => {
            registry.with(lines.with_ansi(Style::of_standard_error() != Style::plain())).init();
        }
        LogFormat::Json => registry.with(lines.json()).init(),
    }
}

/// The level is for our own crates. Others never say more than warnings: what a client or HTTP library prints of a
/// request at `trace` is not ours to vouch for, and could be a token.
fn filter(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("tokenward", level)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn the_level_is_for_our_own_crates() {
        let filter = filter(LogLevel::Trace);
        assert!(filter.would_enable("tokenward_node::volumes", &Level::TRACE));
        assert!(filter.would_enable("h2::codec", &Level::WARN));
        assert!(!filter.would_enable("h2::codec", &Level::INFO));
        assert!(!filter.would_enable("kube_client", &Level::TRACE));
        let quiet = super::filter(LogLevel::Error);
        assert!(!quiet.would_enable("h2::codec", &Level::WARN));
        assert!(!quiet.would_enable("tokenward", &Level::WARN));
    }
}
