//! NVML's account of the cards of a load, taken whenever a step ends.

use std::sync::{Mutex, PoisonError};

use super::cards::Backend;
use crate::hardware::{MemoryState, ProcessState, Reading, Snapshot};
use crate::loader::Phase;
use crate::loader::device::{DeviceKind, Uuid};
use crate::planning::Holder;
use crate::probe::{NvmlProbe, Probe, Wanted};
use crate::units::Bytes;

/// What NVML said at the ends of the steps.
pub(super) struct Nvml {
    probe: Mutex<Result<NvmlProbe, String>>,
    readings: Mutex<Vec<(Phase, Result<Snapshot, String>)>>,
    own: u32,
}

/// One card (or MIG slice) at the end of one step.
#[derive(Debug, Clone)]
pub(super) struct CardReading {
    /// Its memory.
    pub memory: Result<MemoryState, &'static str>,
    /// Bytes of this process on it.
    pub own: Result<Bytes, &'static str>,
    /// Everybody else on it.
    pub others: Vec<Holder>,
    /// Memory in use that no listed process accounts for.
    pub unlisted: Option<Bytes>,
    /// The profile of a MIG slice, and the index of the card that it is cut from.
    pub slice: Option<(String, u32)>,
}

impl Nvml {
    /// Opens NVML for a load on CUDA cards; host cards have nothing to ask.
    pub fn open(backend: &Backend) -> Self {
        let probe = match backend.cards().kind() {
            DeviceKind::Cuda => NvmlProbe::open(Wanted::CHANGING).map_err(|error| error.to_string()),
            DeviceKind::Host => Err("host memory is no card".to_owned()),
        };
        Self { probe: Mutex::new(probe), readings: Mutex::new(Vec::new()), own: std::process::id() }
    }

    /// Reads all cards at the end of a step.
    pub fn read(&self, phase: Phase) {
        let mut probe = self.probe.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = match probe.as_mut() {
            Ok(probe) => probe.snapshot().map_err(|error| error.to_string()),
            Err(_) => return,
        };
        self.readings.lock().unwrap_or_else(PoisonError::into_inner).push((phase, snapshot));
    }

    /// A card at the end of a step, or why NVML says nothing of it.
    pub fn card(&self, phase: Phase, uuid: Option<Uuid>) -> Result<CardReading, String> {
        if let Err(reason) = &*self.probe.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(reason.clone());
        }
        let readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        let at = readings.iter().find(|(at, _)| *at == phase).map(|(_, snapshot)| snapshot);
        let snapshot = at.ok_or_else(|| "the step was not reached".to_owned())?.as_ref().map_err(Clone::clone)?;
        let same = |text: Option<&String>| text.is_some_and(|text| uuid.is_some_and(|uuid| uuid.matches(text)));
        for card in &snapshot.cards {
            if same(card.uuid.as_ref().known()) {
                let reading = self.reading(phase, card.memory, &card.processes, |_| true);
                return Ok(CardReading { unlisted: card.unlisted().known(), ..reading });
            }
            for slice in card.mig_instances().into_iter().flatten() {
                if same(slice.uuid.as_ref().known()) {
                    let instance = slice.gpu_instance.known();
                    let name = slice.name.as_ref().known().cloned().unwrap_or_else(|| "MIG".to_owned());
                    let reading = self.reading(phase, slice.memory, &card.processes, |p| p.gpu_instance == instance);
                    return Ok(CardReading { slice: Some((name, card.index)), ..reading });
                }
            }
        }
        Err("NVML does not list this card".to_owned())
    }

    fn reading(
        &self,
        phase: Phase,
        memory: Reading<MemoryState>,
        processes: &Reading<Vec<ProcessState>>,
        here: impl Fn(&ProcessState) -> bool,
    ) -> CardReading {
        let listed = processes.as_ref().told().map_err(|absence| absence.words());
        let (own, others) = match listed {
            Err(reason) => (Err(reason), Vec::new()),
            Ok(all) => {
                let mine = all.iter().find(|p| p.pid == self.own && here(p));
                let own = match mine {
                    Some(process) => process.used.told().map_err(|absence| absence.words()),
                    // We have no context before and after; in between NVML must list us, unless it counts in another namespace.
                    None if matches!(phase, Phase::Checked | Phase::Released) => Ok(Bytes::ZERO),
                    None => Err("this process is not listed: NVML counts in another process namespace"),
                };
                let others = all.iter().filter(|p| p.pid != self.own && here(p)).map(|p| Holder {
                    pid: p.pid,
                    name: p.name.clone(),
                    bytes: p.used.known(),
                    orphan: p.orphan,
                });
                (own, others.collect())
            }
        };
        CardReading { memory: memory.told().map_err(|a| a.words()), own, others, unlisted: None, slice: None }
    }
}
