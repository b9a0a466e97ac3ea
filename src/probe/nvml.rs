//! The live cards, through NVIDIA's management library.
#![expect(clippy::disallowed_methods, reason = "a card that is lost is given some time by the clock")]

use std::time::{Duration, Instant};

use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Nvml, cuda_driver_version_major, cuda_driver_version_minor};

use super::facts::{Fact, Facts};
use super::owners::{Remembered, SystemProcesses};
use super::readings::reading;
use super::{Probe, ProbeError, Wanted, card, peers};
use crate::hardware::{CardState, Snapshot};

/// Where the library may lie beside the loader's own paths: WSL keeps it apart from the distribution's, NixOS under its driver link.
const OTHER_PLACES: &[&str] = &["/usr/lib/wsl/lib/libnvidia-ml.so.1", "/run/opengl-driver/lib/libnvidia-ml.so.1"];

/// A connection to the driver. It holds no card: a process that only asks NVML has no CUDA context and no device memory.
///
/// A driver that failed as a whole, or lost a card, is greeted anew later: NVML keeps the list of cards that it made at the start, and
/// a driver that was reloaded, or a card that was reset, answers only those who come afterwards.
#[derive(Debug)]
pub struct NvmlProbe {
    connection: Option<Connection>,
    processes: Remembered<SystemProcesses>,
    facts: Facts,
    wanted: Wanted,
}

/// From one greeting of the driver to the next.
#[derive(Debug)]
struct Connection {
    nvml: Nvml,
    opened: Instant,
    driver_version: Fact<String>,
    cuda_version: Fact<String>,
}

impl Connection {
    /// How long a card stays lost before the driver is greeted anew, and then again.
    const WITH_LOST_CARD: Duration = Duration::from_secs(30);

    fn open() -> Result<Self, NvmlError> {
        Ok(Self {
            nvml: open()?,
            opened: Instant::now(),
            driver_version: Fact::default(),
            cuda_version: Fact::default(),
        })
    }
}

impl NvmlProbe {
    /// Opens the library and greets the driver. Worth keeping: opening costs far more than a snapshot.
    ///
    /// # Errors
    /// When no driver answers; each cause is its own variant.
    pub fn open(wanted: Wanted) -> Result<Self, ProbeError> {
        Ok(Self {
            connection: Some(Connection::open()?),
            processes: Remembered::new(SystemProcesses::default()),
            facts: Facts::default(),
            wanted,
        })
    }

    /// Changes what the next snapshots hold.
    pub const fn want(&mut self, wanted: Wanted) {
        self.wanted = wanted;
    }

    fn ask(&mut self) -> Result<Snapshot, ProbeError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(Connection::open()?),
        };
        let Connection { nvml, driver_version, cuda_version, .. } = connection;
        let count = nvml.device_count()?;
        if count == 0 {
            return Err(ProbeError::NoCards);
        }
        let (processes, facts, wanted) = (&self.processes, &mut self.facts, self.wanted);
        Ok(Snapshot {
            driver_version: driver_version.get(|| reading(nvml.sys_driver_version())),
            cuda_version: cuda_version.get(|| {
                reading(nvml.sys_cuda_driver_version())
                    .map(|v| format!("{}.{}", cuda_driver_version_major(v), cuda_driver_version_minor(v)))
            }),
            cards: (0..count).map(|index| card::read(nvml, processes, facts, index, wanted)).collect(),
            peers: if wanted.peers { peers::read(nvml, count) } else { Vec::new() },
        })
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
        let answer = self.ask();
        let anew = match &answer {
            Ok(snapshot) => {
                let waited = |connection: &Connection| connection.opened.elapsed() >= Connection::WITH_LOST_CARD;
                snapshot.cards.iter().any(CardState::is_lost) && self.connection.as_ref().is_some_and(waited)
            }
            Err(_) => true,
        };
        if anew {
            self.connection = None;
        }
        answer
    }
}
