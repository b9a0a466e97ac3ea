//! One card with all its figures.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::card::{Curves, Look, segments};
use super::outline::outline;
use super::text::{fit, left, reading, span};
use super::{bar, below, card, first_row};
use crate::hardware::Reading;
use crate::monitor::{WatchedCard, short_duration};
use crate::tui::{Meaning, Theme};
use crate::units::Bytes;

/// Rows of figures below the block's head.
const FIGURES: u16 = 5;

/// Paints head, figures and large graphs.
pub fn draw(watched: &WatchedCard, look: &Look<'_>, area: Rect, frame: &mut Frame<'_>) {
    let head = Rect { height: area.height.min(if look.expected.is_some() { 4 } else { 3 }), ..area };
    card(watched, look, head, frame);
    let inner = Rect { x: area.x + 2.min(area.width), width: area.width.saturating_sub(3), ..below(area, head.height) };
    let rows = figures(watched, look);
    for (place, row) in (0..FIGURES).zip(&rows) {
        let line = three_columns(row, inner.width, look.theme);
        frame.render_widget(line, first_row(below(inner, place)));
    }
    let graphs = below(inner, FIGURES + 1);
    if graphs.height < 4 {
        return;
    }
    let curves = Curves { card: watched, look };
    let half = graphs.height.div_ceil(2);
    curves.memory(Rect { height: half.saturating_sub(1).max(2), ..graphs }, frame);
    curves.activity(below(graphs, half), frame);
}

type Row = [(&'static str, String); 3];

fn figures(watched: &WatchedCard, look: &Look<'_>) -> [Row; FIGURES as usize] {
    let usage = &watched.usage;
    let vitals = &usage.vitals;
    let mhz = |value: Reading<u32>| reading(value, |mhz| format!("{mhz} MHz"));
    let watts = |value: Reading<u32>, unit: &str| {
        reading(value, |milliwatts| format!("{:.0}{unit}", f64::from(milliwatts) / 1000.0))
    };
    let (power, limit) = (usage.power_milliwatts, vitals.power_limit_milliwatts);
    let power = match limit {
        Reading::Known(_) => format!("{} of {}", watts(power, ""), watts(limit, " W")),
        _ => watts(power, " W"),
    };
    let analysis = look.analysis;
    let dash = || "-".to_owned();
    let growth = analysis.and_then(|analysis| analysis.growth_per_minute).map_or_else(dash, |growth| {
        let sign = if growth < 0.0 { "-" } else { "+" };
        format!("{sign}{}/min", Bytes(growth.abs() as u64))
    });
    let full_in = analysis.and_then(|analysis| analysis.full_in).map_or_else(|| "no growth".to_owned(), short_duration);
    let drift = analysis.and_then(|analysis| analysis.drift).map_or_else(dash, |drift| drift.to_string());
    let mean = analysis.and_then(|analysis| analysis.mean_used).map_or_else(dash, |used| used.to_string());
    let busy = analysis.and_then(|a| a.mean_utilization).map_or_else(dash, |percent| format!("{percent:.0} %"));
    let high = look.expected.map_or_else(dash, |expected| {
        let headroom = expected.capacity.delta(expected.high);
        headroom.to_string()
    });
    [
        [
            ("uuid", usage.uuid.clone().known().unwrap_or_else(dash)),
            ("SM clock", mhz(vitals.sm_clock_mhz)),
            ("mem clock", mhz(vitals.memory_clock_mhz)),
        ],
        [("growth", growth), ("full in", full_in), ("mean used", mean)],
        [("drift", drift), ("plan spare", high), ("mean util", busy)],
        [
            ("power", power),
            ("ECC errors", reading(vitals.uncorrected_errors, |count| count.to_string())),
            ("PCIe out/in", both(vitals.pcie_sent_per_second, vitals.pcie_received_per_second)),
        ],
        [
            ("NVLink out", reading(vitals.nvlink_sent_per_second, gigabytes)),
            ("NVLink in", reading(vitals.nvlink_received_per_second, gigabytes)),
            ("processes", reading(usage.processes.as_ref(), |processes| processes.len().to_string())),
        ],
    ]
}

fn gigabytes(rate: Bytes) -> String {
    format!("{:.1} GB/s", rate.0 as f64 / 1e9)
}

/// Two rates; one word when neither is known.
fn both(sent: Reading<Bytes>, received: Reading<Bytes>) -> String {
    match (sent, received) {
        (Reading::Known(sent), Reading::Known(received)) => {
            format!("{:.1}/{:.1} GB/s", sent.0 as f64 / 1e9, received.0 as f64 / 1e9)
        }
        (Reading::Known(_), absent) | (absent, _) => reading(absent, gigabytes),
    }
}

/// Names and values in three columns.
fn three_columns(row: &Row, columns: u16, theme: &Theme) -> Line<'static> {
    const NAME: u16 = 15;
    const NARROW: u16 = 12;
    let widths = [columns * 5 / 14, columns * 4 / 14, columns * 5 / 14];
    let mut spans = Vec::new();
    for ((name, value), column) in row.iter().zip(widths) {
        let name_columns = if column < 2 * NAME { NARROW.min(column / 2) } else { NAME };
        spans.push(span(left(name, name_columns.saturating_sub(1), theme) + " ", theme.style(Meaning::Label)));
        let value = fit(value, column.saturating_sub(name_columns + 1), theme);
        spans.push(span(left(&value, column.saturating_sub(name_columns), theme), theme.style(Meaning::Plain)));
    }
    Line::from(spans)
}

/// The bar of a card and the outline of its plan, for tables.
pub fn bars(watched: &WatchedCard, look: &Look<'_>, area: Rect, frame: &mut Frame<'_>) {
    let Reading::Known(memory) = watched.usage.memory else { return };
    frame.render_widget(bar(&segments(&memory, look.expected), area.width, look.theme), first_row(area));
    if let Some(expected) = look.expected {
        let whole = memory.used + memory.free + memory.reserved.known().unwrap_or_default();
        frame.render_widget(outline(expected, whole, area.width, look.theme), first_row(below(area, 1)));
    }
}
