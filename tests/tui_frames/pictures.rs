//! The screens of the documentation, as SVG. They are drawn from what is painted, and a test says when they are stale:
//! `SHARDFIT_RENEW_DOCS=1 cargo test --test tui_frames pictures` draws them anew.

#![expect(clippy::disallowed_methods, reason = "reads and writes the pictures of the documentation")]

use std::fmt::Write;
use std::path::Path;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use shardfit::tui::{Action, State, Theme, View, update};
use shardfit::units::Bytes;

use super::plans::plan;
use super::{cards, follow, load, paint, size};

/// Pixels of a cell.
const CELL: (u32, u32) = (9, 18);
const INK: &str = "#d8dee6";
const PAPER: &str = "#12151a";

fn docs() -> [(&'static str, State); 4] {
    let machine = || {
        let mut state = cards::state(size(120, 32), &cards::fine());
        state.expectation = Some(plan(4, Bytes::mib(22_516), Bytes::gib(9), Bytes::gib(6)));
        state.judge();
        state
    };
    let show = |view, mut state: State| {
        update(&mut state, Action::Show(view));
        state
    };
    let full = || {
        let rules = vec!["headroom<5%".parse().unwrap()];
        let mut state = cards::state(size(120, 40), &cards::nearly_full()).with_rules(rules);
        state.expectation = Some(plan(8, Bytes::mib(81_002), Bytes::gib(34), Bytes::gib(36)));
        state.judge();
        state
    };
    [
        ("overview", machine()),
        ("card", show(View::Card, machine())),
        ("timeline", show(View::Timeline, machine())),
        ("alarm", full()),
    ]
}

#[test]
fn the_screens_of_the_documentation_are_fresh() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/screens");
    let renew = std::env::var_os("SHARDFIT_RENEW_DOCS").is_some();
    let theme = Theme::default();
    let views = docs().map(|(name, state)| (name, paint(&state, &theme)));
    let in_progress = [
        ("load", load::painted(&load::state(4, 9), &theme, (120, 40))),
        ("load-failed", load::painted(&load::failed(), &theme, (120, 40))),
        ("run", follow::painted(&follow::state(cards::fine), &theme, (120, 40))),
        ("run-failed", follow::painted(&follow::failed(), &theme, (120, 40))),
    ];
    for (name, painted) in views.into_iter().chain(in_progress) {
        let drawn = svg(&painted);
        let path = folder.join(format!("{name}.svg"));
        if renew {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, drawn).unwrap();
        } else {
            let stored = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                stored == drawn,
                "`docs/screens/{name}.svg` is stale: SHARDFIT_RENEW_DOCS=1 cargo test --test tui_frames"
            );
        }
    }
}

/// A buffer as a picture. Letters are text in the viewer's own monospaced font, one `text` a run of one style; blocks and braille, which
/// many fonts draw with gaps, are shapes.
fn svg(buffer: &Buffer) -> String {
    let (width, height) = (u32::from(buffer.area.width) * CELL.0, u32::from(buffer.area.height) * CELL.1);
    let (outer, total) = (12, (width + 24, height + 24));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace\" \
         font-size=\"15\">\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{PAPER}\"/>\n<g transform=\"translate({outer},{outer})\">\n",
        total.0, total.1
    );
    for y in 0..buffer.area.height {
        let mut run: Option<(u16, String, (String, String))> = None;
        for x in 0..buffer.area.width {
            let cell = &buffer[(x, y)];
            let style = look(cell);
            let reversed = cell.modifier.contains(Modifier::REVERSED);
            let top = u32::from(y) * CELL.1;
            if reversed {
                let left = u32::from(x) * CELL.0;
                let _ = writeln!(
                    out,
                    "<rect x=\"{left}\" y=\"{top}\" width=\"{}\" height=\"{}\" fill=\"{}\"/>",
                    CELL.0,
                    CELL.1,
                    foreground(cell)
                );
            }
            let letter = cell.symbol().chars().next().unwrap_or(' ');
            let is_shape = shape(&mut out, letter, (u32::from(x) * CELL.0, top), &style.0);
            let continues = !is_shape && letter != ' ' && run.as_ref().is_some_and(|(_, _, s)| *s == style);
            if continues {
                if let Some((_, text, _)) = &mut run {
                    text.push(letter);
                }
                continue;
            }
            flush(&mut out, run.take(), y);
            if !is_shape && letter != ' ' {
                run = Some((x, letter.to_string(), style));
            }
        }
        flush(&mut out, run, y);
    }
    out += "</g>\n</svg>\n";
    out
}

/// Colour and further attributes of a cell's text.
fn look(cell: &Cell) -> (String, String) {
    let mut attributes = String::new();
    if cell.modifier.contains(Modifier::BOLD) {
        attributes += " font-weight=\"bold\"";
    }
    if cell.modifier.contains(Modifier::DIM) {
        attributes += " opacity=\"0.6\"";
    }
    let colour = if cell.modifier.contains(Modifier::REVERSED) { PAPER.to_owned() } else { foreground(cell) };
    (colour, attributes)
}

fn foreground(cell: &Cell) -> String {
    match cell.fg {
        Color::Indexed(index) => indexed(index),
        _ => INK.to_owned(),
    }
}

/// An entry of the 256-colour table: a cube of six levels, then greys.
fn indexed(index: u8) -> String {
    let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
    let (red, green, blue) = match index {
        232..=255 => {
            let grey = 8 + 10 * (index - 232);
            (grey, grey, grey)
        }
        16..=231 => {
            let index = index - 16;
            (level(index / 36), level(index / 6 % 6), level(index % 6))
        }
        _ => panic!("the screens use no colour of the terminal's own: {index}"),
    };
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// Draws letters that are made of blocks, dots or lines; false for all others.
fn shape(out: &mut String, letter: char, (left, top): (u32, u32), colour: &str) -> bool {
    let mut rectangle = |x: f64, y: f64, width: f64, height: f64, opacity: f64| {
        let (x, y) = (f64::from(left) + x, f64::from(top) + y);
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{colour}\" fill-opacity=\"{opacity}\"/>"
        );
    };
    let (wide, high) = (f64::from(CELL.0), f64::from(CELL.1));
    match letter {
        '█' => rectangle(0.0, 2.0, wide, high - 4.0, 1.0),
        '▓' => rectangle(0.0, 2.0, wide, high - 4.0, 0.75),
        '▒' => rectangle(0.0, 2.0, wide, high - 4.0, 0.95),
        '░' => rectangle(0.0, 2.0, wide, high - 4.0, 0.4),
        '·' => rectangle(wide / 2.0 - 1.0, high / 2.0 - 1.0, 2.0, 2.0, 0.8),
        '─' => rectangle(0.0, high / 2.0 - 0.5, wide, 1.0, 0.7),
        '╌' | '┄' => rectangle(1.0, high / 2.0 - 0.5, wide - 3.0, 1.5, 0.9),
        '└' | '┘' | '┴' => {
            rectangle(wide / 2.0 - 0.5, 0.0, 1.0, high / 2.0, 0.9);
            let (x, width) = match letter {
                '└' => (wide / 2.0, wide / 2.0),
                '┘' => (0.0, wide / 2.0),
                _ => (0.0, wide),
            };
            rectangle(x, high / 2.0 - 0.5, width, 1.0, 0.9);
        }
        '\u{2800}'..='\u{28ff}' => {
            let bits = u32::from(letter) - 0x2800;
            // Bit, column and row of each dot (the Unicode Standard, chapter 21.1).
            let dots = [(0, 0, 0), (1, 0, 1), (2, 0, 2), (6, 0, 3), (3, 1, 0), (4, 1, 1), (5, 1, 2), (7, 1, 3)];
            for (bit, column, row) in dots {
                if bits >> bit & 1 == 1 {
                    rectangle(1.0 + f64::from(column) * 4.5, 1.0 + f64::from(row) * 4.5, 2.6, 2.6, 1.0);
                }
            }
        }
        _ => return false,
    }
    true
}

fn flush(out: &mut String, run: Option<(u16, String, (String, String))>, y: u16) {
    let Some((x, text, (colour, attributes))) = run else { return };
    let (left, base) = (u32::from(x) * CELL.0, u32::from(y) * CELL.1 + 14);
    let width = u32::try_from(text.chars().count()).unwrap() * CELL.0;
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        out,
        "<text x=\"{left}\" y=\"{base}\" textLength=\"{width}\" lengthAdjust=\"spacingAndGlyphs\" fill=\"{colour}\"{attributes}>{text}</text>"
    );
}
