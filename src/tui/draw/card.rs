//! The block of one card: title with figures, bar, what the bar says, history.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::bar::sign;
use super::graph::{graph, samples_per_column, with_level};
use super::outline::outline;
use super::text::{fit, reading, right, rule, span, width};
use super::{Segment, bar, below, first_row};
use crate::hardware::Reading;
use crate::monitor::{
    CardAnalysis, CardUsage, ExpectedCard, MemoryUse, OWN_NAME, Point, Presence, WatchedCard, short_duration,
};
use crate::tui::{Meaning, Theme};
use crate::units::Bytes;

/// What the block depends on besides the card.
pub struct Look<'a> {
    /// Whether keys act on this card.
    pub focused: bool,
    /// The time that ages refer to.
    pub now: Duration,
    /// Colours and signs.
    pub theme: &'a Theme,
    /// What a plan predicts for the card.
    pub expected: Option<&'a ExpectedCard>,
    /// What the last window says of the card.
    pub analysis: Option<&'a CardAnalysis>,
    /// How far the graphs go back.
    pub zoom: u8,
    /// What own memory is called.
    pub own: &'a str,
}

impl<'a> Look<'a> {
    /// A card that keys do not act on, without a plan.
    pub const fn plain(theme: &'a Theme) -> Self {
        Self { focused: false, now: Duration::ZERO, theme, expected: None, analysis: None, zoom: 0, own: OWN_NAME }
    }
}

/// Degrees Celsius from which a card is close to slowing itself down: data-centre cards do so at 85 to 95, consumer cards at 83 to 90.
const HOT: u32 = 85;

/// Paints the block into `area`: title and bar in two rows, the outline of the plan in a third, the figures of the bar in the next, the
/// history in the rest.
pub fn draw(card: &WatchedCard, look: &Look<'_>, area: Rect, frame: &mut Frame<'_>) {
    let theme = look.theme;
    frame.render_widget(title(card, look, area.width), first_row(area));
    let inner = Rect { x: area.x + 2.min(area.width), width: area.width.saturating_sub(3), ..area };
    let mut rest = below(inner, 1);
    let mut next_row = || {
        let row = first_row(rest);
        rest = below(rest, 1);
        row
    };
    if let Some(sentence) = absence(card, look.now) {
        let line = Line::raw(fit(&sentence, inner.width, theme)).style(theme.style(Meaning::Warning));
        frame.render_widget(line, next_row());
        next_row();
        history(card, look, rest, frame);
        return;
    }
    match card.usage.memory {
        Reading::Known(memory) => {
            frame.render_widget(bar(&segments(&memory, look.expected), inner.width, theme), next_row());
            if let Some(expected) = look.expected {
                frame.render_widget(outline(expected, whole(&memory), inner.width, theme), next_row());
            }
            frame.render_widget(legend(&memory, look, inner.width), next_row());
        }
        _ => {
            let reason = card.usage.memory.reason().unwrap_or_default();
            let line = Line::raw(fit(&format!("memory cannot be read: {reason}"), inner.width, theme));
            frame.render_widget(line.style(theme.style(Meaning::Label)), next_row());
            next_row();
        }
    }
    history(card, look, rest, frame);
}

/// Why there is nothing to show; `None` for a card that answers.
fn absence(card: &WatchedCard, now: Duration) -> Option<String> {
    let age = now.saturating_sub(card.seen).as_secs();
    let held = match card.usage.memory {
        Reading::Known(memory) => format!(", last seen {age} s ago holding {:.2} GiB", memory.used.as_gib()),
        _ => String::new(),
    };
    match card.presence {
        Presence::Present => None,
        Presence::Lost => Some(format!("lost: off the bus until a reset{held}")),
        Presence::Gone => Some(format!("gone: not listed by the driver any more{held}")),
    }
}

/// Name at the left, used of capacity, utilisation, temperature and power at the right; the last of them go first when space is short.
fn title(card: &WatchedCard, look: &Look<'_>, columns: u16) -> Line<'static> {
    let theme = look.theme;
    let usage = &card.usage;
    let mut figures = if card.is_present() { figures(usage, theme) } else { Vec::new() };
    let id = usage.id.to_string();
    let mark = card.usage.memory.known().filter(|_| card.is_present()).and_then(|memory| warning(&memory, look));
    // Name, mark, and a few columns of rule must remain.
    let least = 2 + width(&id) + 14 + mark.as_ref().map_or(0, |mark| width(mark) + 2) + 4;
    let taken = |figures: &[Span<'_>]| figures.iter().map(|f| u16::try_from(f.width()).unwrap_or(0)).sum::<u16>();
    while taken(&figures).saturating_add(least) > columns && figures.pop().is_some() {}

    let style = theme.style(if look.focused { Meaning::Focus } else { Meaning::Title });
    let cursor = if look.focused { theme.symbols.cursor } else { " " };
    let name_room = columns.saturating_sub(taken(&figures) + least) + 14;
    let name = short_name(usage.name.as_ref().known().map_or("unknown card", String::as_str));
    let mut left = vec![span(format!("{cursor}{id} "), style), span(fit(name, name_room, theme), style)];
    if let Some(mark) = mark {
        left.push(span(format!("  {mark}"), theme.style(Meaning::Warning)));
    }
    rule(left, figures, columns, theme)
}

/// Without the maker's name, which all cards share, and of an instance its profile alone.
fn short_name(name: &str) -> &str {
    let name = name.strip_prefix("NVIDIA ").unwrap_or(name);
    name.find("MIG ").map_or(name, |start| &name[start..])
}

/// What is wrong with a card's memory, worst first: nearly none left, or none in an hour at the present growth.
fn warning(memory: &MemoryUse, look: &Look<'_>) -> Option<String> {
    const SOON: Duration = Duration::from_secs(3600);
    fullness(memory).map(str::to_owned).or_else(|| {
        let full_in = look.analysis?.full_in.filter(|time| *time < SOON)?;
        Some(format!("full in {}", short_duration(full_in)))
    })
}

/// A warning for memory that runs out: less than 1 % or 5 % of the capacity free.
fn fullness(memory: &MemoryUse) -> Option<&'static str> {
    let hundredths = |percent: u64| u128::from(memory.capacity.0) * u128::from(percent);
    let free = u128::from(memory.free.0) * 100;
    match free {
        _ if memory.capacity == Bytes::ZERO => None,
        _ if free < hundredths(1) => Some("full"),
        _ if free < hundredths(5) => Some("nearly full"),
        _ => None,
    }
}

fn figures(usage: &CardUsage, theme: &Theme) -> Vec<Span<'static>> {
    let plain = theme.style(Meaning::Plain);
    let label = theme.style(Meaning::Label);
    let memory = match usage.memory {
        Reading::Known(m) => format!("{:>6.2} / {:>6.2} GiB", m.used.as_gib(), m.capacity.as_gib()),
        _ => right(&reading(usage.memory, |_| String::new()), 19, theme),
    };
    let mut figures = vec![span(memory, plain)];
    if usage.id.instance.is_some() {
        // NVML gives the rest for whole cards alone; "n/a" three times in each instance would be noise.
        figures.push(span(" ".repeat(25), label));
        return figures;
    }
    let hot = usage.temperature_celsius.known().is_some_and(|celsius| celsius >= HOT);
    let temperature =
        reading(usage.temperature_celsius, |celsius| format!("{celsius} {}", theme.symbols.celsius.trim()));
    figures.push(span(right(&reading(usage.utilization_percent, |percent| format!("{percent} %")), 8, theme), plain));
    figures.push(span(right(&temperature, 8, theme), if hot { theme.style(Meaning::Warning) } else { plain }));
    let power = reading(usage.power_milliwatts, |milliwatts| format!("{:.0} W", f64::from(milliwatts) / 1000.0));
    figures.push(span(right(&power, 8, theme), plain));
    figures.push(span(" ", label));
    figures
}

/// What the bar stands for as a whole: the parts that [`segments`] divides.
fn whole(memory: &MemoryUse) -> Bytes {
    memory.used + memory.free + memory.reserved.known().unwrap_or_default()
}

/// The parts of the bar. With a plan, what is used beyond it and what it still expects are parts of their own.
pub fn segments(memory: &MemoryUse, expected: Option<&ExpectedCard>) -> Vec<Segment> {
    let segment = |meaning, bytes| Segment { meaning, bytes };
    let within = expected.map_or(memory.used, |expected| memory.used.min(expected.total));
    let mut segments = match (memory.own, memory.others) {
        (Reading::Known(own), Reading::Known(_)) => {
            let own = own.min(within);
            vec![segment(Meaning::Own, own), segment(Meaning::Others, within.saturating_sub(own))]
        }
        _ => vec![segment(Meaning::Others, within)],
    };
    segments.push(segment(Meaning::Over, memory.used.saturating_sub(within)));
    let ghost = expected.map_or(Bytes::ZERO, |expected| expected.total.saturating_sub(memory.used).min(memory.free));
    segments.push(segment(Meaning::Ghost, ghost));
    segments.push(segment(Meaning::Free, memory.free.saturating_sub(ghost)));
    segments.push(segment(Meaning::Reserved, memory.reserved.known().unwrap_or_default()));
    segments
}

/// The bar in figures, each after the sign it has in the bar.
fn legend(memory: &MemoryUse, look: &Look<'_>, columns: u16) -> Line<'static> {
    const GAP: u16 = 2;
    let theme = look.theme;
    let mut parts: Vec<(Meaning, String, String)> = Vec::new();
    match (memory.own, memory.others) {
        (Reading::Known(own), Reading::Known(others)) => {
            parts.push((Meaning::Own, look.own.to_owned(), gib(own)));
            parts.push((Meaning::Others, "others".to_owned(), gib(others)));
        }
        _ => {
            let reason = memory.own.reason().unwrap_or_default();
            parts.push((Meaning::Others, "used".to_owned(), format!("{} (by whom: {reason})", gib(memory.used))));
        }
    }
    if let Some(unseen) = memory.unseen()
        && let Some((_, _, figure)) = parts.last_mut()
    {
        *figure += &format!(" ({} unseen)", gib(unseen));
    }
    if let Reading::Known(reserved) = memory.reserved {
        parts.push((Meaning::Reserved, "reserved".to_owned(), gib(reserved)));
    }
    parts.push((Meaning::Free, "free".to_owned(), format!("{} GiB", gib(memory.free))));
    if let Some(expected) = look.expected {
        let drift = expected.drift(memory.used);
        let sign = if drift.is_negative() { "-" } else { "+" };
        let figure = format!("{} ({sign}{})", gib(expected.total), gib(drift.magnitude()));
        let meaning = if drift.is_negative() { Meaning::Ghost } else { Meaning::Over };
        parts.push((meaning, "plan".to_owned(), figure));
    }

    // Where space is short the driver's share goes first: it never changes.
    let needed = |parts: &[(Meaning, String, String)]| {
        parts.iter().map(|(_, label, figure)| GAP + 3 + width(label) + width(figure)).sum::<u16>()
    };
    if needed(&parts) > columns + GAP {
        parts.retain(|(meaning, ..)| *meaning != Meaning::Reserved);
    }
    let mut spans = Vec::new();
    for (meaning, label, figure) in parts {
        spans.push(span(sign(meaning, theme), theme.style(meaning)));
        spans.push(span(format!(" {label} "), theme.style(Meaning::Label)));
        spans.push(span(figure, theme.style(Meaning::Plain)));
        spans.push(Span::raw(" ".repeat(usize::from(GAP))));
    }
    Line::from(spans)
}

fn gib(bytes: Bytes) -> String {
    format!("{:.2}", bytes.as_gib())
}

/// Two graphs side by side: memory in use as a share of the capacity, and utilisation.
fn history(card: &WatchedCard, look: &Look<'_>, area: Rect, frame: &mut Frame<'_>) {
    const MIN_ROWS: u16 = 2;
    const MIN_COLUMNS: u16 = 40;
    if area.height < MIN_ROWS || area.width < MIN_COLUMNS {
        return;
    }
    let curves = Curves { card, look };
    if card.usage.id.instance.is_some() {
        curves.memory(area, frame);
        return;
    }
    let half = area.width / 2;
    curves.memory(Rect { width: half.saturating_sub(1), ..area }, frame);
    curves.activity(Rect { x: area.x + half + 1, width: area.width - half - 1, ..area }, frame);
}

/// The graphs of one card.
pub struct Curves<'a> {
    /// The card.
    pub card: &'a WatchedCard,
    /// How it looks.
    pub look: &'a Look<'a>,
}

impl Curves<'_> {
    /// Memory in use as a share of the capacity, with the plan's total as a line across.
    pub fn memory(&self, area: Rect, frame: &mut Frame<'_>) {
        let capacity = self.card.usage.memory.known().map_or(0, |memory| memory.capacity.0);
        let share = |bytes: Bytes| (capacity > 0).then(|| bytes.0 as f64 / capacity as f64);
        let level = self.look.expected.and_then(|expected| share(expected.total));
        let used = |point: &Point| point.used.and_then(share);
        self.curve("memory", Meaning::Occupancy, &used, level, area, frame);
    }

    /// Utilisation.
    pub fn activity(&self, area: Rect, frame: &mut Frame<'_>) {
        let busy = |point: &Point| point.utilization.map(|percent| f64::from(percent) / 100.0);
        self.curve("util", Meaning::Activity, &busy, None, area, frame);
    }

    /// A graph with its name and the time it spans in front of it.
    fn curve(
        &self,
        name: &str,
        meaning: Meaning,
        value: &dyn Fn(&Point) -> Option<f64>,
        level: Option<f64>,
        area: Rect,
        frame: &mut Frame<'_>,
    ) {
        const GUTTER: u16 = 8;
        let (theme, zoom) = (self.look.theme, self.look.zoom);
        let columns = area.width.saturating_sub(GUTTER);
        let count = usize::from(columns * samples_per_column(theme.symbols.braille));
        let values: Vec<Option<f64>> = self.card.trace.zoomed(zoom, count).map(value).collect();
        let label = theme.style(Meaning::Label);
        frame.render_widget(Line::raw(name.to_owned()).style(label), first_row(area));
        let time = short_duration(self.card.trace.zoomed_span(zoom, count));
        frame.render_widget(Line::raw(time).style(label), below(area, area.height.saturating_sub(1)));
        let mut rows = graph(&values, columns, area.height, theme.symbols.braille);
        if let Some(level) = level {
            with_level(&mut rows, level, theme.symbols.level);
        }
        for (row, text) in (0..).zip(rows) {
            let place = Rect { x: area.x + GUTTER, y: area.y + row, width: columns, height: 1 };
            frame.render_widget(Line::raw(text).style(theme.style(meaning)), place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shortened_to_what_differs() {
        assert_eq!(short_name("NVIDIA A10"), "A10");
        assert_eq!(short_name("Tesla T4"), "Tesla T4");
        assert_eq!(short_name("NVIDIA A100-SXM4-80GB MIG 1g.10gb"), "MIG 1g.10gb");
    }

    #[test]
    fn a_card_with_little_left_is_marked() {
        let memory = |free: u64| MemoryUse {
            total: Bytes(1000),
            capacity: Bytes(1000),
            reserved: Reading::Known(Bytes::ZERO),
            used: Bytes(1000 - free),
            free: Bytes(free),
            own: Reading::Denied,
            others: Reading::Denied,
            unlisted: Reading::Denied,
        };
        let marks = [60, 50, 49, 10, 9, 0].map(|free| fullness(&memory(free)));
        assert_eq!(marks, [None, None, Some("nearly full"), Some("nearly full"), Some("full"), Some("full")]);
    }
}
