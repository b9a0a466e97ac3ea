//! How large recordings become of machines on which much goes on, and that nothing is lost for it.

use std::time::Duration;

use super::{Encoder, Header, Replay};
use crate::hardware::{CardState, MemoryState, ProcessState, Reading, Snapshot, Vitals};
use crate::monitor::Sample;
use crate::units::Bytes;

const CARDS: u32 = 8;
const PROCESSES: u64 = 25;

/// Numbers that look random and are the same each time (SplitMix64).
struct Noise(u64);

impl Noise {
    fn upto(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (word ^ (word >> 31)) % most
    }

    fn small(&mut self, most: u32) -> u32 {
        u32::try_from(self.upto(u64::from(most))).unwrap()
    }
}

/// Eight cards with 25 processes each. In each second every reading changes, every fourth process takes or gives memory in blocks of
/// 2 MiB, and on the machine one process ends and another begins, with a command line that was not there before.
struct Machine {
    cards: Vec<CardState>,
    noise: Noise,
    begun: u64,
}

impl Machine {
    fn new() -> Self {
        let mut machine = Self { cards: Vec::new(), noise: Noise(1), begun: 0 };
        for index in 0..CARDS {
            let mut card = CardState::unreadable(index, Reading::Unsupported);
            card.uuid = Reading::Known(format!("GPU-{index:08x}-51a0-4000-8000-000000000000"));
            card.name = Reading::Known("NVIDIA H100 80GB HBM3".to_owned());
            card.processes = Reading::Known((0..PROCESSES).map(|_| machine.process()).collect());
            machine.cards.push(card);
        }
        machine
    }

    fn process(&mut self) -> ProcessState {
        self.begun += 1;
        let job = self.begun;
        ProcessState {
            pid: 4000 + self.noise.small(4_000_000),
            used: Reading::Known(Bytes::mib(500 + 2 * self.noise.upto(1000))),
            name: Some("python3".to_owned()),
            command: Some(format!(
                "/opt/venv/bin/python3 -m jobs.evaluate --run {job} --seed {}",
                job * 7919 % 100_003
            )),
            user: Some("serve".to_owned()),
            orphan: false,
            gpu_instance: None,
        }
    }

    fn sample(&mut self, second: u64) -> Sample {
        let (ends_on, ends) = (self.noise.upto(u64::from(CARDS)) as usize, self.noise.upto(PROCESSES) as usize);
        let next = self.process();
        for (place, card) in self.cards.iter_mut().enumerate() {
            let noise = &mut self.noise;
            let Reading::Known(processes) = &mut card.processes else { unreachable!("they are known") };
            if place == ends_on {
                processes[ends] = next.clone();
            }
            for process in processes.iter_mut() {
                if noise.upto(4) == 0 {
                    process.used = Reading::Known(Bytes::mib(500 + 2 * noise.upto(1000)));
                }
            }
            processes.sort_by_key(CardState::process_order);
            let used: Bytes = processes.iter().filter_map(|process| process.used.known()).sum();
            card.memory = Reading::Known(MemoryState {
                total: Bytes::mib(81_559),
                reserved: Reading::Known(Bytes::mib(550)),
                used: used + Bytes::mib(8),
                free: Bytes::mib(81_001).saturating_sub(used),
            });
            card.temperature_celsius = Reading::Known(50 + noise.small(9));
            card.power_milliwatts = Reading::Known(400_000 + noise.small(90_000));
            card.utilization_percent = Reading::Known(noise.small(101));
            card.vitals = Vitals {
                sm_clock_mhz: Reading::Known(1980 - noise.small(4) * 15),
                memory_clock_mhz: Reading::Known(2619),
                power_limit_milliwatts: Reading::Known(700_000),
                uncorrected_errors: Reading::Known(0),
                pcie_sent_per_second: Reading::NotRead,
                pcie_received_per_second: Reading::NotRead,
                nvlink_sent_per_second: Reading::Known(Bytes(noise.upto(400_000_000_000))),
                nvlink_received_per_second: Reading::Known(Bytes(noise.upto(400_000_000_000))),
            };
        }
        let (driver_version, cuda_version) = (Reading::Known("570.124.06".to_owned()), Reading::Denied);
        let snapshot = Snapshot { driver_version, cuda_version, cards: self.cards.clone(), peers: Vec::new() };
        Sample { at: Duration::from_secs(second), outcome: Ok(snapshot) }
    }
}

/// A day of it at one sample a second stays below 50 MB. Twenty minutes are written and counted 72 times.
#[test]
fn a_day_of_eight_busy_cards_stays_below_50_megabytes() {
    let (mut encoder, bytes) = Encoder::new(&Header::default());
    let mut machine = Machine::new();
    let mut size = bytes.len();
    for second in 0..1200 {
        size += encoder.sample(&machine.sample(second)).len();
    }
    let day = size * 72;
    eprintln!("a day of eight busy cards at one sample a second: {:.1} MB", day as f64 / 1e6);
    assert!(day < 50_000_000, "{day} bytes");
    assert!(day > 5_000_000, "the samples do change: {day} bytes");
}

/// All of it is there afterwards, from any moment on, and cut anywhere the file replays to its last whole sample.
#[test]
fn processes_that_come_and_go_are_replayed() {
    let (mut encoder, mut bytes) = Encoder::new(&Header::default());
    let mut machine = Machine::new();
    let samples: Vec<Sample> = (0..700).map(|second| machine.sample(second)).collect();
    let mut ends = Vec::new();
    for sample in &samples {
        bytes.extend(encoder.sample(sample));
        ends.push(bytes.len());
    }
    let replay = Replay::of_bytes(bytes.clone()).unwrap();
    let mut cursor = replay.cursor(Duration::ZERO);
    for sample in &samples {
        assert_eq!(replay.next_sample(&mut cursor).as_ref(), Some(sample));
    }
    for from in [650, 299, 301, 5] {
        let mut cursor = replay.cursor(Duration::from_secs(from));
        let read = std::iter::from_fn(|| replay.next_sample(&mut cursor)).find(|sample| sample.at.as_secs() == from);
        assert_eq!(read.as_ref(), Some(&samples[from as usize]));
    }
    for second in [1usize, 300, 420] {
        for cut in [1, 30] {
            let replay = Replay::of_bytes(bytes[..ends[second] - cut].to_vec()).unwrap();
            assert_eq!(replay.samples(), second as u64, "{cut} bytes of sample {second} are missing");
        }
    }
}
