//! The plan beside reality: each component of each card, what is used, the drift, the headroom.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::card::Look;
use super::text::{fit, left, right, rule, span};
use super::{below, first_row, one_card};
use crate::monitor::{Expectation, Part, WatchedCard};
use crate::tui::layout::window;
use crate::tui::{Meaning, State, Theme};

const NAME: u16 = 27;
const FIGURE: u16 = 11;

/// Paints the table: three rows a card.
pub fn draw(state: &State, theme: &Theme, area: Rect, frame: &mut Frame<'_>) {
    let Some(plan) = state.expectation.as_deref() else {
        let lines = [
            "no plan is laid over these cards",
            "",
            "shardfit plan MODEL --format json > plan.json    writes one",
            "shardfit top --plan plan.json                    lays it over the cards",
            "shardfit top --plan Qwen/Qwen2.5-72B-Instruct-AWQ   plans it for the cards that are there",
        ];
        for (row, line) in (0..).zip(lines) {
            let text = Line::raw(fit(&format!("  {line}"), area.width, theme)).style(theme.style(Meaning::Label));
            frame.render_widget(text, first_row(below(area, 1 + row)));
        }
        return;
    };
    let title =
        vec![span(format!(" {}", fit(&plan.title, area.width.saturating_sub(4), theme)), theme.style(Meaning::Title))];
    frame.render_widget(rule(title, vec![], area.width, theme), first_row(area));
    let verdict = Line::raw(fit(&format!("  {}", plan.verdict), area.width, theme));
    frame.render_widget(verdict.style(theme.style(Meaning::Label)), first_row(below(area, 1)));
    frame.render_widget(heads(area.width, theme), first_row(below(area, 2)));

    const ROWS: u16 = 3;
    let body = below(area, 3);
    let cards = &state.shown().cards;
    let visible = window(state.card, cards.len(), usize::from(body.height / ROWS));
    for (y, place) in (0..).zip(visible) {
        let area = Rect { height: ROWS, ..below(body, y * ROWS) };
        row(state, plan, &cards[place], place == state.card, theme, area, frame);
    }
}

fn heads(columns: u16, theme: &Theme) -> Line<'static> {
    let mut text = left("  CARD", NAME, theme);
    for head in parts(columns).iter().map(|part| part.label()).chain(["PLAN", "USED", "DRIFT", "FREE"]) {
        text += &right(&head.to_uppercase(), FIGURE, theme);
    }
    Line::raw(fit(&text, columns, theme)).style(theme.style(Meaning::Label))
}

/// Components with a column of their own; on a narrow screen the outline below the row has to do.
fn parts(columns: u16) -> &'static [Part] {
    let fitting = usize::from(columns.saturating_sub(NAME + 4 * FIGURE) / FIGURE);
    &Part::ALL[..fitting.min(Part::ALL.len())]
}

fn row(
    state: &State,
    plan: &Expectation,
    card: &WatchedCard,
    selected: bool,
    theme: &Theme,
    area: Rect,
    frame: &mut Frame<'_>,
) {
    let expected = plan.card(&card.usage);
    let memory = card.usage.memory.known().filter(|_| card.is_present());
    let analysis = state.shown_analysis().card(card.usage.id);
    let gib = |bytes: crate::units::Bytes| format!("{:.2}", bytes.as_gib());
    let cursor = if selected { theme.symbols.cursor } else { " " };
    let name = card.usage.name.as_ref().known().map_or("unknown card", String::as_str);
    let ranks = expected.map_or_else(String::new, |e| {
        let ranks: Vec<_> = e.ranks.iter().map(ToString::to_string).collect();
        format!(" rank {}", ranks.join(","))
    });
    let name = format!("{cursor}{} {}{ranks}", card.usage.id, name.trim_start_matches("NVIDIA "));
    let style = theme.style(if selected { Meaning::Focus } else { Meaning::Plain });
    let mut spans = vec![span(left(&name, NAME, theme), style)];
    for part in parts(area.width) {
        let bytes = expected.and_then(|e| e.parts.iter().find(|p| p.part == *part)).map(|p| gib(p.bytes));
        spans.push(span(
            right(&bytes.unwrap_or_else(|| "-".to_owned()), FIGURE, theme),
            theme.style(Meaning::Part(*part)),
        ));
    }
    let plain = theme.style(Meaning::Plain);
    let dash = || "-".to_owned();
    spans.push(span(right(&expected.map_or_else(dash, |e| gib(e.total)), FIGURE, theme), plain));
    spans.push(span(right(&memory.map_or_else(dash, |m| gib(m.used)), FIGURE, theme), plain));
    let drift = analysis.and_then(|analysis| analysis.drift);
    let over = drift.is_some_and(|drift| !drift.is_negative());
    let text = drift.map_or_else(dash, |drift| {
        let sign = if drift.is_negative() { "-" } else { "+" };
        format!("{sign}{}", gib(drift.magnitude()))
    });
    spans.push(span(right(&text, FIGURE, theme), if over { theme.style(Meaning::Over) } else { plain }));
    spans.push(span(right(&memory.map_or_else(dash, |m| gib(m.free)), FIGURE, theme), plain));
    frame.render_widget(Line::from(spans), first_row(area));
    let look = Look { expected, ..Look::plain(theme) };
    let inner = Rect { x: area.x + 2.min(area.width), width: area.width.saturating_sub(3), ..below(area, 1) };
    one_card::bars(card, &look, inner, frame);
}
