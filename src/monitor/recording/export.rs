//! A recording as CSV or JSON Lines, a line for each card of each sample.

use std::io::{self, Write};

use serde_json::json;

use super::{Event, Replay};
use crate::hardware::Reading;
use crate::monitor::{CardUsage, usages};
use crate::units::Bytes;

/// Names of the columns, and of the fields of a JSON line. Empty (CSV) or `null` (JSON) where the driver did not tell.
const COLUMNS: &str = "unix_ms,seconds,card,uuid,total_bytes,reserved_bytes,used_bytes,own_bytes,other_processes_bytes,free_bytes,\
utilization_percent,temperature_celsius,power_milliwatts,sm_clock_mhz,memory_clock_mhz,pcie_sent_bytes_per_second,\
pcie_received_bytes_per_second,nvlink_sent_bytes_per_second,nvlink_received_bytes_per_second,processes";

/// Writes all samples as CSV with a line of column names. Failures to sample are moments without lines.
///
/// # Errors
/// When `out` cannot be written.
pub fn csv(replay: &Replay, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{COLUMNS}")?;
    for_each(replay, |event, started| {
        let Event::Sample(sample) = event else { return Ok(()) };
        let (unix, seconds) = times(&sample.at, started);
        for usage in sample.outcome.iter().flat_map(usages) {
            let figures = figures(&usage).map(|figure| figure.map(|f| f.to_string()).unwrap_or_default()).join(",");
            let uuid = usage.uuid.known().unwrap_or_default();
            writeln!(out, "{unix},{seconds:.3},{},{},{figures}", usage.id, quoted(&uuid))?;
        }
        Ok(())
    })
}

/// Writes samples and marks as JSON Lines: one object a card of a sample, one a mark, one a failure.
///
/// # Errors
/// When `out` cannot be written.
pub fn json_lines(replay: &Replay, out: &mut dyn Write) -> io::Result<()> {
    for_each(replay, |event, started| {
        match event {
            Event::Sample(sample) => {
                let (unix, seconds) = times(&sample.at, started);
                match &sample.outcome {
                    Err(message) => {
                        writeln!(out, "{}", json!({"unix_ms": unix, "seconds": seconds, "failure": message}))?
                    }
                    Ok(snapshot) => {
                        for usage in usages(snapshot) {
                            let uuid = usage.uuid.as_ref().known();
                            let mut line = json!({"unix_ms": unix, "seconds": seconds, "card": usage.id.to_string(), "uuid": uuid});
                            for (name, figure) in COLUMNS.split(',').skip(4).zip(figures(&usage)) {
                                line[name] = json!(figure);
                            }
                            writeln!(out, "{line}")?;
                        }
                    }
                }
            }
            Event::Mark(mark) => {
                let (unix, seconds) = times(&mark.at, started);
                let line = json!({"unix_ms": unix, "seconds": seconds, "mark": mark.kind.label(), "text": mark.text});
                writeln!(out, "{line}")?;
            }
            Event::Header(_) | Event::Other => {}
        }
        Ok(())
    })
}

fn for_each(replay: &Replay, mut then: impl FnMut(Event, u64) -> io::Result<()>) -> io::Result<()> {
    let started = replay.header().started_unix_ms;
    let mut cursor = replay.cursor(replay.begin());
    while let Some(event) = replay.next(&mut cursor) {
        then(event, started)?;
    }
    Ok(())
}

fn times(at: &std::time::Duration, started: u64) -> (u64, f64) {
    let millis = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
    (started.saturating_add(millis), at.as_secs_f64())
}

/// The figures of a card in the order of [`COLUMNS`].
fn figures(usage: &CardUsage) -> [Option<u64>; 16] {
    let memory = usage.memory.known();
    let small = |reading: Reading<u32>| reading.known().map(u64::from);
    let rate = |reading: Reading<Bytes>| reading.known().map(|bytes| bytes.0);
    [
        memory.map(|m| m.total.0),
        memory.and_then(|m| m.reserved.known()).map(|b| b.0),
        memory.map(|m| m.used.0),
        memory.and_then(|m| m.own.known()).map(|b| b.0),
        memory.and_then(|m| m.others.known()).map(|b| b.0),
        memory.map(|m| m.free.0),
        small(usage.utilization_percent),
        small(usage.temperature_celsius),
        small(usage.power_milliwatts),
        small(usage.vitals.sm_clock_mhz),
        small(usage.vitals.memory_clock_mhz),
        rate(usage.vitals.pcie_sent_per_second),
        rate(usage.vitals.pcie_received_per_second),
        rate(usage.vitals.nvlink_sent_per_second),
        rate(usage.vitals.nvlink_received_per_second),
        usage.processes.as_ref().known().map(|processes| processes.len() as u64),
    ]
}

/// A field as RFC 4180 wants it: in quotes when it holds a comma, a quote or a line break.
pub fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::{Encoder, Header, Mark, MarkKind};
    use super::*;
    use crate::hardware::{CardState, Snapshot};
    use crate::monitor::Sample;
    use std::time::Duration;

    fn replay() -> Replay {
        let header = Header { started_unix_ms: 1_000_000, ..Header::default() };
        let (mut encoder, mut bytes) = Encoder::new(&header);
        let mut card = CardState::unreadable(0, Reading::Denied);
        card.uuid = Reading::Known("GPU-1,2".to_owned());
        card.power_milliwatts = Reading::Known(118_400);
        let snapshot = Snapshot {
            driver_version: Reading::Denied,
            cuda_version: Reading::Denied,
            cards: vec![card],
            peers: Vec::new(),
        };
        bytes.extend(encoder.sample(&Sample { at: Duration::from_millis(1500), outcome: Ok(snapshot) }));
        let at = Duration::from_secs(2);
        bytes.extend(Encoder::mark(&Mark { at, kind: MarkKind::OutOfMemory, text: "rank 0".to_owned() }));
        bytes.extend(encoder.sample(&Sample { at: Duration::from_secs(3), outcome: Err("gone".to_owned()) }));
        Replay::of_bytes(bytes).unwrap()
    }

    #[test]
    fn a_line_for_each_card_of_each_sample() {
        let mut out = Vec::new();
        csv(&replay(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1], r#"1001500,1.500,0,"GPU-1,2",,,,,,,,,118400,,,,,,,"#);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].split(',').count(), 20);
    }

    #[test]
    fn json_lines_hold_marks_and_failures_too() {
        let mut out = Vec::new();
        json_lines(&replay(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["power_milliwatts"], 118_400);
        assert!(lines[0]["used_bytes"].is_null());
        assert_eq!((&lines[1]["mark"], &lines[1]["unix_ms"]), (&"out of memory".into(), &1_002_000.into()));
        assert_eq!(lines[2]["failure"], "gone");
    }
}
