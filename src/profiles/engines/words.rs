//! What an engine prints about its memory.

use serde::Deserialize;

/// Lines that the engine prints. `{name:2}` is a number with so many decimals, in GiB where it is an amount; `{name,}` one with separators.
/// Empty where an era does not print the line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    /// After the weights are loaded.
    pub loading: String,
    /// What the budget is.
    #[serde(default)]
    pub budget: String,
    /// What profiling found.
    #[serde(default)]
    pub profile: String,
    /// What is left for the pool.
    #[serde(default)]
    pub available: String,
    /// Blocks of the pool.
    #[serde(default)]
    pub blocks: String,
    /// Tokens of the pool.
    #[serde(default)]
    pub tokens: String,
    /// Sequences at once.
    #[serde(default)]
    pub concurrency: String,
    /// The last line on memory.
    #[serde(default)]
    pub closing: String,
    /// Refusal: one sequence is larger than the pool.
    pub too_long: String,
    /// What that refusal says about the longest sequence.
    #[serde(default)]
    pub estimate: String,
    /// Refusal: no length at all fits.
    #[serde(default)]
    pub nothing_fits: String,
    /// Refusal: less is free at start than the budget asks for.
    pub free_at_start: String,
    /// Refusal: nothing is left for the pool.
    pub no_blocks: String,
    /// Where they are from.
    pub source: String,
}
