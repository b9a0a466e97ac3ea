use std::cell::Cell;

use super::*;

#[cfg(target_os = "linux")]
#[test]
fn this_process_is_found() {
    let process = Remembered::new(SystemProcesses::default()).look_up(std::process::id()).unwrap();
    assert_eq!(process.parent, std::os::unix::process::parent_id());
    assert!(process.command.as_ref().unwrap().contains("shardfit"));
    let expected = uzers::get_user_by_uid(uzers::get_effective_uid()).unwrap();
    assert_eq!(process.user.as_deref(), expected.name().to_str());
    assert!(!process.ended);
    assert_eq!(SystemProcesses::default().status(u32::MAX), None);
}

#[cfg(target_os = "linux")]
#[test]
fn names_may_hold_anything() {
    let tail = " 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 12345 0 0";
    for (line, name, parent, ended) in [
        (format!("7 (python3) S 1{tail}"), "python3", 1, false),
        (format!("7 (a) b (c)) Z 99{tail}"), "a) b (c)", 99, true),
        (format!("7 () R 0{tail}"), "", 0, false),
    ] {
        let status = linux::parse(line.as_bytes()).unwrap();
        assert_eq!((status.name.as_str(), status.parent, status.ended, status.start), (name, parent, ended, 12345));
    }
    for line in ["", "7", "7 (x", "7 (x) S", "7 (x) S 1 2 3", "7 (x) S many 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1"] {
        assert_eq!(linux::parse(line.as_bytes()), None, "{line}");
    }
}

/// A system of one process that counts what it is asked.
#[derive(Default)]
struct Counting {
    statuses: Cell<u32>,
    descriptions: Cell<u32>,
}

impl System for Counting {
    fn status(&self, pid: u32) -> Option<Status> {
        self.statuses.set(self.statuses.get() + 1);
        (pid < 100).then(|| Status { name: "python3".to_owned(), parent: 1, ended: false, start: u64::from(pid) })
    }

    fn description(&self, _pid: u32) -> (Option<String>, Option<String>) {
        self.descriptions.set(self.descriptions.get() + 1);
        (Some("VLLM::Worker_TP0".to_owned()), None)
    }
}

#[test]
fn what_was_told_is_not_asked_again() {
    let table = Remembered::new(Counting::default());
    let first = table.look_up(7);
    assert_eq!(first.as_ref().unwrap().command.as_deref(), Some("VLLM::Worker_TP0"));
    assert_eq!(table.look_up(7), first);
    assert!(table.look_up(u32::MAX).is_none() && table.look_up(u32::MAX).is_none());
    assert_eq!((table.system.statuses.get(), table.system.descriptions.get()), (2, 1));
}

/// Later on the state is asked again, and the description until it was the same twice; another process under the same number is asked
/// for all.
#[test]
fn a_process_settles() {
    let table = Remembered::new(Counting::default());
    let start = Instant::now();
    let at = |second| start + Duration::from_secs(second);
    let mut seen = table.ask(7, None, at(0), Duration::ZERO);
    for second in [10, 20, 30, 40, 50, 60] {
        seen = table.ask(7, Some(seen), at(second), Duration::ZERO);
    }
    assert_eq!((table.system.statuses.get(), table.system.descriptions.get()), (7, 2));
    seen = table.ask(7, Some(seen), at(70), Duration::ZERO);
    assert_eq!(table.system.descriptions.get(), 3, "after a minute it is asked once more");
    seen = table.ask(8, Some(seen), at(71), Duration::ZERO);
    assert_eq!((table.system.descriptions.get(), seen.settled), (4, false));
}
