//! Machines to look at. The figures are made up; the shapes are those of real ones.

use std::time::Duration;

use shardfit::hardware::{CardState, MemoryState, MigInstance, MigMode, ProcessState, Reading, Snapshot, Vitals};
use shardfit::monitor::{Interval, Sample};
use shardfit::tui::{Action, Size, State, update};
use shardfit::units::Bytes;

use Reading::Known;

pub fn process(pid: u32, used: Bytes, name: &str, user: &str, command: &str) -> ProcessState {
    ProcessState {
        pid,
        used: Known(used),
        name: Some(name.to_owned()),
        command: Some(command.to_owned()),
        user: Some(user.to_owned()),
        orphan: false,
        gpu_instance: None,
    }
}

/// A card whose use is what its processes hold and 8 MiB of its own.
pub fn card(index: u32, name: &str, total: Bytes, reserved: Bytes, processes: Vec<ProcessState>) -> CardState {
    let held: Bytes = processes.iter().filter_map(|process| process.used.known()).sum();
    let used = held + Bytes::mib(8);
    let nvlink = if name.contains("H100") { Known(Bytes(182_000_000_000)) } else { Reading::Unsupported };
    CardState {
        index,
        uuid: Known(format!("GPU-{index:08x}")),
        name: Known(name.to_owned()),
        pci_bus_id: Known(format!("00000000:{:02X}:00.0", index + 1)),
        compute_capability: Known((8, 6)),
        memory: Known(MemoryState {
            total,
            reserved: Known(reserved),
            used,
            free: total.saturating_sub(reserved).saturating_sub(used),
        }),
        processes: Known(processes),
        mig: Reading::Unsupported,
        pcie: Reading::NotRead,
        temperature_celsius: Known(41 + index),
        power_milliwatts: Known(118_400 + 1_000 * index),
        utilization_percent: Known(60 + index),
        vitals: Vitals {
            sm_clock_mhz: Known(1695),
            memory_clock_mhz: Known(6251),
            power_limit_milliwatts: Known(150_000),
            uncorrected_errors: Known(0),
            pcie_sent_per_second: Known(Bytes(1_240_000_000)),
            pcie_received_per_second: Known(Bytes(860_000_000)),
            nvlink_sent_per_second: nvlink,
            nvlink_received_per_second: nvlink,
        },
    }
}

pub fn snapshot(cards: Vec<CardState>) -> Snapshot {
    Snapshot {
        driver_version: Known("570.124.06".to_owned()),
        cuda_version: Known("12.8".to_owned()),
        cards,
        peers: Vec::new(),
    }
}

/// Four A10, on each a shard of this tool and a server of somebody else.
pub fn fine() -> Vec<CardState> {
    let server = "/usr/bin/python3 -m vllm.entrypoints.openai.api_server --model Qwen/Qwen2.5-7B-Instruct";
    (0..4)
        .map(|i| {
            let processes = vec![
                process(
                    4100 + i,
                    Bytes::mib(8192 + 100 * u64::from(i)),
                    "shardfit",
                    "ann",
                    "shardfit load /models/x --tp 4",
                ),
                process(2200 + i, Bytes::gib(6), "python3", "bo", server),
            ];
            card(i, "NVIDIA A10", Bytes::mib(23028), Bytes::mib(512), processes)
        })
        .collect()
}

/// A10 cards on which so much of a load has arrived, beside what its context takes.
pub fn filling(arrived: &[Bytes]) -> Vec<CardState> {
    let card = |(index, bytes): (u32, &Bytes)| {
        let used = *bytes + Bytes::mib(250);
        let load = process(4100, used, "shardfit", "ann", "shardfit load /models/x --tp 4");
        card(index, "NVIDIA A10", Bytes::mib(23_028), Bytes::mib(512), vec![load])
    };
    (0..).zip(arrived).map(card).collect()
}

/// Somebody takes memory of a card until so much is in use.
pub fn crowd(card: &mut CardState, used: Bytes) {
    let (Known(memory), Known(processes)) = (&mut card.memory, &mut card.processes) else { return };
    let taken = used.saturating_sub(memory.used);
    processes.push(process(8123, taken, "python3", "bo", "python3 train.py"));
    memory.free = memory.free.saturating_sub(taken);
    memory.used = used;
}

/// Eight H100 filled by one server; one worker is an orphan, and card 2 holds something that nobody lists.
pub fn nearly_full() -> Vec<CardState> {
    let mut cards: Vec<_> = (0..8).map(h100).collect();
    if let Known(processes) = &mut cards[5].processes {
        processes[0].orphan = true;
    }
    if let Known(memory) = &mut cards[2].memory {
        memory.used += Bytes::gib(2);
        memory.free = memory.free.saturating_sub(Bytes::gib(2));
    }
    cards[3].temperature_celsius = Known(88);
    cards
}

fn h100(i: u32) -> CardState {
    let used = Bytes::mib(77_000 + 100 * u64::from(i));
    let worker = process(3000 + i, used, "python3", "root", &format!("VLLM::Worker_TP{i}"));
    card(i, "NVIDIA H100 80GB HBM3", Bytes::mib(81_559), Bytes::mib(557), vec![worker])
}

/// Sixteen cards.
pub fn many() -> Vec<CardState> {
    (0..16).map(h100).collect()
}

/// A partitioned card and a whole one.
pub fn mig() -> Vec<CardState> {
    let instance = |index: u32, profile: &str, total: u64, used: u64| MigInstance {
        index,
        uuid: Known(format!("MIG-{index:08x}")),
        name: Known(format!("NVIDIA A100-SXM4-80GB MIG {profile}")),
        gpu_instance: Known(7 + index),
        memory: Known(MemoryState {
            total: Bytes::mib(total),
            reserved: Known(Bytes::mib(50)),
            used: Bytes::mib(used),
            free: Bytes::mib(total - used - 50),
        }),
    };
    let on = |instance: u32, process: ProcessState| ProcessState { gpu_instance: Some(7 + instance), ..process };
    let processes = vec![
        on(0, process(77, Bytes::mib(3072), "python3", "ann", "python3 train.py")),
        on(1, process(78, Bytes::mib(15_000), "shardfit", "bo", "shardfit load /models/y")),
    ];
    let mut partitioned = card(0, "NVIDIA A100-SXM4-80GB", Bytes::mib(81_920), Bytes::mib(600), processes);
    partitioned.mig = Known(MigMode::Enabled(vec![
        instance(0, "1g.10gb", 9_728, 3_080),
        instance(1, "2g.20gb", 19_968, 15_012),
        instance(2, "3g.40gb", 40_192, 0),
    ]));
    partitioned.utilization_percent = Reading::Unsupported;
    vec![partitioned, fine().remove(1)]
}

/// A desktop card under a user who may not list processes.
pub fn denied() -> Vec<CardState> {
    let mut card = card(0, "NVIDIA GeForce RTX 4090", Bytes::mib(24_564), Bytes::mib(370), Vec::new());
    card.processes = Reading::Denied;
    card.power_milliwatts = Reading::Unsupported;
    vec![card]
}

/// A screen after a minute of samples, one a second, of cards whose memory and activity rise and fall.
pub fn state(size: Size, cards: &[CardState]) -> State {
    let mut state = State::new("live".to_owned(), size, Interval::default());
    for second in 0..=60u64 {
        let mut cards = cards.to_vec();
        if second < 60 {
            for card in &mut cards {
                vary(card, second);
            }
        }
        sample(&mut state, second, Ok(snapshot(cards)));
    }
    state
}

/// A minute before the present: memory filling, activity in waves.
fn vary(card: &mut CardState, second: u64) {
    if let Known(memory) = &mut card.memory {
        memory.used = Bytes(memory.used.0 / 60 * second);
    }
    let wave = (second + u64::from(card.index) * 5) % 20;
    card.utilization_percent = card.utilization_percent.map(|_| u32::try_from(wave * 5).unwrap());
}

/// One more sample.
pub fn sample(state: &mut State, second: u64, outcome: Result<Snapshot, String>) {
    let sample = Sample { at: Duration::from_secs(second), outcome };
    assert_eq!(update(state, Action::Sample(sample)), None);
}
