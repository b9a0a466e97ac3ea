//! Memory, and other things that change, over time: a row a card, marks across all rows.

use super::Chart;
use super::colours::{Hue, Mode};
use super::scene::{Anchor, Scene, Shape, Type, fitted, heading, ticks};

/// Rows over one axis of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Timeline {
    /// First line.
    pub title: String,
    /// Second line.
    pub subtitle: String,
    /// The rows, from the top.
    pub rows: Vec<Row>,
    /// Moments with a name.
    pub moments: Vec<Moment>,
    /// Begin and end of the axis, in seconds.
    pub from: f64,
    /// End of the axis.
    pub to: f64,
}

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// In front of it.
    pub label: String,
    /// Below the label.
    pub detail: String,
    /// What it shows.
    pub curve: Curve,
    /// The top of its axis: a card's capacity, or the most there is.
    pub most: f64,
    /// Unit of the axis: `GiB`, `GB/s`.
    pub unit: &'static str,
    /// A level that a plan predicts.
    pub planned: Option<f64>,
}

/// Values over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Seconds and value; `None` is a gap.
    pub points: Vec<(f64, Option<f64>)>,
    /// Colour.
    pub hue: Hue,
}

/// A moment with a name.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// Seconds.
    pub at: f64,
    /// What happened.
    pub text: String,
    /// Whether it is a failure or an alarm.
    pub bad: bool,
}

const WIDTH: f64 = 1280.0;
const LEFT: f64 = 236.0;
const RIGHT: f64 = 1200.0;
/// Moments listed in words.
const LISTED: usize = 8;

/// `40 ms`, `7.5 s`, `12:30`, `3:05:00`; whole axes use one form, by their `span`.
fn time(seconds: f64, span: f64) -> String {
    // A moment that is noticed just before the first sample is of the begin; plus zero takes the sign off a negative zero.
    let seconds = seconds.max(0.0) + 0.0;
    let whole = seconds as u64;
    match span {
        ..2.0 => format!("{:.0} ms", seconds * 1000.0),
        ..20.0 => format!("{} s", (seconds * 100.0).round() / 100.0),
        ..120.0 => format!("{} s", (seconds * 10.0).round() / 10.0),
        ..3600.0 => format!("{}:{:02}", whole / 60, whole % 60),
        _ => format!("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60),
    }
}

/// Steps of an axis of time: round in seconds below two minutes, in minutes, hours and days above.
fn time_ticks(span: f64) -> Vec<f64> {
    const STEPS: [f64; 14] = [
        30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0, 21_600.0, 43_200.0, 86_400.0,
        172_800.0,
    ];
    match STEPS.into_iter().find(|step| span / step <= 8.0) {
        Some(step) if span >= 120.0 => (0..=(span / step) as u32).map(|n| f64::from(n) * step).collect(),
        _ => ticks(span),
    }
}

impl Chart for Timeline {
    fn scene(&self, mode: Mode) -> Scene {
        let ink = mode.ink();
        let pitch = (560.0 / self.rows.len().max(1) as f64).clamp(46.0, 190.0);
        let mut scene = Scene::new(WIDTH as u32, 0, ink.background);
        let mut top = heading(&mut scene, &self.title, &self.subtitle, mode) + 26.0;
        if self.rows.iter().any(|row| row.planned.is_some()) {
            scene.line(vec![(48.0, top - 14.0), (84.0, top - 14.0)], ink.text, 2, true);
            scene.text((92.0, top - 14.0), Type::new(15.0, ink.text), "planned");
            scene.line(vec![(180.0, top - 14.0), (216.0, top - 14.0)], ink.limit, 2, false);
            scene.text((224.0, top - 14.0), Type::new(15.0, ink.text), "capacity");
            let colour = Hue::Blue.rgb(mode);
            scene.faint((312.0, top - 21.0), (36.0, 14.0), colour, 0.30);
            scene.line(vec![(312.0, top - 21.0), (348.0, top - 21.0)], colour, 2, false);
            scene.text((356.0, top - 14.0), Type::new(15.0, ink.text), "in use");
            top += 18.0;
        }
        let bottom = top + pitch * self.rows.len() as f64;
        let span = (self.to - self.from).max(f64::MIN_POSITIVE);
        let x = |at: f64| LEFT + ((at - self.from) / span).clamp(0.0, 1.0) * (RIGHT - LEFT);
        for tick in time_ticks(span) {
            let at = x(self.from + tick);
            scene.line(vec![(at, top), (at, bottom)], ink.grid, 1, false);
            scene.text((at, bottom + 18.0), Type::new(15.0, ink.muted).at(Anchor::Middle), time(tick, span));
        }
        for (place, row) in self.rows.iter().enumerate() {
            draw_row(&mut scene, row, top + pitch * place as f64, pitch, &x, mode);
        }
        let end = self.draw_moments(&mut scene, (top, bottom), &x, mode);
        scene.height = (end + 34.0) as u32;
        scene
    }
}

impl Timeline {
    /// Lines across the rows, numbered; the first of them in words below. Returns where they end.
    fn draw_moments(&self, scene: &mut Scene, (top, bottom): (f64, f64), x: &impl Fn(f64) -> f64, mode: Mode) -> f64 {
        let ink = mode.ink();
        let mut y = bottom + 44.0;
        // Failures first: where there are too many, a note can be missed and an alarm cannot.
        let mut listed: Vec<&Moment> = self.moments.iter().filter(|moment| moment.bad).take(LISTED).collect();
        let room = LISTED - listed.len();
        listed.extend(self.moments.iter().filter(|moment| !moment.bad).take(room));
        listed.sort_by(|a, b| a.at.total_cmp(&b.at));
        let mut last_label = f64::MIN;
        for moment in &self.moments {
            let colour = if moment.bad { Hue::Vermilion.rgb(mode) } else { ink.muted };
            scene.line(vec![(x(moment.at), top), (x(moment.at), bottom)], colour, 2, !moment.bad);
        }
        for (number, moment) in (1..).zip(&listed) {
            let colour = if moment.bad { Hue::Vermilion.rgb(mode) } else { ink.muted };
            let at = x(moment.at);
            if at - last_label > 16.0 {
                scene.text((at, top - 9.0), Type::new(14.0, colour).bold().at(Anchor::Middle), number.to_string());
                last_label = at;
            }
            scene.text((48.0, y), Type::new(15.0, colour).bold(), number.to_string());
            scene.text((76.0, y), Type::new(15.0, ink.muted), time(moment.at - self.from, self.to - self.from));
            scene.text((160.0, y), Type::new(15.0, ink.text), fitted(&moment.text, 15.0, WIDTH - 208.0));
            y += 24.0;
        }
        if self.moments.len() > listed.len() {
            let rest = format!("and {} more", self.moments.len() - listed.len());
            scene.text((160.0, y), Type::new(15.0, ink.muted), rest);
            y += 24.0;
        }
        y - 14.0
    }
}

fn draw_row(scene: &mut Scene, row: &Row, top: f64, pitch: f64, x: &impl Fn(f64) -> f64, mode: Mode) {
    let ink = mode.ink();
    let (upper, lower) = (top + 8.0, top + pitch - 8.0);
    let most = row.most.max(f64::MIN_POSITIVE);
    let y = |value: f64| lower - (value / most).clamp(0.0, 1.0) * (lower - upper);
    let middle = top + pitch / 2.0;
    // In a low row the label stands beside the top of the axis.
    let label = fitted(&row.label, 17.0, if pitch < 70.0 { LEFT - 104.0 } else { LEFT - 60.0 });
    scene.text((48.0, middle - 10.0), Type::new(17.0, ink.text).bold(), label);
    scene.text((48.0, middle + 12.0), Type::new(14.0, ink.muted), fitted(&row.detail, 14.0, LEFT - 64.0));
    let figure = |value: f64| format!("{:.*}", usize::from(value < 10.0), value);
    scene.text(
        (LEFT - 10.0, upper + 4.0),
        Type::new(13.0, ink.muted).at(Anchor::End),
        format!("{} {}", figure(most), row.unit),
    );
    scene.text((LEFT - 10.0, lower - 4.0), Type::new(13.0, ink.muted).at(Anchor::End), "0");
    let colour = row.curve.hue.rgb(mode);
    for piece in pieces(&row.curve.points) {
        let line: Vec<(f64, f64)> = piece.iter().map(|(at, value)| (x(*at), y(*value))).collect();
        if let (Some(first), Some(last)) = (line.first().copied(), line.last().copied()) {
            let corners = [(last.0, lower), (first.0, lower)];
            let points = line.iter().copied().chain(corners).collect();
            scene.shapes.push(Shape::Area { points, fill: colour, opacity: 0.30 });
        }
        scene.line(line, colour, 2, false);
    }
    scene.line(vec![(LEFT, lower), (RIGHT, lower)], ink.muted, 1, false);
    scene.line(vec![(LEFT, upper), (RIGHT, upper)], ink.limit, if row.planned.is_some() { 2 } else { 1 }, false);
    if let Some(planned) = row.planned {
        scene.line(vec![(LEFT, y(planned)), (RIGHT, y(planned))], ink.text, 2, true);
        let label = Type::new(13.0, ink.text).at(Anchor::Start);
        // Less than the axis can show is not nothing.
        let text = if planned > 0.0 && planned < 0.05 { "< 0.1".to_owned() } else { format!("{planned:.1}") };
        scene.text((RIGHT + 8.0, y(planned)), label, text);
    }
}

/// The stretches between gaps.
fn pieces(points: &[(f64, Option<f64>)]) -> Vec<Vec<(f64, f64)>> {
    let mut pieces: Vec<Vec<(f64, f64)>> = vec![Vec::new()];
    for (at, value) in points {
        match (value, pieces.last_mut()) {
            (Some(value), Some(piece)) => piece.push((*at, *value)),
            _ => pieces.push(Vec::new()),
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

#[cfg(test)]
mod tests {
    use super::super::{Format, draw};
    use super::*;

    fn timeline(points: Vec<(f64, Option<f64>)>) -> Timeline {
        let row = Row {
            label: "card 0".to_owned(),
            detail: "A10".to_owned(),
            curve: Curve { points, hue: Hue::Blue },
            most: 22.0,
            unit: "GiB",
            planned: Some(20.0),
        };
        let moments = (0..12).map(|n| Moment { at: f64::from(n), text: format!("moment {n}"), bad: n == 11 }).collect();
        Timeline { title: "t".to_owned(), subtitle: "s".to_owned(), rows: vec![row], moments, from: 0.0, to: 12.0 }
    }

    #[test]
    fn an_axis_of_time_has_round_steps() {
        let texts = |span: f64| time_ticks(span).into_iter().map(|tick| time(tick, span)).collect::<Vec<_>>();
        assert_eq!(texts(8.0), ["0 s", "2 s", "4 s", "6 s", "8 s"]);
        assert_eq!(texts(0.02), ["0 ms", "5 ms", "10 ms", "15 ms", "20 ms"]);
        assert_eq!(time(-0.01, 8.0), "0 s");
        assert_eq!(texts(900.0), ["0:00", "2:00", "4:00", "6:00", "8:00", "10:00", "12:00", "14:00"]);
        assert_eq!(texts(86_400.0)[1], "4:00:00");
        assert!(time_ticks(1e7).len() < 10);
    }

    #[test]
    fn gaps_part_the_curve() {
        assert_eq!(pieces(&[(0.0, None), (1.0, Some(1.0)), (2.0, Some(2.0)), (3.0, None), (4.0, Some(4.0))]).len(), 2);
        assert!(pieces(&[(0.0, None)]).is_empty());
    }

    #[test]
    fn alarms_are_listed_before_notes() {
        let timeline = timeline(vec![(0.0, Some(1.0)), (12.0, Some(21.0))]);
        let scene = timeline.scene(Mode::Light);
        let texts = scene.texts();
        assert!(texts.contains(&"moment 11") && texts.contains(&"and 4 more"), "{texts:?}");
        assert!(!texts.contains(&"moment 8"));
        for format in [Format::Svg, Format::Png] {
            draw(&timeline, format, Mode::Dark).unwrap();
        }
    }

    #[test]
    fn empty_and_odd_data_are_drawn() {
        for points in [vec![], vec![(0.0, Some(f64::NAN))], vec![(5.0, Some(1e300))]] {
            draw(&timeline(points), Format::Svg, Mode::Light).unwrap();
        }
        let none = Timeline { rows: vec![], moments: vec![], to: 0.0, ..timeline(vec![]) };
        draw(&none, Format::Png, Mode::Light).unwrap();
    }
}
