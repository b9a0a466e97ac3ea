//! The rows around the body: what runs, the steps behind it, the keys.

use std::time::Duration;

use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{Onlooker, Question, cards};
use crate::tui::draw::{fit, key_spans, left, span, width};
use crate::tui::{Meaning, Theme};

/// A step that the work reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Step {
    /// What it is called.
    pub name: String,
    /// Since when it is there, from the start; `None` where that is not known.
    pub at: Option<Duration>,
}

/// `42 s`, `3:05`, `1:02:03`.
pub fn clock(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{}:{:02}", seconds / 60, seconds % 60),
        seconds => format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
    }
}

/// Who shows this, what runs, what it is doing and for how long.
pub fn header(name: &str, title: &str, phase: &str, elapsed: Duration, columns: u16, theme: &Theme) -> Line<'static> {
    let name = span(format!(" {name}"), theme.style(Meaning::Focus));
    let at_right = format!("{phase}  {} ", clock(elapsed));
    let at_right = span(fit(&at_right, columns / 2, theme), theme.style(Meaning::Title));
    let taken = u16::try_from(name.width() + at_right.width() + 4).unwrap_or(u16::MAX);
    let title = left(title, columns.saturating_sub(taken), theme);
    Line::from(vec![name, Span::raw("   "), span(title, theme.style(Meaning::Plain)), Span::raw(" "), at_right])
}

/// The steps in a row, the last of them where the work is; the first ones go where space is short.
pub fn steps(all: &[Step], is_over: bool, columns: u16, theme: &Theme) -> Line<'static> {
    let arrow = format!(" {} ", theme.symbols.cursor);
    let text = |step: &Step| match step.at {
        Some(at) => format!("{} {}", step.name, clock(at)),
        None => step.name.clone(),
    };
    let mut shown: Vec<String> = Vec::new();
    let mut taken = 2;
    for step in all.iter().rev() {
        let text = fit(&text(step), columns.saturating_sub(4), theme);
        taken += width(&text) + 3;
        if taken > columns {
            break;
        }
        shown.push(text);
    }
    let mut spans = vec![Span::raw(" ")];
    if shown.len() < all.len() {
        spans.push(span(theme.symbols.ellipsis, theme.style(Meaning::Label)));
    }
    for (place, text) in shown.iter().rev().enumerate() {
        if place > 0 || shown.len() < all.len() {
            spans.push(span(arrow.clone(), theme.style(Meaning::Label)));
        }
        let is_here = place + 1 == shown.len() && !is_over;
        spans.push(span(text.clone(), theme.style(if is_here { Meaning::Focus } else { Meaning::Label })));
    }
    Line::from(spans)
}

/// A key and what it does.
pub type Key = (&'static str, &'static str);

/// The keys that there is room for, or the question that is open; at the right which cards are visible.
pub fn footer(
    onlooker: &Onlooker,
    keys: &[Key],
    questions: [&str; 2],
    cards_area: Rect,
    columns: u16,
    theme: &Theme,
) -> Line<'static> {
    if let Some(question) = onlooker.question {
        let text = match question {
            Question::Stop => questions[0],
            Question::Kill => questions[1],
        };
        return Line::raw(fit(&format!(" {text}   any other key: go on"), columns, theme))
            .style(theme.style(Meaning::Alarm));
    }
    let at_right = cards::shown(onlooker, cards_area).map_or_else(String::new, |text| format!("{text} "));
    let (mut spans, taken) = key_spans(keys, 1 + width(&at_right), columns, theme);
    spans.push(Span::raw(" ".repeat(usize::from(columns.saturating_sub(taken)))));
    spans.push(span(at_right, theme.style(Meaning::Warning)));
    Line::from(spans)
}

/// How the rows between header and footer are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Division {
    /// For the cards.
    pub cards: u16,
    /// For the ending; none while the work goes on.
    pub ending: u16,
    /// For the log.
    pub log: u16,
}

impl Division {
    /// Rows of a log that is worth its title.
    const LEAST_LOG: u16 = 3;

    /// Divides `room` rows. While the work goes on the cards come first and the log keeps `log` rows; when it is over, what is said about it
    /// comes first and the cards keep a third, or what that leaves. `ending` is the rows that the ending would like.
    pub fn of(room: u16, columns: u16, cards: usize, log: u16, ending: Option<u16>) -> Self {
        let at_most = |cells: u16, share: u16| {
            let wanted = u16::try_from(cards).unwrap_or(u16::MAX).saturating_mul(cells);
            // Cells side by side where the terminal is wide need fewer rows; the grid takes no more than it can use.
            let side_by_side = (columns / 78).max(1);
            wanted.div_ceil(side_by_side).next_multiple_of(cells).min(share)
        };
        if cards == 0 {
            let ending = ending.map_or(0, |rows| rows.min(room));
            return Self { cards: 0, ending, log: room - ending };
        }
        match ending {
            None => {
                let cards = at_most(12, room - log.max(Self::LEAST_LOG).min(room));
                Self { cards, ending: 0, log: room - cards }
            }
            Some(rows) => {
                let cards = at_most(4, room.saturating_sub(rows.saturating_add(Self::LEAST_LOG)).max(room / 3));
                let ending = rows.min(room - cards);
                let log = room - cards - ending;
                // A title without lines is no log: the ending has the row.
                let spare = if log < Self::LEAST_LOG { log } else { 0 };
                Self { cards, ending: ending + spare, log: log - spare }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        let clocks = [0, 59, 60, 3599, 3723].map(|s| clock(Duration::from_secs(s)));
        assert_eq!(clocks, ["0 s", "59 s", "1:00", "59:59", "1:02:03"]);
    }

    #[test]
    fn all_rows_are_given_away() {
        for room in 0..80 {
            for cards in [0, 1, 4, 16, 64] {
                for columns in [40, 80, 160, 250] {
                    for ending in [None, Some(0), Some(1), Some(9), Some(200)] {
                        let parts = Division::of(room, columns, cards, room / 3, ending);
                        assert_eq!(parts.cards + parts.ending + parts.log, room, "{room} {cards} {ending:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_last_steps_are_kept() {
        let step = |n: u64| Step { name: format!("step {n}"), at: Some(Duration::from_secs(n)) };
        let all: Vec<Step> = (1..=4).map(step).collect();
        let text = |columns| steps(&all, false, columns, &Theme::default()).to_string();
        assert_eq!(text(80), " step 1 1 s ▸ step 2 2 s ▸ step 3 3 s ▸ step 4 4 s");
        assert_eq!(text(32), " … ▸ step 3 3 s ▸ step 4 4 s");
        assert_eq!(text(5), " …");
        assert_eq!(steps(&[], false, 80, &Theme::default()).to_string(), " ");
    }
}
