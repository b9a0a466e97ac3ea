//! One card.

use nvml_wrapper::enum_wrappers::device::{Clock, EccCounter, MemoryError, PcieUtilCounter, TemperatureSensor};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

use super::facts::{CardFacts, Facts};
use super::owners::ProcessTable;
use super::readings::{absent, reading};
use super::{Wanted, mig, processes, unwrapped};
use crate::hardware::{CardState, MemoryState, PcieLink, Reading, Vitals};
use crate::units::Bytes;

/// All readings of the card at `index`; a card that cannot even be opened keeps its place, each reading with the reason.
pub(super) fn read(nvml: &Nvml, table: &impl ProcessTable, facts: &mut Facts, index: u32, wanted: Wanted) -> CardState {
    let device = match nvml.device_by_index(index) {
        Ok(device) => device,
        Err(error) => return CardState::unreadable(index, absent(&error)),
    };
    let uuid = reading(device.uuid());
    let facts = facts.of(&uuid);
    let mig = if facts.mig_unsupported { Reading::Unsupported } else { mig::read(&device) };
    facts.mig_unsupported = matches!(mig, Reading::Unsupported);
    let processes =
        if wanted.processes { processes::read(&device, &mig, table, &mut facts.processes) } else { Reading::NotRead };
    CardState {
        index,
        uuid,
        name: facts.name.get(|| reading(device.name())),
        pci_bus_id: facts.pci_bus_id.get(|| reading(device.pci_info()).map(|pci| pci.bus_id)),
        compute_capability: facts.compute_capability(&device),
        memory: memory(&device),
        processes,
        mig,
        pcie: if wanted.pcie { reading(pcie(&device)) } else { Reading::NotRead },
        temperature_celsius: reading(device.temperature(TemperatureSensor::Gpu)),
        power_milliwatts: reading(device.power_usage()),
        utilization_percent: reading(device.utilization_rates()).map(|rates| rates.gpu),
        vitals: vitals(&device, facts, wanted),
    }
}

fn vitals(device: &Device<'_>, facts: &mut CardFacts, wanted: Wanted) -> Vitals {
    let mut vitals = Vitals::default();
    if wanted.vitals {
        vitals.sm_clock_mhz = reading(device.clock_info(Clock::SM));
        vitals.memory_clock_mhz = reading(device.clock_info(Clock::Memory));
        vitals.power_limit_milliwatts = reading(device.enforced_power_limit());
        vitals.uncorrected_errors = reading(device.total_ecc_errors(MemoryError::Uncorrected, EccCounter::Volatile));
        let nvlink = facts.nvlink.read(device);
        vitals.nvlink_sent_per_second = nvlink.sent;
        vitals.nvlink_received_per_second = nvlink.received;
    }
    if wanted.traffic {
        // The driver counts in units of 1000 bytes.
        let rate =
            |counter| reading(device.pcie_throughput(counter)).map(|kilobytes| Bytes(u64::from(kilobytes) * 1000));
        vitals.pcie_sent_per_second = rate(PcieUtilCounter::Send);
        vitals.pcie_received_per_second = rate(PcieUtilCounter::Receive);
    }
    vitals
}

/// Memory by the v2 call; by v1 where v2 is missing (drivers before branch 510) or refused (WSL), and then without the reserved part.
pub(super) fn memory(device: &Device<'_>) -> Reading<MemoryState> {
    let v2 = match device.memory_info() {
        Ok(info) => {
            return Reading::Known(MemoryState {
                total: Bytes(info.total),
                reserved: Reading::Known(Bytes(info.reserved)),
                used: Bytes(info.used),
                free: Bytes(info.free),
            });
        }
        Err(error) => error,
    };
    if matches!(v2, NvmlError::GpuLost | NvmlError::ResetRequired | NvmlError::NoPermission) {
        return absent(&v2);
    }
    reading(unwrapped::memory_v1(device))
}

fn pcie(device: &Device<'_>) -> Result<PcieLink, NvmlError> {
    Ok(PcieLink {
        generation: device.current_pcie_link_gen()?,
        width: device.current_pcie_link_width()?,
        max_generation: device.max_pcie_link_gen()?,
        max_width: device.max_pcie_link_width()?,
    })
}
