//! The `tokenward` command: arguments and presentation; everything else is in the library crates.

mod apiserver;
mod args;
mod driver;
mod duration;
mod failure;
mod logging;
mod node;
mod node_root;
mod node_status;
mod records;
mod server;
mod signals;
mod storage;
mod terminal;
mod up;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use crate::args::node::NodeTask;
use crate::args::{Cli, Command};
use crate::failure::Failure;
use crate::logging::{LogFormat, LogLevel};
use crate::terminal::Style;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // clap prints help on standard output with code 0, everything else on standard error with code 2.
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let text = failure.render(Style::of_standard_error());
            let _ = std::io::stderr().write_all(text.as_bytes());
            failure.exit_code()
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let log = Log { level: cli.logging.log_level, format: cli.logging.log_format };
    match cli.command {
        Command::Up(arguments) => {
            let config = arguments.resolve()?;
            // What goes wrong on the way is shown as it happens; the log is for those who ask for it.
            block_on(&log, LogLevel::Error, up::run(config, log.level.is_none()))
        }
        // The others are services: what they do is in the log and nowhere else.
        Command::Apiserver(arguments) => block_on(&log, LogLevel::Info, apiserver::run(arguments.resolve()?)),
        Command::Node(arguments) => match arguments.resolve()? {
            NodeTask::Run(config) => block_on(&log, LogLevel::Info, node::run(config)),
            NodeTask::Status { root_dir, output } => {
                block_on(&log, LogLevel::Error, node_status::run(root_dir, output))
            }
        },
        Command::Driver(arguments) => {
            block_on(&log, LogLevel::Info, driver::run(arguments.driver.resolve()?))
        }
    }
}

/// What was said about the log.
struct Log {
    level: Option<LogLevel>,
    format: LogFormat,
}

fn block_on(
    log: &Log,
    default_level: LogLevel,
    command: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    logging::set_up(log.level.unwrap_or(default_level), log.format);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::because)?;
    runtime.block_on(Box::pin(command))
}
