//! The flags of vLLM 0.6 to 0.33, as its command line and its `LLM(…)` class spell them, and the settings they make.

mod apply;
mod keywords;
mod table;

pub use apply::{Applied, apply};
pub use keywords::read_keywords;

use crate::engines::Version;
use crate::engines::command_line::flags::{Catalog, Flag};

/// The environment variable by which 0.8 to 0.10 chose between the old core (`0`) and the new one; kept among the engine flags under its name.
pub const OLD_CORE: &str = "VLLM_USE_V1";

/// The programs of vLLM that load a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `vllm serve` and the API server modules.
    Server,
    /// `vllm run-batch`.
    Batch,
    /// `vllm bench latency`, `throughput`, `startup` and `mm-processor`.
    Bench,
    /// `LLM(…)` in Python.
    Library,
}

/// The flags that `program` takes in `version`; `None` where the version is not known.
#[must_use]
pub fn catalog(program: Program, version: Option<Version>) -> Catalog {
    let own: &[&'static [Flag]] = match program {
        Program::Server => &[table::SERVER],
        Program::Batch => &[table::SERVER, table::BATCH],
        Program::Bench => &[table::BENCH],
        Program::Library => &[],
    };
    Catalog { tables: table::ENGINE.iter().chain(own).copied().collect(), version, attaches_values: true }
}
