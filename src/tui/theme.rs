//! From meanings to colours and signs.

use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::border;

/// What a piece of the screen says. Everything that is painted has one of these; colours exist in this file alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Figures and names.
    Plain,
    /// Words that explain a figure; rules between blocks.
    Label,
    /// The title of a block.
    Title,
    /// The title of the pane that keys go to.
    Focus,
    /// The row that keys act on.
    Selected,
    /// Memory of this tool's own shards.
    Own,
    /// Memory of other processes, or of nobody knows whom.
    Others,
    /// Memory of driver and firmware.
    Reserved,
    /// Free memory.
    Free,
    /// The curve of memory in use, whoever holds it.
    Occupancy,
    /// The curve of utilisation.
    Activity,
    /// Worth a look: nearly full, hot, an orphan.
    Warning,
    /// What is shown is not true any more: driver or card gone.
    Alarm,
}

/// Which colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Palette {
    /// Colours that people with any of the usual colour-vision deficiencies tell apart: after M. Okabe and K. Ito, "Color Universal
    /// Design" (2008), the nearest entries of the 256-colour table. They differ in lightness too.
    #[default]
    Colour,
    /// None: bold, dim and reversed text alone.
    Plain,
}

/// The signs of a screen; all are one column wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symbols {
    /// A column of own memory in a bar. The four differ in density, so that a bar reads without colour.
    pub own: &'static str,
    /// A column of others' memory.
    pub others: &'static str,
    /// A column of reserved memory.
    pub reserved: &'static str,
    /// A column of free memory.
    pub free: &'static str,
    /// Line between blocks.
    pub rule: &'static str,
    /// In front of what is selected.
    pub cursor: &'static str,
    /// Where text was cut.
    pub ellipsis: &'static str,
    /// Degrees Celsius.
    pub celsius: &'static str,
    /// Keys that move.
    pub arrows: &'static str,
    /// The frame around what lies over the screen.
    pub frame: border::Set<'static>,
    /// Whether graphs are drawn in braille dots (two columns, four rows a cell) or in letters.
    pub braille: bool,
}

impl Symbols {
    /// For terminals with Unicode.
    pub const UNICODE: Self = Self {
        own: "█",
        others: "▓",
        reserved: "░",
        free: "·",
        rule: "─",
        cursor: "▸",
        ellipsis: "…",
        celsius: "°C",
        arrows: "↑↓",
        frame: border::PLAIN,
        braille: true,
    };

    /// For all others.
    pub const ASCII: Self = Self {
        own: "#",
        others: "=",
        reserved: "-",
        free: ".",
        rule: "-",
        cursor: ">",
        ellipsis: "~",
        celsius: " C",
        arrows: "jk",
        frame: border::Set {
            top_left: "+",
            top_right: "+",
            bottom_left: "+",
            bottom_right: "+",
            vertical_left: "|",
            vertical_right: "|",
            horizontal_top: "-",
            horizontal_bottom: "-",
        },
        braille: false,
    };
}

/// How a screen looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    /// Its colours.
    pub palette: Palette,
    /// Its signs.
    pub symbols: Symbols,
}

impl Default for Theme {
    fn default() -> Self {
        Self { palette: Palette::Colour, symbols: Symbols::UNICODE }
    }
}

impl Theme {
    /// How a meaning looks.
    #[must_use]
    pub fn style(&self, meaning: Meaning) -> Style {
        let style = match meaning {
            Meaning::Title => Style::new().add_modifier(Modifier::BOLD),
            Meaning::Focus | Meaning::Warning => Style::new().add_modifier(Modifier::BOLD),
            Meaning::Selected | Meaning::Alarm => Style::new().add_modifier(Modifier::REVERSED),
            Meaning::Label => Style::new().add_modifier(Modifier::DIM),
            Meaning::Plain
            | Meaning::Own
            | Meaning::Others
            | Meaning::Reserved
            | Meaning::Free
            | Meaning::Occupancy
            | Meaning::Activity => Style::new(),
        };
        match (self.palette, colour(meaning)) {
            (Palette::Colour, Some(colour)) => style.fg(colour),
            _ => style,
        }
    }
}

/// The foreground of a meaning; `None` leaves the terminal's own, which fits light and dark backgrounds alike.
const fn colour(meaning: Meaning) -> Option<Color> {
    match meaning {
        Meaning::Plain | Meaning::Label | Meaning::Title | Meaning::Selected => None,
        Meaning::Focus | Meaning::Own => Some(Color::Indexed(74)),
        Meaning::Others => Some(Color::Indexed(179)),
        Meaning::Reserved => Some(Color::Indexed(245)),
        Meaning::Free => Some(Color::Indexed(240)),
        Meaning::Occupancy => Some(Color::Indexed(139)),
        Meaning::Activity => Some(Color::Indexed(72)),
        Meaning::Warning => Some(Color::Indexed(214)),
        Meaning::Alarm => Some(Color::Indexed(166)),
    }
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;

    #[test]
    fn ascii_means_ascii_and_signs_are_one_column_wide() {
        let signs = |s: Symbols| [s.own, s.others, s.reserved, s.free, s.rule, s.cursor, s.ellipsis];
        assert!(signs(Symbols::ASCII).concat().is_ascii());
        assert!([Symbols::ASCII.celsius, Symbols::ASCII.arrows].concat().is_ascii());
        for sign in signs(Symbols::ASCII).iter().chain(&signs(Symbols::UNICODE)) {
            assert_eq!(sign.width(), 1, "{sign}");
        }
    }

    #[test]
    fn the_parts_of_a_bar_differ_without_colour() {
        for symbols in [Symbols::ASCII, Symbols::UNICODE] {
            let mut parts = vec![symbols.own, symbols.others, symbols.reserved, symbols.free];
            parts.sort_unstable();
            parts.dedup();
            assert_eq!(parts.len(), 4);
        }
    }
}
