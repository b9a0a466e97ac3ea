//! A snapshot as a row of numbers, and back. Two snapshots of the same machine have rows of equal length in which little differs.

use std::collections::HashMap;

use crate::hardware::{
    CardState, MemoryState, MigInstance, MigMode, PcieLink, ProcessState, Reading, Snapshot, Vitals,
};
use crate::units::Bytes;

/// Texts by number, each stored once. Number 0 stands for no text.
#[derive(Debug, Clone, Default)]
pub(super) struct Texts {
    numbers: HashMap<String, i64>,
    /// Texts that are not in the file yet.
    pub fresh: Vec<String>,
}

impl Texts {
    pub fn number(&mut self, text: &str) -> i64 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.numbers.len() as i64 + 1;
        self.numbers.insert(text.to_owned(), number);
        self.fresh.push(text.to_owned());
        number
    }
}

/// Reasons why a value is absent, below every value.
const UNSUPPORTED: i64 = -1;
const DENIED: i64 = -2;
const FAILED: i64 = -3;
const LOST: i64 = -4;
const NOT_READ: i64 = -5;

fn reading<T>(value: &Reading<T>, number: impl FnOnce(&T) -> i64) -> i64 {
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
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The numbers of a snapshot; peer links, which do not change, are left out.
pub(super) fn flatten(snapshot: &Snapshot, texts: &mut Texts) -> Vec<i64> {
    let mut out = Vec::with_capacity(32 + snapshot.cards.len() * 64);
    out.push(reading(&snapshot.driver_version, |text| texts.number(text)));
    out.push(reading(&snapshot.cuda_version, |text| texts.number(text)));
    out.push(snapshot.cards.len() as i64);
    for card in &snapshot.cards {
        put_card(card, texts, &mut out);
    }
    out
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
    out.push(reading(&vitals.pcie_sent_per_second, |bytes| number(bytes.0)));
    out.push(reading(&vitals.pcie_received_per_second, |bytes| number(bytes.0)));
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
    out.push(reading(&card.processes, |processes| processes.len() as i64));
    for process in card.processes.as_ref().known().into_iter().flatten() {
        let mut text = |text: &Option<String>| text.as_ref().map_or(0, |text| texts.number(text));
        out.extend([i64::from(process.pid), text(&process.name), text(&process.command), text(&process.user)]);
        out.push(i64::from(process.orphan));
        out.push(process.gpu_instance.map_or(-1, i64::from));
        out.push(reading(&process.used, |bytes| number(bytes.0)));
    }
}

fn put_memory(memory: &Reading<MemoryState>, out: &mut Vec<i64>) {
    let part = |field: fn(&MemoryState) -> u64| reading(memory, |memory| number(field(memory)));
    out.extend([part(|m| m.total.0), part(|m| m.used.0), part(|m| m.free.0)]);
    out.push(match memory {
        Reading::Known(memory) => reading(&memory.reserved, |bytes| number(bytes.0)),
        _ => NOT_READ,
    });
}

/// Numbers that are still to be read as a snapshot, and the texts they refer to.
pub(super) struct Numbers<'a> {
    pub left: &'a [i64],
    pub texts: &'a [String],
}

/// The snapshot of a row; `None` when the row is none.
pub(super) fn unflatten(row: &[i64], texts: &[String]) -> Option<Snapshot> {
    let mut numbers = Numbers { left: row, texts };
    let driver_version = numbers.text_reading()?;
    let cuda_version = numbers.text_reading()?;
    let count = numbers.take()?;
    // Each card takes numbers of the row, so that a wrong count ends there and reserves nothing before.
    let cards = (0..count).map(|_| numbers.card()).collect::<Option<Vec<_>>>()?;
    numbers.left.is_empty().then_some(Snapshot { driver_version, cuda_version, cards, peers: Vec::new() })
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

    fn processes(&mut self) -> Option<Reading<Vec<ProcessState>>> {
        convert(self.reading()?, |count| {
            let process = |_| {
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
            };
            (0..count).map(process).collect::<Option<_>>()
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
