//! A picture as shapes in pixels.

use super::colours::Rgb;

/// Shapes, painted in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Behind everything.
    pub background: Rgb,
    /// What is painted.
    pub shapes: Vec<Shape>,
}

/// One shape.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// A filled rectangle.
    Rectangle {
        /// Left edge.
        x: f64,
        /// Upper edge.
        y: f64,
        /// Width.
        width: f64,
        /// Height.
        height: f64,
        /// Colour.
        fill: Rgb,
        /// From 0 (not there) to 1.
        opacity: f64,
    },
    /// A filled outline of many corners.
    Area {
        /// Corners.
        points: Vec<(f64, f64)>,
        /// Colour.
        fill: Rgb,
        /// From 0 to 1.
        opacity: f64,
    },
    /// A line through points.
    Line {
        /// Points.
        points: Vec<(f64, f64)>,
        /// Colour.
        colour: Rgb,
        /// Pixels.
        width: u32,
        /// Whether it is broken.
        dashed: bool,
    },
    /// A line of text.
    Text {
        /// Where its anchor stands.
        x: f64,
        /// Its middle, vertically.
        y: f64,
        /// Height in pixels.
        size: f64,
        /// Whether it is semibold.
        bold: bool,
        /// Colour.
        colour: Rgb,
        /// Which end stands at `x`.
        anchor: Anchor,
        /// What it says.
        text: String,
    },
}

/// Which part of a text stands where it is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// Its begin.
    Start,
    /// Its middle.
    Middle,
    /// Its end.
    End,
}

/// How a text looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Type {
    /// Height in pixels.
    pub size: f64,
    /// Whether it is semibold.
    pub bold: bool,
    /// Colour.
    pub colour: Rgb,
    /// Which end stands where it is put.
    pub anchor: Anchor,
}

impl Type {
    pub(super) const fn new(size: f64, colour: Rgb) -> Self {
        Self { size, bold: false, colour, anchor: Anchor::Start }
    }

    pub(super) const fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    pub(super) const fn at(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }
}

impl Scene {
    pub(super) const fn new(width: u32, height: u32, background: Rgb) -> Self {
        Self { width, height, background, shapes: Vec::new() }
    }

    pub(super) fn rectangle(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), fill: Rgb) {
        self.faint((x, y), (width, height), fill, 1.0);
    }

    pub(super) fn faint(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), fill: Rgb, opacity: f64) {
        if width > 0.0 && height > 0.0 {
            self.shapes.push(Shape::Rectangle { x, y, width, height, fill, opacity });
        }
    }

    pub(super) fn line(&mut self, points: Vec<(f64, f64)>, colour: Rgb, width: u32, dashed: bool) {
        self.shapes.push(Shape::Line { points, colour, width, dashed });
    }

    pub(super) fn text(&mut self, (x, y): (f64, f64), look: Type, text: impl Into<String>) {
        let Type { size, bold, colour, anchor } = look;
        self.shapes.push(Shape::Text { x, y, size, bold, colour, anchor, text: text.into() });
    }

    /// All texts, for tests.
    #[must_use]
    pub fn texts(&self) -> Vec<&str> {
        self.shapes
            .iter()
            .filter_map(|shape| match shape {
                Shape::Text { text, .. } => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }
}

/// Pixels that a text of a height takes, near enough to decide whether it fits: the widths of the bundled font's letters, rounded up a
/// little so that other fonts, which a viewer of an SVG may have in its place, fit too.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    text.chars().map(letter_width).sum::<f64>() * size
}

/// In units of the text's height (Inter, semibold).
fn letter_width(letter: char) -> f64 {
    match letter {
        'i' | 'l' | 'j' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | ' ' | '·' => 0.30,
        't' | 'f' | 'r' | '(' | ')' | '/' | '1' => 0.43,
        'm' | 'M' | 'W' | '@' | '%' => 0.92,
        'w' | 'G' | 'O' | 'Q' | 'D' | 'N' | 'U' | 'H' => 0.78,
        '-' | '–' | 's' | 'c' | 'k' | 'v' | 'x' | 'y' | 'z' => 0.57,
        letter if letter.is_ascii_uppercase() => 0.68,
        _ => 0.63,
    }
}

/// `text` cut with an ellipsis to a width.
pub(super) fn fitted(text: &str, size: f64, width: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let mut cut = String::new();
    for letter in text.chars() {
        cut.push(letter);
        if text_width(&cut, size) + size > width {
            break;
        }
    }
    cut.push('…');
    cut
}

/// `text` in at most `rows` rows of a width, broken at blanks; the last is cut with an ellipsis.
pub(super) fn rows(text: &str, size: f64, width: f64, rows: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
        if text_width(&longer, size) <= width || line.is_empty() {
            line = longer;
        } else if lines.len() + 1 == rows {
            let rest: Vec<&str> = std::iter::once(word).chain(words).collect();
            line = format!("{line} {}", rest.join(" "));
            break;
        } else {
            lines.push(std::mem::replace(&mut line, word.to_owned()));
        }
    }
    lines.push(fitted(&line, size, width));
    lines
}

/// Round steps from 0 that divide `most` into four to eight parts: 1, 2 or 5 times a power of ten.
pub(super) fn ticks(most: f64) -> Vec<f64> {
    if !(most.is_finite() && most > 0.0) {
        return vec![0.0];
    }
    let rough = most / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|f| f * power).find(|step| *step >= rough).unwrap_or(rough);
    (0..=(most / step + 1e-9).floor() as u32).map(|n| f64::from(n) * step).collect()
}

/// Title and line below it; returns where the rest begins.
pub(super) fn heading(scene: &mut Scene, title: &str, subtitle: &str, mode: super::Mode) -> f64 {
    let ink = mode.ink();
    let room = f64::from(scene.width) - 96.0;
    scene.text((48.0, 52.0), Type::new(30.0, ink.text).bold(), fitted(title, 30.0, room));
    scene.text((48.0, 88.0), Type::new(18.0, ink.muted), fitted(subtitle, 18.0, room));
    118.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(79.2), [0.0, 20.0, 40.0, 60.0]);
        assert_eq!(ticks(1.0), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(ticks(0.0), [0.0]);
        assert_eq!(ticks(f64::NAN), [0.0]);
        for most in [0.003, 7.0, 24.0, 141.0, 9e9] {
            let count = ticks(most).len();
            assert!((3..=9).contains(&count), "{most}: {count}");
        }
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(fitted("short", 10.0, 100.0), "short");
        let cut = fitted(&"x".repeat(100), 10.0, 100.0);
        assert!(cut.ends_with('…') && text_width(&cut, 10.0) < 110.0, "{cut}");
    }

    #[test]
    fn sentences_take_the_rows_they_need() {
        assert_eq!(rows("one two three", 10.0, 1000.0, 2), ["one two three"]);
        assert_eq!(rows("one two three", 10.0, 45.0, 3), ["one two", "three"]);
        let cut = rows("one two three four five", 10.0, 45.0, 2);
        assert_eq!((cut.len(), cut[0].as_str()), (2, "one two"));
        assert!(cut[1].starts_with("three") && cut[1].ends_with('…'), "{cut:?}");
        assert_eq!(rows("", 10.0, 45.0, 2), [""]);
    }
}
