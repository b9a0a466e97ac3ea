//! Which cards and instances a CUDA process sees, and in which order.

use std::cmp::Reverse;

use crate::driver::Driver;
use crate::units;

/// What the environment says.
#[derive(Debug, Clone, Default)]
pub(super) struct Environment {
    /// `CUDA_VISIBLE_DEVICES`, when set.
    pub(super) devices: Option<String>,
    /// `CUDA_DEVICE_ORDER` is `PCI_BUS_ID`.
    pub(super) pci_order: bool,
}

impl Environment {
    pub(super) fn read() -> Self {
        Self {
            devices: std::env::var("CUDA_VISIBLE_DEVICES").ok(),
            pci_order: std::env::var("CUDA_DEVICE_ORDER").is_ok_and(|order| order == "PCI_BUS_ID"),
        }
    }
}

/// Units by CUDA ordinal.
///
/// The list ends at the first entry that names nothing; repeats leave nothing visible. As soon as an instance is visible it is the only
/// device: CUDA enumerates one instance at most and no whole card beside it (NVIDIA's MIG user guide, "Device Enumeration").
pub(super) fn select(driver: &Driver, environment: &Environment) -> Vec<usize> {
    let all = enumerate(driver, environment.pci_order);
    let chosen = match &environment.devices {
        None => all,
        Some(list) => choose(driver, &all, list),
    };
    let instance = chosen.iter().copied().find(|unit| driver.units[*unit].instance.is_some());
    instance.map_or(chosen, |unit| vec![unit])
}

/// Everything CUDA could see: whole cards, and the instances of those that are cut.
fn enumerate(driver: &Driver, pci_order: bool) -> Vec<usize> {
    let mut cards: Vec<usize> = (0..driver.machine.cards.len()).collect();
    if !pci_order {
        // Fastest first, by the driver's own estimate.
        cards.sort_by_key(|at| {
            let card = &driver.machine.cards[*at];
            Reverse((card.compute_capability, card.multiprocessors))
        });
    }
    let mut devices = Vec::new();
    for card in cards {
        if units::instances(&driver.machine.cards[card]).is_empty() {
            devices.push(card);
        } else {
            devices.extend(driver.parts(card).filter(|part| *part != card));
        }
    }
    devices
}

fn choose(driver: &Driver, all: &[usize], list: &str) -> Vec<usize> {
    let mut chosen = Vec::new();
    for entry in list.split(',').map(str::trim) {
        let found = match entry.parse::<usize>() {
            Ok(ordinal) => all.get(ordinal).copied(),
            Err(_) => by_identity(driver, all, entry),
        };
        match found {
            Some(unit) if chosen.contains(&unit) => return Vec::new(),
            Some(unit) => chosen.push(unit),
            None => break,
        }
    }
    chosen
}

/// The one device whose identity starts with `entry`.
fn by_identity(driver: &Driver, all: &[usize], entry: &str) -> Option<usize> {
    if !(entry.starts_with("GPU-") || entry.starts_with("MIG-")) {
        return None;
    }
    let mut matches = all.iter().filter(|unit| driver.units[**unit].uuid(&driver.machine).starts_with(entry));
    match (matches.next(), matches.next()) {
        (Some(unit), None) => Some(*unit),
        _ => None,
    }
}
