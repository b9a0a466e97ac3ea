use super::*;
use crate::machine::{Card, Machine};

const GIB: u64 = 1 << 30;

fn held(bytes: u64) -> UnitUse {
    UnitUse { allocations: 1, held_bytes: bytes, ..UnitUse::default() }
}

#[test]
fn a_claim_beyond_the_card_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let machine = Machine::new().cards(2, Card::sized(1024, 0));
    let mut ledger = Ledger::attach(&path).unwrap();
    assert!(ledger.claim(1, GIB, GIB / 4, held(GIB / 2)));
    assert!(!ledger.claim(1, GIB, GIB / 4, held(GIB)), "three quarters are taken");
    assert_eq!(ledger.mine(1).held_bytes, GIB / 2);
    let seen = MachineUse::read(&machine, &path).unwrap();
    assert_eq!(seen.unreturned(), GIB / 2);
    assert_eq!(seen.leaked(), 0, "this process is alive");
    assert_eq!(seen.units[1].high_water, GIB / 2 + GIB / 4);
    assert_eq!(seen.units[0].high_water, 0);
}

#[test]
fn processes_that_are_gone_hold_nothing_and_count_as_leaks() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let machine = Machine::new().cards(1, Card::sized(1024, 0));
    let mut gone = ProcessRecord::new(u32::MAX - 1, 1);
    gone.units[0] = held(GIB);
    let file = BookFile::open(&path).unwrap();
    file.write_process(0, &gone).unwrap();
    file.set_process_count(1).unwrap();

    let mut ledger = Ledger::attach(&path).unwrap();
    assert_eq!(ledger.holders(0), []);
    assert!(ledger.claim(0, GIB, 0, held(GIB)));
    assert_eq!(ledger.holders(0), [(std::process::id(), GIB)]);
    let seen = MachineUse::read(&machine, &path).unwrap();
    assert_eq!(seen.leaked(), GIB);
    assert_eq!(seen.processes.len(), 2);
    assert!(seen.loose_ends()[0].contains("allocations"));
}

#[test]
fn a_reused_process_id_is_another_process() {
    let pid = std::process::id();
    let started = liveness::start_time(pid).unwrap();
    assert!(liveness::is_alive(pid, started));
    assert!(!liveness::is_alive(pid, started + 1));
}

#[test]
fn what_is_no_book_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    std::fs::write(&path, b"something else entirely").unwrap();
    assert!(Ledger::attach(&path).is_err());
}

#[test]
fn pages_survive_the_file() {
    let mut record = ProcessRecord::new(7, 8);
    record.counters.misuses = 9;
    record.counters.pinned_blocks = 4;
    record.units[MAX_UNITS - 1].nvml_calls = 10;
    let back = ProcessRecord::from_words(&record.words());
    assert_eq!((back.pid, back.start_time), (7, 8));
    assert_eq!(back.counters, record.counters);
    assert_eq!(back.units, record.units);
}
