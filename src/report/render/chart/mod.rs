//! Pictures for slides and reports: [`Bars`] (memory by component against capacity), [`HeatMap`] (what fits at which context and
//! concurrency), [`Timeline`] (memory and speed over time).
//!
//! A chart is data; it becomes a scene of rectangles, lines and texts, and [`draw`] paints the scene as SVG or PNG, light or dark. The
//! colours are told apart by people with any of the usual colour-vision deficiencies, and nothing is told by colour alone.

mod bars;
mod colours;
mod heat_map;
mod ledgers;
mod load;
mod paint;
mod scene;
mod timeline;

pub use bars::{Bar, Bars, Segment};
pub use colours::{Hue, Mode};
pub use heat_map::{Cell, HeatMap};
pub use load::LoadHistory;
pub use paint::{ChartError, Format, draw};
pub use scene::Scene;
pub use timeline::{Curve, Moment, Row, Timeline};

/// Something that can be drawn.
pub trait Chart {
    /// The picture as rectangles, lines and texts.
    fn scene(&self, mode: Mode) -> Scene;
}
