//! The command line as it is typed. Each command's arguments turn into a validated configuration in a second step.

use clap::{Args, Parser, Subcommand};

use crate::logging::{LogFormat, LogLevel};

pub(crate) mod apiserver;
pub(crate) mod delivery;
pub(crate) mod driver;
pub(crate) mod kubernetes;
pub(crate) mod node;
pub(crate) mod release;
pub(crate) mod server;
pub(crate) mod storage;
pub(crate) mod up;

/// Service account tokens for CSI drivers, end to end.
#[derive(Debug, Parser)]
#[command(name = "tokenward", version, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) logging: LoggingArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(up::UpArgs),
    Apiserver(apiserver::ApiserverArgs),
    Node(node::NodeArgs),
    Driver(driver::DriverArgs),
}

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct LoggingArgs {
    /// How much to log on standard error [default: info; error for `up`].
    #[arg(long, global = true, value_name = "LEVEL", help_heading = "Logs")]
    pub(crate) log_level: Option<LogLevel>,
    /// How to write a log line.
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text", help_heading = "Logs")]
    pub(crate) log_format: LogFormat,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }
}
