//! Memory by component, a bar a card, against its capacity.

use super::Chart;
use super::colours::{Hue, Mode};
use super::scene::{Anchor, Scene, Type, fitted, heading, rows, text_width, ticks};
use crate::units::Bytes;

/// Stacked bars.
#[derive(Debug, Clone, PartialEq)]
pub struct Bars {
    /// First line.
    pub title: String,
    /// Second line.
    pub subtitle: String,
    /// The bars, from the top.
    pub bars: Vec<Bar>,
    /// Where the figures come from, in the last line.
    pub note: String,
}

/// One card.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// In front of it.
    pub label: String,
    /// Below the label.
    pub detail: String,
    /// Its parts, from the left.
    pub segments: Vec<Segment>,
    /// What the card has; `None` where it is not known.
    pub capacity: Option<Bytes>,
    /// What the engine allows itself, drawn as a broken line; `None` without one.
    pub budget: Option<Bytes>,
    /// The top at high demand, drawn as a whisker; `None` without one.
    pub high: Option<Bytes>,
}

/// One part of a bar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// For the legend.
    pub label: String,
    /// How much.
    pub bytes: Bytes,
    /// Colour.
    pub hue: Hue,
}

impl Bar {
    /// Sum of its parts.
    #[must_use]
    pub fn total(&self) -> Bytes {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }
}

impl Bars {
    /// Parts of all bars, each once, in the order of the first bar that has it.
    fn legend(&self) -> Vec<&Segment> {
        let mut legend: Vec<&Segment> = Vec::new();
        for segment in self.bars.iter().flat_map(|bar| &bar.segments) {
            if !legend.iter().any(|known| known.label == segment.label) {
                legend.push(segment);
            }
        }
        legend
    }
}

/// Pixels.
const WIDTH: u32 = 1280;
const LEFT: f64 = 236.0;
const RIGHT: f64 = 1080.0;
/// Where the label of a thin bar ends, so that what follows stands in a column.
const THIN_LABEL: f64 = 58.0;

impl Chart for Bars {
    fn scene(&self, mode: Mode) -> Scene {
        // Many ranks get thinner bars; a few do not become fat.
        let pitch = (620.0 / self.bars.len().max(1) as f64).clamp(22.0, 76.0);
        let height = 250.0 + pitch * self.bars.len() as f64;
        let ink = mode.ink();
        let mut scene = Scene::new(WIDTH, height as u32, ink.background);
        let mut top = heading(&mut scene, &self.title, &self.subtitle, mode);
        top = self.draw_legend(&mut scene, top, mode) + 24.0;
        let bottom = top + pitch * self.bars.len() as f64;
        let most = self
            .bars
            .iter()
            .flat_map(|bar| [bar.total(), bar.capacity.unwrap_or_default(), bar.high.unwrap_or_default()]);
        let most = most.max().unwrap_or_default().as_gib().max(f64::MIN_POSITIVE) * 1.02;
        let x = |bytes: Bytes| LEFT + bytes.as_gib() / most * (RIGHT - LEFT);
        for tick in ticks(most) {
            let at = LEFT + tick / most * (RIGHT - LEFT);
            scene.line(vec![(at, top - 6.0), (at, bottom)], ink.grid, 1, false);
            scene.text((at, bottom + 18.0), Type::new(16.0, ink.muted).at(Anchor::Middle), format!("{tick}"));
        }
        scene.text((RIGHT + 16.0, bottom + 18.0), Type::new(16.0, ink.muted), "GiB");
        for (place, bar) in self.bars.iter().enumerate() {
            let middle = top + pitch * (place as f64 + 0.5);
            draw_bar(&mut scene, bar, middle, pitch, &x, mode);
        }
        let room = f64::from(WIDTH) - 96.0;
        let mut y = bottom + 56.0;
        for row in rows(&self.note, 16.0, room, 2) {
            scene.text((48.0, y), Type::new(16.0, ink.muted), row);
            y += 24.0;
        }
        scene.height = (y + 4.0) as u32;
        scene
    }
}

impl Bars {
    /// Swatches and words in one or two rows; returns where they end. Parts of a single bar are told with their sizes: the small ones have
    /// no room for them.
    fn draw_legend(&self, scene: &mut Scene, top: f64, mode: Mode) -> f64 {
        const SIZE: f64 = 16.0;
        const GAP: f64 = 14.0;
        let ink = mode.ink();
        let (left, right) = (48.0, f64::from(scene.width) - 48.0);
        let (mut x, mut y) = (left, top + 10.0);
        let mut place = |label: &str| {
            let width = 22.0 + text_width(label, SIZE);
            if x + width > right && x > left {
                (x, y) = (left, y + 26.0);
            }
            let at = (x, y);
            x += width + GAP;
            at
        };
        for segment in self.legend() {
            let label = match self.bars.as_slice() {
                [_] => format!("{} {:.2}", segment.label, segment.bytes),
                _ => segment.label.clone(),
            };
            let (x, y) = place(&label);
            scene.rectangle((x, y - 7.0), (14.0, 14.0), segment.hue.rgb(mode));
            scene.text((x + 22.0, y), Type::new(SIZE, ink.text), label);
        }
        if self.bars.iter().any(|bar| bar.high.is_some_and(|high| high > bar.total())) {
            let (x, y) = place("high demand");
            scene.line(vec![(x, y), (x + 14.0, y)], ink.text, 2, false);
            scene.line(vec![(x + 14.0, y - 6.0), (x + 14.0, y + 6.0)], ink.text, 2, false);
            scene.text((x + 22.0, y), Type::new(SIZE, ink.text), "high demand");
        }
        let lines = [
            ("engine's budget", true, self.bars.iter().any(|bar| bar.budget.is_some())),
            ("capacity", false, self.bars.iter().any(|bar| bar.capacity.is_some())),
        ];
        for (label, dashed, _) in lines.into_iter().filter(|(.., is_drawn)| *is_drawn) {
            let (x, y) = place(label);
            let width = if dashed { 2 } else { 3 };
            scene.line(vec![(x + 7.0, y - 10.0), (x + 7.0, y + 10.0)], ink.limit, width, dashed);
            scene.text((x + 22.0, y), Type::new(SIZE, ink.text), label);
        }
        y + 14.0
    }
}

fn draw_bar(scene: &mut Scene, bar: &Bar, middle: f64, pitch: f64, x: &impl Fn(Bytes) -> f64, mode: Mode) {
    let ink = mode.ink();
    let thick = (pitch * 0.58).min(40.0);
    let (upper, lower) = (middle - thick / 2.0, middle + thick / 2.0);
    let two_lines = pitch >= 44.0;
    let label_y = if two_lines { middle - 9.0 } else { middle };
    let label_size = if two_lines { 18.0 } else { 15.0 };
    let label = fitted(&bar.label, label_size, LEFT - 60.0);
    scene.text((48.0, label_y), Type::new(label_size, ink.text).bold(), &label);
    // Below the label, or where bars are thin behind it.
    let (x_of_detail, y_of_detail, size) = match two_lines {
        true => (48.0, middle + 12.0, 14.0),
        false => (54.0 + text_width(&label, 15.0).max(THIN_LABEL), middle, 13.0),
    };
    let room = LEFT - 6.0 - x_of_detail;
    let short = bar.detail.replace("layers ", "");
    let detail = if text_width(&bar.detail, size) <= room { &bar.detail } else { &short };
    let detail = fitted(detail, size, room);
    scene.text((x_of_detail, y_of_detail), Type::new(size, ink.muted), detail);
    if let Some(capacity) = bar.capacity {
        scene.rectangle((LEFT, upper), (x(capacity) - LEFT, thick), ink.track);
    }
    let mut sum = Bytes::ZERO;
    for segment in &bar.segments {
        let from = x(sum);
        sum += segment.bytes;
        let width = x(sum) - from;
        scene.rectangle((from, upper), (width, thick), segment.hue.rgb(mode));
        let text = format!("{:.1}", segment.bytes.as_gib());
        if thick >= 20.0 && text_width(&text, 15.0) + 10.0 < width {
            let look = Type::new(15.0, segment.hue.text_on(mode)).at(Anchor::Middle);
            scene.text((from + width / 2.0, middle), look, text);
        }
    }
    // What is beyond the capacity is framed in the colour of too much.
    let over = bar.capacity.filter(|capacity| sum > *capacity);
    if let Some(capacity) = over {
        let colour = Hue::Vermilion.rgb(mode);
        let (from, to) = (x(capacity), x(sum));
        let frame = vec![(from, upper - 3.0), (to + 2.0, upper - 3.0), (to + 2.0, lower + 3.0), (from, lower + 3.0)];
        scene.line(frame, colour, 3, false);
    }
    if let Some(high) = bar.high.filter(|high| *high > sum) {
        let (from, to) = (x(sum), x(high));
        scene.line(vec![(from, middle), (to, middle)], ink.text, 2, false);
        scene.line(vec![(to, middle - 6.0), (to, middle + 6.0)], ink.text, 2, false);
    }
    if let Some(budget) = bar.budget {
        scene.line(vec![(x(budget), upper - 7.0), (x(budget), lower + 7.0)], ink.text, 2, true);
    }
    if let Some(capacity) = bar.capacity {
        scene.line(vec![(x(capacity), upper - 5.0), (x(capacity), lower + 5.0)], ink.limit, 3, false);
    }
    // Sums that differ by little are told with another digit.
    let close = bar.capacity.is_some_and(|capacity| sum.delta(capacity).magnitude() < Bytes::mib(100));
    let digits = if close { 2 } else { 1 };
    let text = match bar.capacity {
        Some(capacity) => format!("{:.digits$} of {:.digits$} GiB", sum.as_gib(), capacity.as_gib()),
        None => format!("{:.1} GiB", sum.as_gib()),
    };
    let colour = if over.is_some() { Hue::Vermilion.rgb(mode) } else { ink.text };
    scene.text((RIGHT + 16.0, middle), Type::new(16.0, colour).bold(), text);
}

#[cfg(test)]
mod tests {
    use super::super::{Format, draw};
    use super::*;

    fn bars(gib: &[u64], capacity: u64) -> Bars {
        let segments =
            gib.iter().map(|gib| Segment { label: format!("part {gib}"), bytes: Bytes::gib(*gib), hue: Hue::Blue });
        let bar = Bar {
            label: "card 0".to_owned(),
            detail: "A100".to_owned(),
            segments: segments.collect(),
            capacity: Some(Bytes::gib(capacity)),
            budget: Some(Bytes::gib(capacity / 2)),
            high: Some(Bytes::gib(capacity + 1)),
        };
        Bars { title: "t".to_owned(), subtitle: "s".to_owned(), bars: vec![bar], note: String::new() }
    }

    #[test]
    fn figures_and_legend_are_there() {
        let scene = bars(&[20, 10], 80).scene(Mode::Light);
        let texts = scene.texts();
        for text in ["part 20 20.00 GiB", "part 10 10.00 GiB", "20.0", "30.0 of 80.0 GiB", "card 0", "high demand"] {
            assert!(texts.contains(&text), "{text}: {texts:?}");
        }
    }

    /// Texts of one row side by side, whatever the names and however many cards.
    #[test]
    fn no_text_lies_over_another() {
        use super::super::scene::Shape;
        for (count, name) in [(1, "card 0"), (4, "a-card-with-quite-a-long-name"), (16, "rank 15"), (64, "r")] {
            let mut chart = bars(&[20, 10, 3, 1, 1, 1, 1], 80);
            chart.note = "a long sentence about everything that was planned. ".repeat(8);
            chart.bars[0].label = name.to_owned();
            chart.bars[0].detail = "NVIDIA H100 80GB HBM3 · layers 100-125".to_owned();
            chart.bars = vec![chart.bars[0].clone(); count];
            let scene = chart.scene(Mode::Light);
            let boxes: Vec<(f64, f64, f64, f64, &str)> = scene
                .shapes
                .iter()
                .filter_map(|shape| match shape {
                    Shape::Text { x, y, size, anchor, text, .. } => {
                        let width = text_width(text, *size);
                        let left = match anchor {
                            Anchor::Start => *x,
                            Anchor::Middle => x - width / 2.0,
                            Anchor::End => x - width,
                        };
                        Some((left, left + width, y - size / 2.0, y + size / 2.0, text.as_str()))
                    }
                    _ => None,
                })
                .collect();
            for (place, a) in boxes.iter().enumerate() {
                assert!(a.0 >= 0.0 && a.1 <= f64::from(scene.width) + 1.0, "{count} {a:?}");
                for b in &boxes[place + 1..] {
                    assert!(a.1 <= b.0 || b.1 <= a.0 || a.3 <= b.2 || b.3 <= a.2, "{count} {a:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn every_shape_lies_within_the_picture() {
        for bars in [bars(&[20, 10], 80), bars(&[90, 30], 80), bars(&[], 0), bars(&[u64::MAX >> 34], 1)] {
            let scene = bars.scene(Mode::Dark);
            for shape in &scene.shapes {
                if let super::super::scene::Shape::Rectangle { x, y, width, height, .. } = shape {
                    assert!(*x >= 0.0 && x + width <= f64::from(scene.width) + 1.0, "{shape:?}");
                    assert!(*y >= 0.0 && y + height <= f64::from(scene.height) + 1.0, "{shape:?}");
                }
            }
            draw(&bars, Format::Svg, Mode::Dark).unwrap();
        }
    }
}
