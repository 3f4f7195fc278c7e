//! Benchmarks of Tokenward beside its peers and floors: what the programs under `src/bin` share.
//!
//! Each program measures one thing that the project promises; `README.md` beside this crate says which, how, and what
//! the floor is. The rule of all: subjects take turns in one run, round by round, and a figure is the median of its
//! rounds with the least and the most beside it.
//!
//! ```
//! use tokenward_benches::statistics::Spread;
//!
//! let rounds = [1900.0, 2100.0, 2000.0];
//! assert_eq!(Spread::of(&rounds), Some(Spread { least: 1900.0, median: 2000.0, most: 2100.0 }));
//! ```

pub mod aside;
pub mod certificates;
pub mod client;
pub mod driver_double;
pub mod fleet_nodes;
pub mod granting;
pub mod kubeconfig;
pub mod load;
pub mod machine;
pub mod peer;
pub mod plot;
pub mod process;
pub mod publish;
pub mod rows;
pub mod statistics;
pub mod token_day;
pub mod token_server;
pub mod up;
pub mod watchers;

/// Why a benchmark could not be run, for whoever started it.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
