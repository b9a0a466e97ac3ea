//! Test equipment: a simulated NVML and CUDA driver.
//!
//! The library is built twice. As a C dynamic library it stands in for `libcuda.so` and `libnvidia-ml.so.1`: it exports the symbols
//! that the program calls, with cards described by a JSON file ([`Machine`], named by `SIMGPU_CONFIG`) and with a book of who holds
//! what (named by `SIMGPU_STATE`) that all processes of the simulated machine share and that a test reads afterwards
//! ([`MachineUse`]). As a Rust library it is what tests use to describe a machine, to [install](Machine::install) it in a folder and
//! to run the program against it.
//!
//! Nothing a user sees comes from here.
//!
//! How it differs from a driver, on purpose:
//!
//! - Work on streams is done as late as the rules allow: when somebody waits for it or asks about it, one piece a question.
//! - Memory that nobody wrote holds `0xA5`, device addresses are never used twice and lie where no processor reaches, and a wrong
//!   pointer is an error result that the book counts as misuse.
//! - A copy must touch memory of the current context only, and pinned memory must live until its copies are done.
//! - Event times follow the cards' stated link rates, not the clock. Kernels, memory pools, graphs and peer copies are absent.
//!
//! ```no_run
//! use simgpu::{Card, Machine};
//!
//! let folder = std::env::temp_dir().join("four-cards");
//! let machine = Machine::new().cards(4, Card::a10()).install(&folder)?;
//! let status = machine.command("target/debug/shardfit").arg("probe").status()?;
//! assert!(status.success());
//! assert_eq!(machine.used()?.loose_ends(), Vec::<String>::new());
//! # Ok::<(), std::io::Error>(())
//! ```
#![warn(missing_docs)]
#![allow(
    clippy::disallowed_methods,
    reason = "a driver and its test harness touch files, clock, environment and processes"
)]

mod cuda;
mod driver;
mod fixture;
mod ledger;
pub mod machine;
mod nvml;
mod text;
mod units;

pub use fixture::{Installed, built_library};
pub use ledger::{MachineUse, ProcessCounters, ProcessUse, UnitTotals, UnitUse};
pub use machine::{Card, Fault, Machine, MigInstance, NvmlFailure};
