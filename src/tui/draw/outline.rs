//! What a plan predicts, as an outline under the bar of a card, on the same scale.

use ratatui::text::Line;

use super::bar::share;
use super::text::{fit, span, width};
use crate::monitor::ExpectedCard;
use crate::tui::{Meaning, Theme};
use crate::units::Bytes;

/// The parts side by side as `└weights 12.1───┴KV 4.0─┴──┘` over `columns` columns that stand for `whole`. Parts that would be no column
/// wide are joined with the next; a plan that is larger than the whole is cut at its end.
pub fn outline(expected: &ExpectedCard, whole: Bytes, columns: u16, theme: &Theme) -> Line<'static> {
    let known: Bytes = expected.parts.iter().map(|part| part.bytes).sum();
    let rest = whole.saturating_sub(known);
    let amounts: Vec<u64> = expected.parts.iter().map(|part| part.bytes.0).chain([rest.0]).collect();
    let shares = share(&amounts, columns);
    let [left, line, between, right] = theme.symbols.outline;
    let mut spans = Vec::new();
    let last = shares.len().saturating_sub(2);
    for (place, (part, columns)) in expected.parts.iter().zip(&shares).enumerate() {
        let start = if place == 0 { left } else { between };
        let end = if place == last { right } else { "" };
        let room = columns.saturating_sub(1 + width(end));
        let figure = format!("{} {:.1}", part.part.label(), part.bytes.as_gib());
        // A word or nothing: half a word in three columns tells less than the line.
        let text =
            [figure.as_str(), part.part.label()].into_iter().find(|text| width(text) <= room).unwrap_or_default();
        let fill = line.repeat(usize::from(room.saturating_sub(width(text))));
        let whole = format!("{start}{text}{fill}{end}");
        // One column for the last part is its end.
        let shown = if *columns == 1 && place == last { right.to_owned() } else { fit(&whole, *columns, theme) };
        spans.push(span(shown, theme.style(Meaning::Part(part.part))));
    }
    Line::from(spans)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::{ExpectedPart, Part};
    use crate::tui::{Palette, Symbols};

    fn text(parts: &[(Part, u64)], whole: u64, columns: u16) -> String {
        let parts: Vec<_> =
            parts.iter().map(|(part, gib)| ExpectedPart { part: *part, bytes: Bytes::gib(*gib) }).collect();
        let expected = ExpectedCard {
            place: 0,
            uuid: None,
            label: String::new(),
            capacity: Bytes::gib(whole),
            ranks: vec![0],
            total: parts.iter().map(|part| part.bytes).sum(),
            high: Bytes::ZERO,
            parts,
        };
        let theme = Theme { palette: Palette::Plain, symbols: Symbols::UNICODE };
        outline(&expected, Bytes::gib(whole), columns, &theme).to_string()
    }

    #[test]
    fn parts_stand_where_the_bar_has_them() {
        let parts = [(Part::Weights, 20), (Part::Kv, 10), (Part::Context, 1)];
        assert_eq!(text(&parts, 40, 40), "└weights 20.0───────┴KV 10.0──┘");
        assert_eq!(text(&parts, 40, 12), "└────┴KV┘");
        assert_eq!(text(&[], 40, 12), "");
    }

    #[test]
    fn a_plan_larger_than_the_card_takes_the_whole_row() {
        assert_eq!(width(&text(&[(Part::Weights, 90), (Part::Kv, 20)], 40, 30)), 30);
    }
}
