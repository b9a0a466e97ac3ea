//! The one driver of this process: machine, book, and what the program has opened. NVML and CUDA calls go through it one at a time.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::cuda::Cuda;
use crate::ledger::{Ledger, MAX_UNITS};
use crate::machine::{Fault, Machine};
use crate::nvml::Nvml;
use crate::units::{self, Memory, Unit};

/// Names the file that describes the machine.
pub(crate) const CONFIG_VARIABLE: &str = "SIMGPU_CONFIG";
/// Names the file in which processes keep their book.
pub(crate) const STATE_VARIABLE: &str = "SIMGPU_STATE";

static DRIVER: Mutex<Option<Driver>> = Mutex::new(None);

/// The simulated driver.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) machine: Machine,
    pub(crate) units: Vec<Unit>,
    pub(crate) ledger: Ledger,
    pub(crate) nvml: Nvml,
    pub(crate) cuda: Cuda,
    config: PathBuf,
    /// The machine as described and the second it wandered to; `None` while its readings stand still.
    wandering: Option<(Machine, u64)>,
    /// Which file the machine was last read from: a changed machine is a new file under the old name.
    version: Option<FileVersion>,
}

/// Runs `action` on the driver, loading it on first use. `None` when there is no machine: the variables are unset or wrong, which is
/// said on standard error.
pub(crate) fn with<T>(action: impl FnOnce(&mut Driver) -> T) -> Option<T> {
    let mut slot = DRIVER.lock().unwrap_or_else(PoisonError::into_inner);
    if slot.is_none() {
        match Driver::load() {
            Ok(driver) => *slot = Some(driver),
            Err(problem) => eprintln!("simgpu: {problem}"),
        }
    }
    slot.as_mut().map(action)
}

impl Driver {
    fn load() -> Result<Self, String> {
        let path = |name: &str| std::env::var_os(name).map(PathBuf::from).ok_or(format!("{name} is not set"));
        let config = path(CONFIG_VARIABLE)?;
        let version = version(&config);
        let machine = Machine::read(&config)?;
        let units = units::list(&machine);
        if units.len() > MAX_UNITS {
            return Err(format!("{} cards and instances are more than {MAX_UNITS}", units.len()));
        }
        let state = path(STATE_VARIABLE)?;
        let ledger = Ledger::attach(&state).map_err(|e| format!("cannot open `{}`: {e}", state.display()))?;
        let (nvml, cuda) = (Nvml::default(), Cuda::default());
        let wandering = machine.wander.then(|| (machine.clone(), 0));
        Ok(Self { machine, units, ledger, nvml, cuda, config, wandering, version })
    }

    /// Takes over what a test changed about the machine since it was last read. Cards and instances must stay the same.
    pub(crate) fn refresh(&mut self) {
        self.wander();
        let now = version(&self.config);
        if now == self.version {
            return;
        }
        match Machine::read(&self.config) {
            Ok(machine) if units::list(&machine) == self.units => {
                self.wandering = machine.wander.then(|| (machine.clone(), 0));
                self.machine = machine;
            }
            Ok(_) => eprintln!("simgpu: cards cannot come or go while a program runs"),
            Err(problem) => eprintln!("simgpu: {problem}"),
        }
        self.version = now;
    }

    /// Lets the readings of a machine that wanders follow the clock.
    fn wander(&mut self) {
        let Some((described, second)) = &mut self.wandering else { return };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if now != *second {
            *second = now;
            self.machine.wander_to(described, now);
        }
    }

    /// What a card or instance offers.
    pub(crate) fn memory(&self, unit: usize) -> Memory<'_> {
        self.units[unit].memory(&self.machine)
    }

    /// Bytes in use of what CUDA calls the total, by everybody. A card counts its instances.
    pub(crate) fn used(&self, unit: usize) -> u64 {
        let parts = self.parts(unit);
        parts.map(|part| self.memory(part).others() + self.held(part)).sum()
    }

    /// The unit itself and, for a card, the instances cut from it.
    pub(crate) fn parts(&self, unit: usize) -> impl Iterator<Item = usize> + '_ {
        let whole = self.units[unit];
        let within = move |other: Unit| whole.instance.is_none() && other.card == whole.card;
        (0..self.units.len()).filter(move |at| *at == unit || within(self.units[*at]))
    }

    fn held(&self, unit: usize) -> u64 {
        self.ledger.holders(unit).iter().map(|(_, bytes)| bytes).sum()
    }

    /// Whether the card of a unit fell off the bus, in this process or another.
    pub(crate) fn is_lost(&self, unit: usize) -> bool {
        self.ledger.unit(self.units[unit].card).lost
    }

    /// The card of a unit falls off the bus.
    pub(crate) fn lose(&mut self, unit: usize) {
        self.ledger.change_unit(self.units[unit].card, |record| record.lost = true);
    }

    /// The first answer that `pick` gives for a planned fault.
    pub(crate) fn planned<T>(&self, pick: impl FnMut(&Fault) -> Option<T>) -> Option<T> {
        self.machine.faults.iter().find_map(pick)
    }

    /// How long an NVML call about a card takes.
    pub(crate) fn nvml_delay(&self) -> Option<Duration> {
        self.planned(|fault| match fault {
            Fault::SlowNvml { millis } => Some(Duration::from_millis(*millis)),
            _ => None,
        })
    }
}

/// Inode and time of change, in seconds and nanoseconds: an inode alone may come back.
type FileVersion = (u64, i64, i64);

fn version(path: &Path) -> Option<FileVersion> {
    path.metadata().ok().map(|data| (data.ino(), data.mtime(), data.mtime_nsec()))
}
