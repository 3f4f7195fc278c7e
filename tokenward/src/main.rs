//! The `tokenward` command: arguments and presentation; everything else is in the library crates.

mod args;
mod duration;
mod failure;
mod logging;
mod records;
mod signals;
mod terminal;
mod up;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Cli, Command};
use crate::failure::Failure;
use crate::logging::LogLevel;
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
    let Command::Up(arguments) = cli.command;
    let config = arguments.resolve()?;
    // What goes wrong on the way is shown as it happens; the log is for those who ask for it.
    logging::set_up(cli.logging.log_level.unwrap_or(LogLevel::Error), cli.logging.log_format);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::because)?;
    runtime.block_on(Box::pin(up::run(config, cli.logging.log_level.is_none())))
}
