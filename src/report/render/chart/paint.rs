//! From a scene to the bytes of a file.

use std::sync::OnceLock;

use plotters::coord::Shift;
use plotters::prelude::{
    BitMapBackend, Color, DrawingArea, DrawingAreaErrorKind, DrawingBackend, IntoDrawingArea, PathElement, Polygon,
    RGBColor, Rectangle, SVGBackend, ShapeStyle, Text,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontDesc, FontFamily, FontStyle, TextStyle, register_font};

use super::colours::Rgb;
use super::scene::{Anchor, Shape};
use super::{Chart, Mode, Scene};

/// How a picture is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Scales without loss.
    Svg,
    /// Two pixels for each of the scene's.
    Png,
}

/// A picture that cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChartError {
    /// No such kind of file.
    #[error("`{0}` is no kind of picture that is drawn: a name ends in `.svg` or `.png`")]
    Format(String),
    /// The drawing library refuses.
    #[error("the picture cannot be drawn: {0}")]
    Drawing(String),
}

impl Format {
    /// The format that the ending of a file's name says.
    ///
    /// # Errors
    /// When it is neither.
    pub fn of_name(name: &str) -> Result<Self, ChartError> {
        match name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).as_deref() {
            Some("svg") => Ok(Self::Svg),
            Some("png") => Ok(Self::Png),
            _ => Err(ChartError::Format(name.to_owned())),
        }
    }
}

/// Pixels of a PNG for each of the scene's: sharp on a projector.
const SCALE: u32 = 2;
/// Name under which the bundled fonts are known; in an SVG it asks for the viewer's own, which need not be there to draw it.
const FAMILY: &str = "sans-serif";

/// Draws a chart.
///
/// # Errors
/// When the drawing library refuses.
pub fn draw(chart: &impl Chart, format: Format, mode: Mode) -> Result<Vec<u8>, ChartError> {
    fonts()?;
    let scene = chart.scene(mode);
    let failed = |error: &dyn std::fmt::Display| ChartError::Drawing(error.to_string());
    match format {
        Format::Svg => {
            let mut text = String::new();
            let area = SVGBackend::with_string(&mut text, (scene.width, scene.height)).into_drawing_area();
            paint(&scene, &area, 1.0).map_err(|error| failed(&error))?;
            drop(area);
            Ok(text.into_bytes())
        }
        Format::Png => {
            let (width, height) = (scene.width * SCALE, scene.height * SCALE);
            let mut pixels = vec![0u8; width as usize * height as usize * 3];
            let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
            paint(&scene, &area, f64::from(SCALE)).map_err(|error| failed(&error))?;
            drop(area);
            encode(&pixels, width, height).map_err(|error| failed(&error))
        }
    }
}

fn fonts() -> Result<(), ChartError> {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    let registered = REGISTERED.get_or_init(|| {
        let regular = include_bytes!("../../../../profiles/fonts/inter-regular.otf");
        let semibold = include_bytes!("../../../../profiles/fonts/inter-semibold.otf");
        register_font(FAMILY, FontStyle::Normal, regular).is_ok()
            && register_font(FAMILY, FontStyle::Bold, semibold).is_ok()
    });
    if *registered { Ok(()) } else { Err(ChartError::Drawing("the bundled font cannot be read".to_owned())) }
}

fn encode(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>, png::EncodingError> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(pixels)?;
    Ok(out)
}

const fn rgb((red, green, blue): Rgb) -> RGBColor {
    RGBColor(red, green, blue)
}

/// A line from point to point, cut into dashes.
fn dashes(points: &[(f64, f64)]) -> Vec<Vec<(f64, f64)>> {
    const DASH: f64 = 7.0;
    const GAP: f64 = 5.0;
    let mut dashes = Vec::new();
    for pair in points.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        if !length.is_finite() || length <= 0.0 {
            continue;
        }
        let at = |distance: f64| {
            let share = (distance / length).min(1.0);
            (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share)
        };
        let count = (length / (DASH + GAP)).ceil().min(10_000.0) as u32;
        dashes.extend((0..count).map(f64::from).map(|n| {
            let begin = n * (DASH + GAP);
            vec![at(begin), at(begin + DASH)]
        }));
    }
    dashes
}

type Painted<B> = Result<(), DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

fn paint<B: DrawingBackend>(scene: &Scene, area: &DrawingArea<B, Shift>, scale: f64) -> Painted<B> {
    area.fill(&rgb(scene.background))?;
    let pixel = |(x, y): (f64, f64)| ((x * scale).round() as i32, (y * scale).round() as i32);
    for shape in &scene.shapes {
        match shape {
            Shape::Rectangle { x, y, width, height, fill, opacity } => {
                let style = ShapeStyle::from(rgb(*fill).mix(*opacity)).filled();
                let (left, top) = pixel((*x, *y));
                let (right, bottom) = pixel((x + width, y + height));
                // Corners are pixels that belong to the rectangle: the next one begins a pixel further on.
                let corner = ((right - 1).max(left), (bottom - 1).max(top));
                let corner = if scale > 1.0 { corner } else { (right, bottom) };
                area.draw(&Rectangle::new([(left, top), corner], style))?;
            }
            Shape::Area { points, fill, opacity } => {
                let points: Vec<_> = points.iter().map(|point| pixel(*point)).collect();
                area.draw(&Polygon::new(points, rgb(*fill).mix(*opacity)))?;
            }
            Shape::Line { points, colour, width, dashed } => {
                let style = ShapeStyle::from(rgb(*colour)).stroke_width((f64::from(*width) * scale) as u32);
                let pieces = if *dashed { dashes(points) } else { vec![points.clone()] };
                for piece in pieces {
                    let points: Vec<_> = piece.into_iter().map(pixel).collect();
                    area.draw(&PathElement::new(points, style))?;
                }
            }
            Shape::Text { x, y, size, bold, colour, anchor, text } => {
                let style = if *bold { FontStyle::Bold } else { FontStyle::Normal };
                let horizontal = match anchor {
                    Anchor::Start => HPos::Left,
                    Anchor::Middle => HPos::Center,
                    Anchor::End => HPos::Right,
                };
                // Not `into_font().style(…)`, which keeps the letters of the normal style.
                let font = FontDesc::new(FontFamily::SansSerif, size * scale, style);
                let colour = rgb(*colour);
                let look = TextStyle::from(font).color(&colour).pos(Pos::new(horizontal, VPos::Center));
                // The bitmap writer centres a box that ends above the letters' own.
                let y = if scale > 1.0 { y + size * 0.12 } else { *y };
                area.draw(&Text::new(text.clone(), pixel((*x, y)), look))?;
            }
        }
    }
    area.present()
}

#[cfg(test)]
mod tests {
    use super::super::scene::Type;
    use super::*;

    struct Sample;

    impl Chart for Sample {
        fn scene(&self, mode: Mode) -> Scene {
            let mut scene = Scene::new(200, 80, mode.ink().background);
            scene.rectangle((10.0, 10.0), (50.0, 20.0), (1, 2, 3));
            scene.text((20.0, 50.0), Type::new(18.0, mode.ink().text), "7.5 GiB · <b>");
            scene.line(vec![(0.0, 0.0), (199.0, 79.0)], (9, 9, 9), 2, true);
            scene
        }
    }

    #[test]
    fn pictures_are_whole_and_the_same_each_time() {
        let svg = draw(&Sample, Format::Svg, Mode::Light).unwrap();
        assert_eq!(svg, draw(&Sample, Format::Svg, Mode::Light).unwrap());
        let text = String::from_utf8(svg).unwrap();
        assert!(text.starts_with("<svg") && text.trim_end().ends_with("</svg>"));
        assert!(text.contains("&lt;b&gt;"), "text is escaped: {text}");
        let picture = draw(&Sample, Format::Png, Mode::Dark).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(picture)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((frame.width, frame.height), (400, 160));
        let at = |x: usize, y: usize| &pixels[(y * 400 + x) * 3..][..3];
        assert_eq!(at(300, 10), [18, 21, 26]);
        assert_eq!(at(40, 50), [1, 2, 3]);
        let lit = pixels.chunks(3).skip(400 * 80).filter(|pixel| pixel[0] > 180).count();
        assert!(lit > 50, "the bundled font paints letters: {lit} bright pixels");
    }

    #[test]
    fn the_ending_decides_the_format() {
        assert_eq!(Format::of_name("a.b.SVG"), Ok(Format::Svg));
        assert_eq!(Format::of_name("x.png"), Ok(Format::Png));
        for name in ["x", "x.pdf", ".svgz"] {
            assert!(Format::of_name(name).is_err(), "{name}");
        }
    }
}
