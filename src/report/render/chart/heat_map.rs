//! Which context lengths fit at which concurrency.

use super::Chart;
use super::colours::{Hue, Mode, Rgb};
use super::scene::{Anchor, Scene, Type, fitted, heading};

/// A table of verdicts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeatMap {
    /// First line.
    pub title: String,
    /// Second line.
    pub subtitle: String,
    /// Context lengths in tokens, from the left.
    pub contexts: Vec<u64>,
    /// Sequences at once, from the bottom.
    pub concurrencies: Vec<u64>,
    /// A row for each concurrency, in it a cell for each context.
    pub cells: Vec<Vec<Cell>>,
}

/// One verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// Fits at high demand.
    Fits,
    /// Fits at expected demand alone.
    Tight,
    /// Does not fit.
    Not,
    /// Cannot be told.
    Unknown,
}

impl Cell {
    const ALL: [Self; 4] = [Self::Fits, Self::Tight, Self::Not, Self::Unknown];

    fn hue(self) -> Hue {
        match self {
            Self::Fits => Hue::Green,
            // Next to orange, the pale vermilion of what does not fit looks the same to many eyes.
            Self::Tight => Hue::Yellow,
            Self::Not => Hue::Vermilion,
            Self::Unknown => Hue::Pale,
        }
    }

    /// In the cell, so that it reads without colour.
    const fn word(self) -> &'static str {
        match self {
            Self::Fits => "fits",
            Self::Tight => "tight",
            Self::Not => "no",
            Self::Unknown => "?",
        }
    }

    const fn meaning(self) -> &'static str {
        match self {
            Self::Fits => "fits at high demand",
            Self::Tight => "tight: fits at expected demand",
            Self::Not => "does not fit",
            Self::Unknown => "cannot be told",
        }
    }

    /// What does not fit is paler, so that what fits is seen first.
    fn fill(self, mode: Mode) -> (Rgb, f64) {
        let opacity = match self {
            Self::Fits => 1.0,
            Self::Tight => 0.9,
            Self::Not => 0.55,
            Self::Unknown => 0.4,
        };
        (self.hue().rgb(mode), opacity)
    }
}

/// `8k`, `131k` by 1024: how lengths are talked about; odd ones in full.
fn tokens(count: u64) -> String {
    if count >= 1024 && count.is_multiple_of(1024) { format!("{}k", count / 1024) } else { count.to_string() }
}

impl Chart for HeatMap {
    fn scene(&self, mode: Mode) -> Scene {
        const WIDTH: f64 = 1280.0;
        const LEFT: f64 = 150.0;
        let ink = mode.ink();
        let (columns, rows) = (self.contexts.len().max(1) as f64, self.concurrencies.len().max(1) as f64);
        let cell = (((WIDTH - 48.0 - LEFT) / columns).min(210.0), (440.0 / rows).clamp(34.0, 56.0));
        let mut scene = Scene::new(WIDTH as u32, 0, ink.background);
        let mut top = heading(&mut scene, &self.title, &self.subtitle, mode) + 10.0;
        let mut x = 48.0;
        for kind in Cell::ALL.into_iter().filter(|kind| self.cells.iter().flatten().any(|cell| cell == kind)) {
            let (fill, opacity) = kind.fill(mode);
            scene.faint((x, top - 7.0), (14.0, 14.0), fill, opacity);
            scene.text((x + 22.0, top), Type::new(16.0, ink.text), kind.meaning());
            x += 48.0 + super::scene::text_width(kind.meaning(), 16.0);
        }
        top += 52.0;
        scene.text((48.0, top - 20.0), Type::new(15.0, ink.muted), "sequences at once");
        for (row, (count, cells)) in self.concurrencies.iter().zip(&self.cells).enumerate() {
            // The smallest is at the bottom, as on an axis.
            let y = top + cell.1 * (rows - 1.0 - row as f64);
            let label = Type::new(17.0, ink.text).at(Anchor::End);
            scene.text((LEFT - 14.0, y + cell.1 / 2.0), label, count.to_string());
            for (column, verdict) in cells.iter().enumerate() {
                let x = LEFT + cell.0 * column as f64;
                let (fill, opacity) = verdict.fill(mode);
                scene.faint((x + 1.5, y + 1.5), (cell.0 - 3.0, cell.1 - 3.0), fill, opacity);
                let colour = if opacity < 1.0 { ink.text } else { verdict.hue().text_on(mode) };
                let look = Type::new(16.0, colour).at(Anchor::Middle);
                scene.text((x + cell.0 / 2.0, y + cell.1 / 2.0), look, fitted(verdict.word(), 16.0, cell.0));
            }
        }
        let bottom = top + cell.1 * rows;
        for (column, count) in self.contexts.iter().enumerate() {
            let x = LEFT + cell.0 * (column as f64 + 0.5);
            scene.text((x, bottom + 20.0), Type::new(17.0, ink.text).at(Anchor::Middle), tokens(*count));
        }
        let middle = LEFT + cell.0 * columns / 2.0;
        let look = Type::new(15.0, ink.muted).at(Anchor::Middle);
        scene.text((middle, bottom + 48.0), look, "tokens of each sequence (k = 1024)");
        scene.height = (bottom + 80.0) as u32;
        scene
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Format, draw};
    use super::*;

    #[test]
    fn verdicts_are_words_too() {
        let map = HeatMap {
            title: "t".to_owned(),
            subtitle: "s".to_owned(),
            contexts: vec![4096, 8192, 10_000],
            concurrencies: vec![1, 2],
            cells: vec![vec![Cell::Fits, Cell::Fits, Cell::Tight], vec![Cell::Fits, Cell::Not, Cell::Unknown]],
        };
        let scene = map.scene(Mode::Light);
        let count = |word: &str| scene.texts().iter().filter(|text| **text == word).count();
        assert_eq!([count("fits"), count("tight"), count("no"), count("?")], [3, 1, 1, 1]);
        assert_eq!([count("4k"), count("8k"), count("10000")], [1, 1, 1]);
        draw(&map, Format::Png, Mode::Dark).unwrap();
        let empty = HeatMap { contexts: vec![], concurrencies: vec![], cells: vec![], ..map };
        draw(&empty, Format::Svg, Mode::Light).unwrap();
    }
}
