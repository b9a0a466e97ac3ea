//! From meanings to colours and signs.

use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::border;
use serde::Deserialize;

use crate::monitor::Part;

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
    /// Memory that the plan expects and that is not used yet.
    Ghost,
    /// Memory in use beyond what the plan expects.
    Over,
    /// A part of a plan.
    Part(Part),
    /// Worth a look: nearly full, hot, an orphan.
    Warning,
    /// What is shown is not true any more: driver or card gone.
    Alarm,
}

/// Which colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Palette {
    /// Colours that people with any of the usual colour-vision deficiencies tell apart: after M. Okabe and K. Ito, "Color Universal
    /// Design" (2008), the nearest entries of the 256-colour table. They differ in lightness too.
    #[default]
    Colour,
    /// The same hues, brighter, for projectors and dim screens.
    Bright,
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
    /// A column that the plan expects and nobody uses yet.
    pub ghost: &'static str,
    /// A column in use beyond the plan.
    pub over: &'static str,
    /// The outline of a plan: its left end, a line, between two parts, its right end.
    pub outline: [&'static str; 4],
    /// A level that a plan predicts, across a graph.
    pub level: &'static str,
    /// A mark on a timeline.
    pub mark: &'static str,
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
        ghost: "╌",
        over: "▒",
        outline: ["└", "─", "┴", "┘"],
        level: "┄",
        mark: "▲",
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
        ghost: ":",
        over: "!",
        outline: ["+", "-", "+", "+"],
        level: "-",
        mark: "^",
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
            Meaning::Over => Style::new().add_modifier(Modifier::BOLD),
            Meaning::Plain
            | Meaning::Ghost
            | Meaning::Part(_)
            | Meaning::Own
            | Meaning::Others
            | Meaning::Reserved
            | Meaning::Free
            | Meaning::Occupancy
            | Meaning::Activity => Style::new(),
        };
        match (self.palette, colour(meaning)) {
            (Palette::Colour, Some((colour, _))) | (Palette::Bright, Some((_, colour))) => {
                style.fg(Color::Indexed(colour))
            }
            _ => style,
        }
    }
}

/// The foreground of a meaning, normal and bright, as entries of the 256-colour table; `None` leaves the terminal's own, which fits light
/// and dark backgrounds alike.
const fn colour(meaning: Meaning) -> Option<(u8, u8)> {
    match meaning {
        Meaning::Plain | Meaning::Label | Meaning::Title | Meaning::Selected => None,
        Meaning::Focus | Meaning::Own | Meaning::Part(Part::Weights) => Some((74, 81)),
        Meaning::Others | Meaning::Part(Part::Others) => Some((179, 222)),
        Meaning::Reserved | Meaning::Part(Part::Context) => Some((245, 250)),
        Meaning::Free => Some((240, 244)),
        Meaning::Ghost => Some((67, 75)),
        Meaning::Occupancy | Meaning::Part(Part::Graphs) => Some((139, 219)),
        Meaning::Activity | Meaning::Part(Part::Kv) => Some((72, 84)),
        Meaning::Part(Part::Activation) => Some((173, 216)),
        Meaning::Part(Part::Communication) => Some((185, 228)),
        Meaning::Warning => Some((214, 220)),
        Meaning::Over | Meaning::Alarm => Some((166, 208)),
    }
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;

    #[test]
    fn ascii_means_ascii_and_signs_are_one_column_wide() {
        let signs = |s: Symbols| {
            let single =
                [s.own, s.others, s.reserved, s.free, s.ghost, s.over, s.level, s.mark, s.rule, s.cursor, s.ellipsis];
            [&single[..], &s.outline].concat()
        };
        assert!(signs(Symbols::ASCII).concat().is_ascii());
        assert!([Symbols::ASCII.celsius, Symbols::ASCII.arrows].concat().is_ascii());
        for sign in signs(Symbols::ASCII).iter().chain(&signs(Symbols::UNICODE)) {
            assert_eq!(sign.width(), 1, "{sign}");
        }
    }

    #[test]
    fn the_parts_of_a_bar_differ_without_colour() {
        for symbols in [Symbols::ASCII, Symbols::UNICODE] {
            let mut parts =
                vec![symbols.own, symbols.others, symbols.reserved, symbols.free, symbols.ghost, symbols.over];
            parts.sort_unstable();
            parts.dedup();
            assert_eq!(parts.len(), 6);
        }
    }
}
