//! Partitioned cards.

use nvml_wrapper::Device;
use nvml_wrapper::error::NvmlError;

use super::card::memory;
use super::readings::reading;
use super::unwrapped;
use crate::hardware::{MigInstance, MigMode, Reading};

/// `NVML_DEVICE_MIG_ENABLE`
const ENABLED: u32 = 1;

/// MIG mode and instances of a card.
pub(super) fn read(device: &Device<'_>) -> Reading<MigMode> {
    reading(device.mig_mode().and_then(|mode| {
        if mode.current != ENABLED {
            return Ok(MigMode::Disabled);
        }
        Ok(MigMode::Enabled(devices(device)?.iter().map(|(index, mig)| instance(*index, mig)).collect()))
    }))
}

/// MIG devices with their indices. The driver counts the places there could be; an empty one is `NotFound`.
pub(super) fn devices<'nvml>(device: &Device<'nvml>) -> Result<Vec<(u32, Device<'nvml>)>, NvmlError> {
    let places = device.mig_device_count()?;
    let mut found = Vec::new();
    for index in 0..places {
        match device.mig_device_by_index(index) {
            Ok(mig) => found.push((index, mig)),
            Err(NvmlError::NotFound | NvmlError::InvalidArg) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn instance(index: u32, mig: &Device<'_>) -> MigInstance {
    MigInstance {
        index,
        uuid: reading(mig.uuid()),
        name: reading(mig.name()),
        gpu_instance: reading(unwrapped::gpu_instance_id(mig)),
        memory: memory(mig),
    }
}
