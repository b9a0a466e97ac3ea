//! The live cards, through NVIDIA's management library.

use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Nvml, cuda_driver_version_major, cuda_driver_version_minor};

use super::facts::{Fact, Facts};
use super::owners::{Remembered, SystemProcesses};
use super::readings::reading;
use super::{Probe, ProbeError, Wanted, card, peers};
use crate::hardware::Snapshot;

/// Where the library may lie beside the loader's own paths: WSL keeps it apart from the distribution's, NixOS under its driver link.
const OTHER_PLACES: &[&str] = &["/usr/lib/wsl/lib/libnvidia-ml.so.1", "/run/opengl-driver/lib/libnvidia-ml.so.1"];

/// An open connection to the driver. It holds no card: a process that only asks NVML has no CUDA context and no device memory.
#[derive(Debug)]
pub struct NvmlProbe {
    nvml: Nvml,
    processes: Remembered<SystemProcesses>,
    facts: Facts,
    driver_version: Fact<String>,
    cuda_version: Fact<String>,
    wanted: Wanted,
}

impl NvmlProbe {
    /// Opens the library and greets the driver. Worth keeping: opening costs far more than a snapshot.
    ///
    /// # Errors
    /// When no driver answers; each cause is its own variant.
    pub fn open(wanted: Wanted) -> Result<Self, ProbeError> {
        Ok(Self {
            nvml: open()?,
            processes: Remembered::new(SystemProcesses::default()),
            facts: Facts::default(),
            driver_version: Fact::default(),
            cuda_version: Fact::default(),
            wanted,
        })
    }

    /// Changes what the next snapshots hold.
    pub const fn want(&mut self, wanted: Wanted) {
        self.wanted = wanted;
    }
}

/// The library, wherever it lies.
pub(super) fn open() -> Result<Nvml, NvmlError> {
    let mut opened = Nvml::init();
    for place in OTHER_PLACES {
        if !matches!(opened, Err(NvmlError::LibloadingError(_))) {
            break;
        }
        opened = Nvml::builder().lib_path(place.as_ref()).init();
    }
    opened
}

impl Probe for NvmlProbe {
    fn snapshot(&mut self) -> Result<Snapshot, ProbeError> {
        let Self { nvml, processes, facts, driver_version, cuda_version, wanted } = self;
        let count = nvml.device_count()?;
        if count == 0 {
            return Err(ProbeError::NoCards);
        }
        Ok(Snapshot {
            driver_version: driver_version.get(|| reading(nvml.sys_driver_version())),
            cuda_version: cuda_version.get(|| {
                reading(nvml.sys_cuda_driver_version())
                    .map(|v| format!("{}.{}", cuda_driver_version_major(v), cuda_driver_version_minor(v)))
            }),
            cards: (0..count).map(|index| card::read(nvml, processes, facts, index, *wanted)).collect(),
            peers: if wanted.peers { peers::read(nvml, count) } else { Vec::new() },
        })
    }
}
