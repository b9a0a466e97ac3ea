//! `shardfit/calibration/1`: what was measured of a machine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Tool;
use crate::profiles::{Calibration, CardCalibration};
use crate::units::Bytes;

/// What was measured of a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CalibrationReport {
    /// `shardfit/calibration/1`.
    pub schema: String,
    /// Who wrote it.
    pub tool: Tool,
    /// Memory and storage.
    pub host: HostRates,
    /// Each kind of card that was measured.
    pub cards: Vec<CardRates>,
    /// Where it is kept for later plans; `null` when it was only shown.
    pub kept_in: Option<String>,
    /// What could not be measured, and why.
    pub notes: Vec<String>,
}

/// Rates of the host in units of 10^9 bytes a second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostRates {
    /// Copying within memory, one thread.
    pub memory_copy_gigabytes_per_second: Option<f64>,
    /// Reading a cached file.
    pub read_cached_gigabytes_per_second: Option<f64>,
    /// Reading a file around the page cache.
    pub read_direct_gigabytes_per_second: Option<f64>,
    /// What was read.
    pub read_from: Option<String>,
}

/// One kind of card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CardRates {
    /// Product name.
    pub name: String,
    /// Driver version.
    pub driver_version: Option<String>,
    /// CUDA total.
    pub capacity_bytes: Bytes,
    /// A context without kernels.
    pub bare_context_bytes: Option<Bytes>,
    /// What allocations are rounded up to.
    pub granularity_bytes: Option<Bytes>,
    /// The most that one process could allocate beside its context.
    pub usable_bytes: Option<Bytes>,
    /// Pinned memory to the card, in units of 10^9 bytes a second.
    pub to_card_gigabytes_per_second: Option<f64>,
    /// The card to pinned memory.
    pub from_card_gigabytes_per_second: Option<f64>,
    /// Rows narrower than this are packed by the CPU.
    pub pack_below_bytes: Option<Bytes>,
}

impl CalibrationReport {
    /// The schema's name.
    pub const SCHEMA: &'static str = "shardfit/calibration/1";

    /// Puts measurements into the report's form.
    #[must_use]
    pub fn new(measured: &Calibration, kept_in: Option<String>, notes: Vec<String>) -> Self {
        let card = |card: &CardCalibration| CardRates {
            name: card.name.clone(),
            driver_version: card.driver.clone(),
            capacity_bytes: card.capacity,
            bare_context_bytes: card.bare_context,
            granularity_bytes: card.granularity,
            usable_bytes: card.usable,
            to_card_gigabytes_per_second: card.to_card.map(giga),
            from_card_gigabytes_per_second: card.from_card.map(giga),
            pack_below_bytes: card.pack_below.map(Bytes),
        };
        Self {
            schema: Self::SCHEMA.to_owned(),
            tool: Tool::this(),
            host: HostRates {
                memory_copy_gigabytes_per_second: measured.host.memory_copy.map(giga),
                read_cached_gigabytes_per_second: measured.host.read_cached.map(giga),
                read_direct_gigabytes_per_second: measured.host.read_direct.map(giga),
                read_from: measured.host.read_from.clone(),
            },
            cards: measured.cards.iter().map(card).collect(),
            kept_in,
            notes,
        }
    }
}

fn giga(rate: f64) -> f64 {
    rate / 1e9
}
