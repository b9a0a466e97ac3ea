//! The CUDA path against the simulated driver: the real code, with cards that count what is held and run copies only when somebody waits.
//!
//! Each test describes a machine and runs this same program on it once more, as a child that finds the simulated driver where the real one
//! would be; the child loads a checkpoint and prints what came of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test ends with what it meets, and makes the files and processes it needs"
)]

mod loader_support;

use std::collections::BTreeMap;
use std::process::Output;

use serde::{Deserialize, Serialize};
use shardfit::loader::device::{CudaCards, CudaDriver, DeviceError, DriverMissing};
use shardfit::loader::{LoadError, LoadFailure, LoadOptions, Phase, Verify};
use shardfit::units::Bytes;
use simgpu::machine::MIB;
use simgpu::{Card, Fault, Installed, Machine, MachineUse};

use loader_support::{Fixture, assert_expected, load_and_keep, placed_bytes, tensor_parallel};

const SCENARIO: &str = "SHARDFIT_TEST_SCENARIO";
const ANSWER: &str = "answer: ";

/// What the child is to load.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Scenario {
    /// CUDA ordinals of the load's cards.
    ordinals: Vec<u32>,
    /// Index of each rank's card.
    devices: Vec<usize>,
    /// Rows narrower than this are packed.
    pack_below: Option<u64>,
    verify: Compare,
}

/// [`Verify`], as it is sent to the child.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Compare {
    None,
    Sample,
    Full,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Answer {
    missing: Option<String>,
    failure: Option<Failure>,
    placed: BTreeMap<u32, u64>,
    compared: u64,
    names: Vec<String>,
    uuids: Vec<String>,
    /// Used bytes of the first card after each step, where the driver told.
    used: Vec<(String, Option<u64>)>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Failure {
    kind: String,
    code: Option<u32>,
    text: String,
    rank: Option<u32>,
    tensor: Option<String>,
    mismatch: Option<(u32, String, u64)>,
}

impl Failure {
    fn of(failure: &LoadFailure) -> Self {
        let (kind, code) = match &failure.error {
            LoadError::Device(DeviceError::OutOfMemory { .. }) => ("out of memory", None),
            LoadError::Device(DeviceError::Staging { code, .. }) => ("staging", Some(code.code)),
            LoadError::Device(DeviceError::Lost { code, .. }) => ("lost", Some(code.code)),
            LoadError::Device(DeviceError::Ecc { code, .. }) => ("ecc", Some(code.code)),
            LoadError::Device(DeviceError::Driver { code, .. }) => ("driver", Some(code.code)),
            LoadError::Device(DeviceError::NoSuchDevice { .. }) => ("no such device", None),
            LoadError::Mismatch { .. } => ("mismatch", None),
            _ => ("other", None),
        };
        let mismatch = match &failure.error {
            LoadError::Mismatch { first, .. } => Some((first.rank, first.tensor.clone(), first.offset)),
            _ => None,
        };
        let (rank, tensor) = (failure.at.rank, failure.at.tensor.clone());
        Self { kind: kind.to_owned(), code, text: failure.to_string(), rank, tensor, mismatch }
    }
}

fn fixture(scenario: &Scenario) -> Fixture {
    tensor_parallel(scenario.devices.len(), &scenario.devices)
}

/// The child's part.
fn play(scenario: &Scenario) -> Answer {
    let driver = match CudaDriver::open() {
        Ok(driver) => driver,
        Err(error) => return Answer { missing: Some(format!("{error:?}")), ..Answer::default() },
    };
    let names = driver.devices().map(|device| device.name.clone()).collect();
    let uuids = driver.devices().map(|device| device.uuid.unwrap().to_string()).collect();
    let fixture = fixture(scenario);
    let options = LoadOptions {
        workers: Some(2),
        staging: Bytes::mib(1),
        buffer: Some(Bytes::kib(64)),
        pack_below: scenario.pack_below,
        verify: match scenario.verify {
            Compare::None => Verify::None,
            Compare::Sample => Verify::Sample,
            Compare::Full => Verify::Full,
        },
        ..LoadOptions::default()
    };
    let cards = CudaCards::new(driver, scenario.ordinals.clone());
    let answer = Answer { names, uuids, ..Answer::default() };
    let outcome = match load_and_keep(&fixture.placement, cards, &options) {
        Ok((outcome, arenas)) => {
            assert_expected(&fixture, &arenas);
            outcome
        }
        Err(failure) => return Answer { failure: Some(Failure::of(&failure)), ..answer },
    };
    let used = outcome.devices[0].memory.iter();
    Answer {
        placed: outcome.ranks.iter().map(|rank| (rank.rank, rank.placed.0)).collect(),
        compared: outcome.ranks.iter().map(|rank| rank.compared.0).sum(),
        used: used.map(|(phase, memory)| (phase.name().to_owned(), memory.map(|m| m.used().0))).collect(),
        ..answer
    }
}

#[test]
#[ignore = "the child's part: runs inside a simulated machine"]
fn inside() {
    let Ok(scenario) = std::env::var(SCENARIO) else { return };
    let answer = play(&serde_json::from_str(&scenario).unwrap());
    println!("\n{ANSWER}{}", serde_json::to_string(&answer).unwrap());
}

/// Runs a scenario on a machine; the book of the machine comes with the answer.
fn run_on(machine: Machine, scenario: &Scenario) -> (Answer, MachineUse) {
    let folder = tempfile::tempdir().unwrap();
    let machine = machine.install(folder.path()).unwrap();
    let answer = run(&machine, scenario);
    let used = machine.used().unwrap();
    // Whatever happened, nothing is held and no rule was broken.
    assert_eq!(used.loose_ends(), Vec::<String>::new(), "{answer:?}");
    assert_eq!(used.misuses(), 0, "{answer:?}");
    (answer, used)
}

fn run(machine: &Installed, scenario: &Scenario) -> Answer {
    let mut command = machine.command(std::env::current_exe().unwrap());
    command.args(["inside", "--exact", "--ignored", "--nocapture"]);
    let Output { status, stdout, stderr } =
        command.env(SCENARIO, serde_json::to_string(scenario).unwrap()).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{stdout}\n{stderr}");
    let answer = stdout.lines().find_map(|line| line.strip_prefix(ANSWER)).expect("the child answers");
    serde_json::from_str(answer).unwrap()
}

fn four_ranks() -> Scenario {
    Scenario { ordinals: vec![0, 1, 2, 3], devices: vec![0, 1, 2, 3], pack_below: None, verify: Compare::Full }
}

fn four_cards() -> Machine {
    Machine::new().cards(4, Card::a10())
}

#[test]
fn four_cards_hold_what_the_files_say() {
    // Packed by the CPU, and by the card's strided copies.
    for pack_below in [None, Some(0), Some(u64::MAX)] {
        let scenario = Scenario { pack_below, ..four_ranks() };
        let (answer, used) = run_on(four_cards(), &scenario);
        assert_eq!(answer.failure, None);
        let expected = placed_bytes(&fixture(&scenario).placement);
        assert_eq!(answer.placed, expected);
        assert_eq!(answer.compared, expected.values().sum::<u64>());
        assert!(answer.names.iter().all(|name| name.contains("A10")), "{:?}", answer.names);
        assert!(used.copies().0 > 0);
    }
}

#[test]
fn memory_is_told_after_each_step() {
    let (answer, _) = run_on(four_cards(), &four_ranks());
    let used = |phase: Phase| answer.used.iter().find(|(name, _)| name == phase.name()).unwrap().1;
    // Without a context the driver cannot be asked.
    assert_eq!((used(Phase::Checked), used(Phase::Released)), (None, None));
    let arena = fixture(&four_ranks()).placement.ranks[0].arena.0;
    let context = used(Phase::Opened).unwrap();
    let grown = used(Phase::Allocated).unwrap() - context;
    assert!(context > 0 && grown >= arena && grown < arena + (4 << 20), "{context} {grown} {arena}");
    assert_eq!(used(Phase::Allocated), used(Phase::Verified));
    assert_eq!(used(Phase::Freed), Some(context));
}

#[test]
fn cards_are_chosen_by_ordinal_and_no_other_gets_a_context() {
    let scenario = Scenario { ordinals: vec![3, 1], devices: vec![0, 0, 1, 1], ..four_ranks() };
    let (answer, used) = run_on(four_cards(), &scenario);
    assert_eq!(answer.failure, None);
    let touched: Vec<bool> = used.units.iter().map(|unit| unit.high_water > 0).collect();
    assert_eq!(touched, [false, true, false, true]);
}

#[test]
fn identities_join_with_nvml() {
    let machine = four_cards();
    let nvml: Vec<String> = machine.cards.iter().map(|card| card.uuid.clone()).collect();
    let (answer, _) = run_on(machine, &four_ranks());
    let from_nvml: Vec<&str> = nvml.iter().map(|uuid| uuid.strip_prefix("GPU-").unwrap()).collect();
    assert_eq!(answer.uuids, from_nvml);
}

#[test]
fn a_missing_card_is_named() {
    let scenario = Scenario { ordinals: vec![0, 1, 2, 9], ..four_ranks() };
    let (answer, _) = run_on(four_cards(), &scenario);
    let failure = answer.failure.unwrap();
    assert_eq!((failure.kind.as_str(), failure.rank), ("no such device", Some(3)));
    assert!(failure.text.contains("card 9"), "{}", failure.text);
}

#[test]
fn out_of_memory_on_one_card_frees_all() {
    // Somebody else leaves room for a context and one mebibyte.
    let machine = four_cards().with_card(2, |card| {
        let left = card.context_bytes + MIB;
        let total = card.nvml_total - card.reserved;
        card.process(4242, total - left)
    });
    let (answer, _) = run_on(machine, &four_ranks());
    let failure = answer.failure.unwrap();
    assert_eq!((failure.kind.as_str(), failure.rank), ("out of memory", Some(2)));
    assert!(failure.text.starts_with("cuda:2 is out of memory"), "{}", failure.text);
    assert!(failure.text.contains("1 MiB free of 21.98 GiB"), "{}", failure.text);
}

#[test]
fn whichever_allocation_fails_everything_is_freed() {
    let shared = Scenario { ordinals: vec![0], devices: vec![0, 0, 0, 0], ..four_ranks() };
    for nth in 1..=4 {
        let machine = four_cards().fault(Fault::AllocationFails { card: 0, nth });
        let (answer, _) = run_on(machine, &shared);
        let failure = answer.failure.unwrap();
        assert_eq!((failure.kind.as_str(), failure.rank), ("out of memory", Some(nth as u32 - 1)));
    }
    let machine = four_cards().fault(Fault::AllocationFails { card: 0, nth: 5 });
    assert_eq!(run_on(machine, &shared).0.failure, None);
}

#[test]
fn whichever_call_fails_everything_is_freed() {
    // (symbol, code, kind): the nth call of each fails for as many n as it takes until the load no longer notices.
    for (call, code, kind) in [
        ("cuMemHostAlloc", 2, "staging"),
        ("cuStreamCreate", 999, "lost"),
        ("cuEventCreate", 2, "out of memory"),
        ("cuEventRecord", 400, "driver"),
        ("cuMemcpyHtoDAsync", 719, "lost"),
        ("cuMemcpy2DAsync", 214, "ecc"),
        ("cuMemcpyDtoHAsync", 700, "driver"),
        ("cuMemsetD8Async", 1, "driver"),
        ("cuEventSynchronize", 719, "lost"),
    ] {
        let scenario = Scenario { pack_below: Some(0), ..four_ranks() };
        for nth in [1, 2, 4] {
            let fault = Fault::CudaError { call: call.to_owned(), code, nth: Some(nth) };
            let (answer, _) = run_on(four_cards().fault(fault), &scenario);
            let failure = answer.failure.unwrap_or_else(|| panic!("{call} {nth} went unnoticed"));
            assert_eq!(failure.kind, kind, "{call} {nth}: {}", failure.text);
        }
    }
}

#[test]
fn a_context_that_is_refused_names_its_card() {
    for (code, kind) in [(2, "out of memory"), (46, "lost"), (999, "lost"), (801, "driver")] {
        let (answer, used) = run_on(four_cards().fault(Fault::ContextFails { card: 1, code }), &four_ranks());
        let failure = answer.failure.unwrap();
        assert_eq!((failure.kind.as_str(), failure.rank), (kind, Some(1)), "{}", failure.text);
        assert!(failure.text.contains("cuda:1"), "{}", failure.text);
        assert_eq!(used.units[2].high_water, 0, "cards behind it are not touched");
    }
}

#[test]
fn a_card_lost_on_the_way_is_named() {
    for after in [0, 1, 7, 20] {
        let fault = Fault::CardLost { card: 1, after_copies: Some(after), after_nvml_calls: None };
        let (answer, used) = run_on(four_cards().fault(fault), &four_ranks());
        let failure = answer.failure.unwrap();
        assert_eq!((failure.kind.as_str(), failure.code), ("lost", Some(719)), "{}", failure.text);
        assert_eq!(failure.rank, Some(1), "{}", failure.text);
        assert!(failure.tensor.is_some(), "{}", failure.text);
        assert!(used.units[1].lost);
    }
}

#[test]
fn an_uncorrectable_memory_error_is_told_as_one() {
    let (answer, _) = run_on(four_cards().fault(Fault::EccError { card: 3, after_copies: 2 }), &four_ranks());
    let failure = answer.failure.unwrap();
    assert_eq!((failure.kind.as_str(), failure.code, failure.rank), ("ecc", Some(214), Some(3)));
}

#[test]
fn a_bit_that_flips_on_the_card_is_found_and_named() {
    let scenario = four_ranks();
    let placement = fixture(&scenario).placement;
    let tensor = placement.ranks[2].tensors.iter().find(|tensor| tensor.name == "embedding").unwrap();
    let copies = copies_to_card_two();
    let fault = Fault::FlipBit { card: 2, after_copies: copies, offset: tensor.offset + 77, bit: 3 };
    let (answer, _) = run_on(four_cards().fault(fault), &scenario);
    let failure = answer.failure.unwrap();
    assert_eq!(failure.kind, "mismatch", "{}", failure.text);
    assert_eq!(failure.mismatch, Some((2, "embedding".to_owned(), 77)));
}

/// Copies that a load sends to card 2: after so many, nothing writes to it any more.
fn copies_to_card_two() -> u64 {
    let (answer, used) = run_on(four_cards(), &Scenario { verify: Compare::None, ..four_ranks() });
    assert_eq!(answer.failure, None);
    // One more reads the arena back for this test.
    used.processes.iter().map(|process| process.units[2].copies).sum::<u64>() - 1
}

#[test]
fn pinned_memory_stays_within_the_stated_staging() {
    let (_, used) = run_on(four_cards(), &Scenario { verify: Compare::Sample, ..four_ranks() });
    let pinned: Vec<u64> = used.processes.iter().map(|process| process.counters.pinned_high_water).collect();
    assert!(pinned.iter().any(|&bytes| bytes > 0) && pinned.iter().all(|&bytes| bytes <= MIB), "{pinned:?}");
}

#[test]
fn refused_pinned_memory_is_told_as_such() {
    let (answer, _) = run_on(four_cards().pinned_limit(100 << 10), &four_ranks());
    let failure = answer.failure.unwrap();
    assert_eq!((failure.kind.as_str(), failure.code), ("staging", Some(2)), "{}", failure.text);
}

#[test]
fn without_a_driver_there_is_a_reason_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let machine = four_cards().install_without_cuda(folder.path()).unwrap();
    let answer = run(&machine, &four_ranks());
    // On a machine with a real driver its cards would answer instead.
    if CudaDriver::open().is_err() {
        assert_eq!(answer.missing, Some(format!("{:?}", DriverMissing::NotInstalled)));
    }
    let (answer, _) = run_on(four_cards().fault(Fault::cuda_init(803)), &four_ranks());
    assert!(answer.missing.unwrap().contains("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"));
    // Drivers differ: some do not start without a card, some start and show none.
    let (answer, _) = run_on(Machine::new(), &four_ranks());
    assert!(answer.missing.is_some() || answer.failure.is_some_and(|failure| failure.kind == "no such device"));
}
