//! Text that fits.

use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::hardware::Reading;
use crate::tui::{Meaning, Theme};

/// Columns that a text takes.
pub fn width(text: &str) -> u16 {
    u16::try_from(text.width()).unwrap_or(u16::MAX)
}

/// `text` in at most `columns` columns, cut with an ellipsis. What moves the cursor or hides text (names and command lines are foreign)
/// becomes `?`.
pub fn fit(text: &str, columns: u16, theme: &Theme) -> String {
    let columns = usize::from(columns);
    let clean: String = text
        .chars()
        .map(|c| match c {
            c if c.is_control() => '?',
            c if theme.symbols.braille || c.is_ascii() => c,
            _ => '?',
        })
        .collect();
    if clean.width() <= columns {
        return clean;
    }
    let mut cut = String::new();
    let mut used = 0;
    for c in clean.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide + 1 > columns {
            break;
        }
        cut.push(c);
        used += wide;
    }
    if columns > 0 {
        cut += theme.symbols.ellipsis;
    }
    cut
}

/// A text in exactly `columns` columns, aligned left.
pub fn left(text: &str, columns: u16, theme: &Theme) -> String {
    let text = fit(text, columns, theme);
    let padding = usize::from(columns.saturating_sub(width(&text)));
    text + &" ".repeat(padding)
}

/// A text in exactly `columns` columns, aligned right.
pub fn right(text: &str, columns: u16, theme: &Theme) -> String {
    let text = fit(text, columns, theme);
    " ".repeat(usize::from(columns.saturating_sub(width(&text)))) + &text
}

/// A value as `show` prints it, or one short word on why there is none.
pub fn reading<T>(value: Reading<T>, show: impl FnOnce(T) -> String) -> String {
    match value.told() {
        Ok(value) => show(value),
        Err(absence) => absence.short().to_owned(),
    }
}

/// A rule over `columns` columns with a title at its left and text at its right, ` title ──────── text `.
pub fn rule(title: Vec<Span<'static>>, at_right: Vec<Span<'static>>, columns: u16, theme: &Theme) -> Line<'static> {
    let spans_width = |spans: &[Span<'_>]| spans.iter().map(Span::width).sum::<usize>();
    let taken = spans_width(&title) + spans_width(&at_right) + 2;
    let fill = usize::from(columns).saturating_sub(taken);
    let mut line = title;
    line.push(Span::raw(" "));
    line.push(Span::styled(theme.symbols.rule.repeat(fill), theme.style(Meaning::Label)));
    line.push(Span::raw(" "));
    line.extend(at_right);
    Line::from(line)
}

/// A styled piece of text.
pub fn span(text: impl Into<String>, style: Style) -> Span<'static> {
    Span::styled(text.into(), style)
}

/// The keys that there is room for, each with what it does, and the columns taken with those that `taken` holds already.
pub fn keys(
    keys: &[(&'static str, &'static str)],
    mut taken: u16,
    columns: u16,
    theme: &Theme,
) -> (Vec<Span<'static>>, u16) {
    let mut spans = vec![Span::raw(" ")];
    for (key, meaning) in keys {
        let needed = width(key) + width(meaning) + 3;
        if taken + needed > columns {
            break;
        }
        taken += needed;
        spans.push(span(*key, theme.style(Meaning::Focus)));
        spans.push(span(format!(" {meaning}  "), theme.style(Meaning::Label)));
    }
    (spans, taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::{Palette, Symbols};

    #[test]
    fn text_is_cut_by_columns_not_by_letters() {
        let theme = Theme::default();
        for (text, columns, expected) in [
            ("python", 6, "python"),
            ("python", 5, "pyth…"),
            ("python", 1, "…"),
            ("python", 0, ""),
            ("模型模型", 8, "模型模型"),
            ("模型模型", 7, "模型模…"),
            ("模型模型", 6, "模型…"),
            ("a\u{1b}[2Jb\n", 9, "a?[2Jb?"),
        ] {
            assert_eq!(fit(text, columns, &theme), expected, "{text} {columns}");
        }
        let ascii = Theme { palette: Palette::Plain, symbols: Symbols::ASCII };
        assert_eq!(fit("naïve server", 9, &ascii), "na?ve se~");
    }

    #[test]
    fn aligned_text_fills_its_columns() {
        let theme = Theme::default();
        assert_eq!(left("ab", 4, &theme), "ab  ");
        assert_eq!(right("ab", 4, &theme), "  ab");
        assert_eq!(right("abcdef", 4, &theme), "abc…");
    }
}
