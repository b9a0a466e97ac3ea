//! Who holds memory on a card.

use std::collections::BTreeMap;

use nvml_wrapper::Device;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;

use super::owners::ProcessTable;
use super::readings::absent;
use super::unwrapped::{Work, running};
use super::{mig, workers};
use crate::hardware::{CardState, MigMode, ProcessState, Reading};
use crate::units::Bytes;

/// How many processes the lists of a card held when they were last asked: the next list is fetched in one call, not counted first.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lengths {
    compute: usize,
    graphics: usize,
}

/// Compute and graphics processes of a card, each once, largest first.
///
/// A partitioned card tells the processes of all instances only to root; each instance tells its own, so both are asked.
pub(super) fn read(
    device: &Device<'_>,
    mig_mode: &Reading<MigMode>,
    table: &impl ProcessTable,
    lengths: &mut Lengths,
) -> Reading<Vec<ProcessState>> {
    let mut answers = Vec::from(lists(device, lengths));
    if matches!(mig_mode, Reading::Known(MigMode::Enabled(_)))
        && let Ok(instances) = mig::devices(device)
    {
        answers.extend(instances.iter().flat_map(|(_, instance)| lists(instance, &mut Lengths::default())));
    }
    merge(answers).map(|entries| named(entries, table))
}

type Answer = Result<Vec<ProcessInfo>, NvmlError>;

/// The newest form of each call that this driver knows; drivers before branch 510 know the second.
fn lists(device: &Device<'_>, lengths: &mut Lengths) -> [Answer; 2] {
    let ask = |work, length: &mut usize, older: &dyn Fn() -> Answer| {
        let answer = match running(device, work, *length) {
            Err(NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound) => older(),
            answer => answer,
        };
        *length = answer.as_ref().map_or(0, Vec::len);
        answer
    };
    [
        ask(Work::Compute, &mut lengths.compute, &|| device.running_compute_processes_v2()),
        ask(Work::Graphics, &mut lengths.graphics, &|| device.running_graphics_processes_v2()),
    ]
}

/// Process and GPU instance → bytes on the card.
type Entries = BTreeMap<(u32, Option<u32>), Reading<Bytes>>;

/// One list of several: a process with a compute and a graphics context stands in both, each time with all its memory. Lists that
/// cannot be had are left out as long as one can; otherwise the first refusal is the answer.
fn merge(answers: impl IntoIterator<Item = Answer>) -> Reading<Entries> {
    let mut entries = Entries::new();
    let mut refusal = None;
    let mut answered = false;
    for answer in answers {
        let list = match answer {
            Ok(list) => list,
            Err(error) => {
                refusal.get_or_insert(error);
                continue;
            }
        };
        answered = true;
        for process in list {
            let used = match process.used_gpu_memory {
                UsedGpuMemory::Used(bytes) => Reading::Known(Bytes(bytes)),
                UsedGpuMemory::Unavailable => Reading::Unsupported,
            };
            let entry = entries.entry((process.pid, process.gpu_instance_id)).or_insert(used);
            if used.known() > entry.known() {
                *entry = used;
            }
        }
    }
    match refusal {
        Some(error) if !answered => absent(&error),
        _ => Reading::Known(entries),
    }
}

fn named(entries: Entries, table: &impl ProcessTable) -> Vec<ProcessState> {
    let mut processes: Vec<ProcessState> = entries
        .into_iter()
        .map(|((pid, gpu_instance), used)| {
            let process = table.look_up(pid);
            let orphan = process.as_ref().is_some_and(|process| workers::is_orphan(process, table));
            let (name, command, user) =
                process.map_or((None, None, None), |p| (Some(p.name.clone()), p.command.clone(), p.user.clone()));
            ProcessState { pid, used, name, command, user, orphan, gpu_instance }
        })
        .collect();
    processes.sort_by_key(CardState::process_order);
    processes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(pid: u32, used_gpu_memory: UsedGpuMemory, gpu_instance_id: Option<u32>) -> ProcessInfo {
        ProcessInfo { pid, used_gpu_memory, gpu_instance_id, compute_instance_id: None }
    }

    #[test]
    fn a_process_stands_once() {
        let compute = vec![entry(7, UsedGpuMemory::Used(500), None), entry(8, UsedGpuMemory::Unavailable, None)];
        let graphics = vec![entry(7, UsedGpuMemory::Used(500), None), entry(9, UsedGpuMemory::Used(20), None)];
        let entries = merge(vec![Ok(compute), Ok(graphics)]).known().unwrap();
        let expected = [
            ((7, None), Reading::Known(Bytes(500))),
            ((8, None), Reading::Unsupported),
            ((9, None), Reading::Known(Bytes(20))),
        ];
        assert_eq!(entries.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn one_pid_on_two_instances_stands_twice() {
        let list = vec![entry(7, UsedGpuMemory::Used(1), Some(1)), entry(7, UsedGpuMemory::Used(2), Some(2))];
        assert_eq!(merge(vec![Ok(list)]).known().unwrap().len(), 2);
    }

    #[test]
    fn one_refused_list_does_not_hide_the_other() {
        let compute = vec![entry(7, UsedGpuMemory::Used(500), None)];
        assert_eq!(merge(vec![Ok(compute), Err(NvmlError::NotSupported)]).known().unwrap().len(), 1);
        assert_eq!(merge(vec![Err(NvmlError::NoPermission), Err(NvmlError::NotSupported)]), Reading::Denied);
    }
}
