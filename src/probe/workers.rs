//! Engine workers whose engine is gone.
//!
//! An engine that is killed hard, or crashes, can leave its workers behind: they wait for work that never comes and hold their memory
//! until someone ends them. The system hands such a process to a new parent, which is how they are told: a worker is a child of its
//! engine, of another worker, or of nobody.

use std::sync::Arc;

use super::owners::{Process, ProcessTable};

/// How a worker's command line is told.
#[derive(Debug, Clone, Copy)]
enum Mark {
    /// A process title or the first argument begins so.
    Begins(&'static str),
    /// The arguments hold it.
    Holds(&'static str),
}

/// Processes that an engine starts and nobody else. Titles are those the engines give themselves with `setproctitle`.
const WORKERS: &[Mark] = &[
    // vLLM `v1/engine/core.py`, `v1/executor/multiproc_executor.py`, `v1/engine/coordinator.py`
    Mark::Begins("VLLM::EngineCore"),
    Mark::Begins("VLLM::Worker"),
    Mark::Begins("VLLM::DPCoordinator"),
    // SGLang `srt/managers/scheduler.py`, `detokenizer_manager.py`, `data_parallel_controller.py`
    Mark::Begins("sglang::scheduler"),
    Mark::Begins("sglang::detokenizer"),
    Mark::Begins("sglang::data_parallel_controller"),
    // Ray's workers, whatever runs in them
    Mark::Begins("ray::"),
    // CPython `multiprocessing/spawn.py` and `forkserver.py`, which vLLM, SGLang, LMDeploy and torch use
    Mark::Holds("from multiprocessing.spawn import spawn_main"),
    Mark::Holds("from multiprocessing.forkserver import main"),
    // text-generation-inference's launcher starts one server a shard
    Mark::Holds("text-generation-server serve"),
];

/// Programs that can be the first process of a container and still be an engine, or start one.
const ENGINES: &[&str] =
    &["python", "vllm", "VLLM::", "sglang", "ray", "lmdeploy", "text-generation", "trtllm", "tritonserver", "mpirun"];

/// Programs that take in processes of others: init systems, container supervisors.
const ADOPTERS: &[&str] = &[
    "systemd",
    "init",
    "tini",
    "dumb-init",
    "docker-init",
    "catatonit",
    "containerd-shim",
    "conmon",
    "s6-svscan",
    "runsvdir",
    "supervisord",
    "pause",
];

/// The first process of the system or container, which takes in processes whose parent ended.
const FIRST: u32 = 1;

/// Longest chain of parents followed; deeper ones are no engine's.
const GENERATIONS: u32 = 16;

/// Whether `process` is an engine's worker and the engine is gone. What cannot be seen is not accused.
pub(super) fn is_orphan(process: &Arc<Process>, table: &impl ProcessTable) -> bool {
    let mut worker = Arc::clone(process);
    for _ in 0..GENERATIONS {
        if !is_worker(&worker) {
            return false;
        }
        // Parent 0 lies outside this namespace: the worker was put into the container by something that cannot be seen.
        if worker.parent == 0 {
            return false;
        }
        let Some(parent) = table.look_up(worker.parent) else {
            return false;
        };
        if parent.ended {
            return true;
        }
        let adopted = match worker.parent {
            FIRST => !matches_any(&parent, ENGINES),
            _ => matches_any(&parent, ADOPTERS),
        };
        if adopted {
            return true;
        }
        worker = parent;
    }
    false
}

fn is_worker(process: &Process) -> bool {
    let text = process.command.as_deref().unwrap_or(&process.name);
    WORKERS.iter().any(|mark| match mark {
        Mark::Begins(start) => text.starts_with(start),
        Mark::Holds(part) => text.contains(part),
    })
}

/// Whether the program, its path left away, begins with one of `programs`.
fn matches_any(process: &Process, programs: &[&str]) -> bool {
    let command = process.command.as_deref().unwrap_or_default();
    let path = command.split_whitespace().next().unwrap_or_default();
    let program = path.rsplit('/').next().unwrap_or_default();
    programs.iter().any(|start| program.starts_with(start) || process.name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    struct Table(BTreeMap<u32, Arc<Process>>);

    impl ProcessTable for Table {
        fn look_up(&self, pid: u32) -> Option<Arc<Process>> {
            self.0.get(&pid).cloned()
        }
    }

    /// (pid, parent, command line); a `*` before the command marks a process that has ended.
    fn orphans(processes: &[(u32, u32, &str)]) -> Vec<u32> {
        let entry = |&(pid, parent, text): &(u32, u32, &str)| {
            let command = text.trim_start_matches('*');
            let program = command.split_whitespace().next().unwrap().rsplit('/').next().unwrap();
            let name = program.chars().take(15).collect();
            let ended = text.starts_with('*');
            (pid, Arc::new(Process { name, command: Some(command.to_owned()), user: None, parent, ended }))
        };
        let table = Table(processes.iter().map(entry).collect());
        table.0.iter().filter(|(_, process)| is_orphan(process, &table)).map(|(pid, _)| *pid).collect()
    }

    const SPAWNED: &str = "/usr/bin/python3 -c from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=6)";

    #[test]
    fn workers_with_their_engine_are_at_home() {
        let running = [
            (1, 0, "/usr/lib/systemd/systemd --system"),
            (10, 1, "bash"),
            (20, 10, "/opt/venv/bin/python /opt/venv/bin/vllm serve m --tensor-parallel-size 2"),
            (30, 20, "VLLM::EngineCore"),
            (31, 30, "VLLM::Worker_TP0"),
            (32, 30, SPAWNED),
            // A server started under nohup or systemd is no worker, though its parent is the first process.
            (40, 1, "python -m sglang.launch_server --model-path m"),
            (41, 40, "sglang::scheduler_TP0"),
            (50, 1, "/usr/local/lib/python3/ray/core/src/ray/raylet/raylet --x"),
            (51, 50, "ray::RayWorkerWrapper.execute_method"),
            (60, 10, SPAWNED),
        ];
        assert_eq!(orphans(&running), [] as [u32; 0]);
    }

    #[test]
    fn workers_taken_in_by_init_are_orphans_and_so_are_theirs() {
        let left = [
            (1, 0, "/sbin/init splash"),
            (30, 1, "VLLM::EngineCore"),
            (31, 30, "VLLM::Worker_TP0"),
            (70, 1, SPAWNED),
            (80, 81, "sglang::scheduler_TP1"),
            (81, 1, "/usr/lib/systemd/systemd --user"),
            (90, 91, "VLLM::Worker_TP3"),
            (91, 1, "*/usr/bin/python3 /usr/bin/vllm serve m"),
            (99, 1, "/usr/bin/python3 train.py"),
        ];
        assert_eq!(orphans(&left), [30, 31, 70, 80, 90]);
    }

    #[test]
    fn an_engine_may_be_the_first_process_of_a_container() {
        let container = [(1, 0, "/usr/bin/python3 -m vllm.entrypoints.openai.api_server"), (7, 1, "VLLM::Worker_TP0")];
        assert_eq!(orphans(&container), [] as [u32; 0]);
        let shell = [(1, 0, "sleep infinity"), (7, 1, "VLLM::Worker_TP0")];
        assert_eq!(orphans(&shell), [7]);
    }

    #[test]
    fn what_cannot_be_seen_is_not_accused() {
        assert_eq!(orphans(&[(7, 1, "VLLM::Worker_TP0")]), [] as [u32; 0]);
        assert_eq!(orphans(&[(7, 0, "VLLM::Worker_TP0")]), [] as [u32; 0]);
        // A ring of parents cannot be, and must not hang.
        assert_eq!(orphans(&[(7, 8, "VLLM::Worker_TP0"), (8, 7, "VLLM::Worker_TP1")]), [] as [u32; 0]);
    }
}
