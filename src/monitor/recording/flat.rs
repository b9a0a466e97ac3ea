//! A snapshot as a row of numbers, and back. Two snapshots of the same machine have rows of equal length in which little differs.
//!
//! Processes come and go, and stand in [tables](super::table) of their own; in the first form of recordings they stood in the row.

use super::texts::Texts;
use crate::hardware::{
    CardState, MemoryState, MigInstance, MigMode, PcieLink, ProcessState, Reading, Snapshot, Vitals,
};
use crate::units::Bytes;

/// Reasons why a value is absent, below every value.
const UNSUPPORTED: i64 = -1;
const DENIED: i64 = -2;
const FAILED: i64 = -3;
const LOST: i64 = -4;
const NOT_READ: i64 = -5;

pub(super) fn reading<T>(value: &Reading<T>, number: impl FnOnce(&T) -> i64) -> i64 {
    match value {
        Reading::Known(value) => number(value).max(0),
        Reading::Unsupported => UNSUPPORTED,
        Reading::Denied => DENIED,
        Reading::Failed => FAILED,
        Reading::Lost => LOST,
        Reading::NotRead => NOT_READ,
    }
}

/// Above 2^63 nothing is counted in bytes.
pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The numbers of a snapshot, in a row that is used again; peer links, which do not change, are left out, and of processes there is only
/// whether they were told.
pub(super) fn flatten(snapshot: &Snapshot, texts: &mut Texts, out: &mut Vec<i64>) {
    out.clear();
    out.push(reading(&snapshot.driver_version, |text| texts.number(text)));
    out.push(reading(&snapshot.cuda_version, |text| texts.number(text)));
    out.push(snapshot.cards.len() as i64);
    for card in &snapshot.cards {
        put_card(card, texts, out);
    }
}

fn put_card(card: &CardState, texts: &mut Texts, out: &mut Vec<i64>) {
    out.push(i64::from(card.index));
    out.push(reading(&card.uuid, |text| texts.number(text)));
    out.push(reading(&card.name, |text| texts.number(text)));
    out.push(reading(&card.pci_bus_id, |text| texts.number(text)));
    out.push(reading(&card.compute_capability, |(major, minor)| (i64::from(*major) << 32) | i64::from(*minor)));
    put_memory(&card.memory, out);
    let link = |field: fn(&PcieLink) -> u32| reading(&card.pcie, |link| i64::from(field(link)));
    out.extend([link(|l| l.generation), link(|l| l.width), link(|l| l.max_generation), link(|l| l.max_width)]);
    let small = |value: &Reading<u32>| reading(value, |value| i64::from(*value));
    out.extend([&card.temperature_celsius, &card.power_milliwatts, &card.utilization_percent].map(small));
    let vitals = &card.vitals;
    out.extend([&vitals.sm_clock_mhz, &vitals.memory_clock_mhz, &vitals.power_limit_milliwatts].map(small));
    out.push(reading(&vitals.uncorrected_errors, |count| number(*count)));
    let traffic = [
        &vitals.pcie_sent_per_second,
        &vitals.pcie_received_per_second,
        &vitals.nvlink_sent_per_second,
        &vitals.nvlink_received_per_second,
    ];
    out.extend(traffic.map(|rate| reading(rate, |bytes| number(bytes.0))));
    match &card.mig {
        Reading::Known(MigMode::Enabled(instances)) => {
            out.push(1 + instances.len() as i64);
            for instance in instances {
                out.push(i64::from(instance.index));
                out.push(reading(&instance.uuid, |text| texts.number(text)));
                out.push(reading(&instance.name, |text| texts.number(text)));
                out.push(small(&instance.gpu_instance));
                put_memory(&instance.memory, out);
            }
        }
        mig => out.push(reading(mig, |_| 0)),
    }
    out.push(reading(&card.processes, |_| 0));
}

fn put_memory(memory: &Reading<MemoryState>, out: &mut Vec<i64>) {
    let part = |field: fn(&MemoryState) -> u64| reading(memory, |memory| number(field(memory)));
    out.extend([part(|m| m.total.0), part(|m| m.used.0), part(|m| m.free.0)]);
    out.push(match memory {
        Reading::Known(memory) => reading(&memory.reserved, |bytes| number(bytes.0)),
        _ => NOT_READ,
    });
}

/// How rows are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Of version 0.1: processes in the row, nothing about NVLink.
    First,
    /// As [`flatten`] writes them.
    Second,
}

/// Numbers that are still to be read as a snapshot, and the texts they refer to.
struct Numbers<'a> {
    left: &'a [i64],
    texts: &'a [String],
    form: Form,
}

/// The snapshot of a row; `None` when the row is none. In the second form its lists of processes are empty.
pub(super) fn unflatten(row: &[i64], texts: &[String], form: Form) -> Option<Snapshot> {
    let mut numbers = Numbers { left: row, texts, form };
    let driver_version = numbers.text_reading()?;
    let cuda_version = numbers.text_reading()?;
    let count = numbers.take()?;
    // Each card takes numbers of the row, so that a wrong count ends there and reserves nothing before.
    let cards = (0..count).map(|_| numbers.card()).collect::<Option<Vec<_>>>()?;
    numbers.left.is_empty().then_some(Snapshot { driver_version, cuda_version, cards, peers: Vec::new() })
}

/// A process as numbers: pid, name, command, owner, orphan, GPU instance, bytes.
pub(super) type ProcessNumbers = [i64; 7];

/// Which of them are the bytes.
pub(super) const BYTES: usize = 6;

/// The numbers of a process.
pub(super) fn flatten_process(process: &ProcessState, texts: &mut Texts) -> ProcessNumbers {
    let mut text = |text: &Option<String>| text.as_ref().map_or(0, |text| texts.number(text));
    [
        i64::from(process.pid),
        text(&process.name),
        text(&process.command),
        text(&process.user),
        i64::from(process.orphan),
        process.gpu_instance.map_or(-1, i64::from),
        reading(&process.used, |bytes| number(bytes.0)),
    ]
}

/// The process of such numbers; `None` when they are none.
pub(super) fn unflatten_process(numbers: &ProcessNumbers, texts: &[String]) -> Option<ProcessState> {
    Numbers { left: numbers, texts, form: Form::Second }.process()
}

impl Numbers<'_> {
    fn take(&mut self) -> Option<i64> {
        let (first, rest) = self.left.split_first()?;
        self.left = rest;
        Some(*first)
    }

    fn reading(&mut self) -> Option<Reading<i64>> {
        Some(match self.take()? {
            UNSUPPORTED => Reading::Unsupported,
            DENIED => Reading::Denied,
            FAILED => Reading::Failed,
            LOST => Reading::Lost,
            NOT_READ => Reading::NotRead,
            value if value >= 0 => Reading::Known(value),
            _ => return None,
        })
    }

    fn small(&mut self) -> Option<Reading<u32>> {
        convert(self.reading()?, |value| u32::try_from(value).ok())
    }

    fn bytes(&mut self) -> Option<Reading<Bytes>> {
        convert(self.reading()?, |value| u64::try_from(value).ok().map(Bytes))
    }

    fn text(&self, number: i64) -> Option<String> {
        self.texts.get(usize::try_from(number.checked_sub(1)?).ok()?).cloned()
    }

    fn text_reading(&mut self) -> Option<Reading<String>> {
        let reading = self.reading()?;
        convert(reading, |number| self.text(number))
    }

    fn optional_text(&mut self) -> Option<Option<String>> {
        match self.take()? {
            0 => Some(None),
            number => self.text(number).map(Some),
        }
    }

    fn memory(&mut self) -> Option<Reading<MemoryState>> {
        let (total, used, free, reserved) = (self.bytes()?, self.bytes()?, self.bytes()?, self.bytes()?);
        Some(total.and_then(|total| used.and_then(|used| free.map(|free| MemoryState { total, reserved, used, free }))))
    }

    fn card(&mut self) -> Option<CardState> {
        let index = u32::try_from(self.take()?).ok()?;
        let (uuid, name, pci_bus_id) = (self.text_reading()?, self.text_reading()?, self.text_reading()?);
        let compute_capability = convert(self.reading()?, |both| {
            Some((u32::try_from(both >> 32).ok()?, u32::try_from(both & 0xFFFF_FFFF).ok()?))
        })?;
        let memory = self.memory()?;
        let link = [self.small()?, self.small()?, self.small()?, self.small()?];
        let pcie = link[0].and_then(|generation| {
            link[1].and_then(|width| {
                link[2].and_then(|max_generation| {
                    link[3].map(|max_width| PcieLink { generation, width, max_generation, max_width })
                })
            })
        });
        Some(CardState {
            index,
            uuid,
            name,
            pci_bus_id,
            compute_capability,
            memory,
            pcie,
            temperature_celsius: self.small()?,
            power_milliwatts: self.small()?,
            utilization_percent: self.small()?,
            vitals: Vitals {
                sm_clock_mhz: self.small()?,
                memory_clock_mhz: self.small()?,
                power_limit_milliwatts: self.small()?,
                uncorrected_errors: convert(self.reading()?, |count| u64::try_from(count).ok())?,
                pcie_sent_per_second: self.bytes()?,
                pcie_received_per_second: self.bytes()?,
                nvlink_sent_per_second: self.nvlink()?,
                nvlink_received_per_second: self.nvlink()?,
            },
            mig: self.mig()?,
            processes: self.processes()?,
        })
    }

    fn mig(&mut self) -> Option<Reading<MigMode>> {
        convert(self.reading()?, |count| match count {
            0 => Some(MigMode::Disabled),
            count => {
                let instance = |_| {
                    Some(MigInstance {
                        index: u32::try_from(self.take()?).ok()?,
                        uuid: self.text_reading()?,
                        name: self.text_reading()?,
                        gpu_instance: self.small()?,
                        memory: self.memory()?,
                    })
                };
                (1..count).map(instance).collect::<Option<_>>().map(MigMode::Enabled)
            }
        })
    }

    fn nvlink(&mut self) -> Option<Reading<Bytes>> {
        match self.form {
            Form::First => Some(Reading::NotRead),
            Form::Second => self.bytes(),
        }
    }

    fn processes(&mut self) -> Option<Reading<Vec<ProcessState>>> {
        convert(self.reading()?, |count| match self.form {
            Form::First => (0..count).map(|_| self.process()).collect(),
            Form::Second => (count == 0).then(Vec::new),
        })
    }

    fn process(&mut self) -> Option<ProcessState> {
        Some(ProcessState {
            pid: u32::try_from(self.take()?).ok()?,
            name: self.optional_text()?,
            command: self.optional_text()?,
            user: self.optional_text()?,
            orphan: self.take()? != 0,
            gpu_instance: match self.take()? {
                -1 => None,
                instance => Some(u32::try_from(instance).ok()?),
            },
            used: self.bytes()?,
        })
    }
}

/// A reading with its value changed; `None` when the value cannot be one.
fn convert<T, U>(reading: Reading<T>, to: impl FnOnce(T) -> Option<U>) -> Option<Reading<U>> {
    match reading {
        Reading::Known(value) => to(value).map(Reading::Known),
        absent => Some(absent.and_then(|_| Reading::Failed)),
    }
}
