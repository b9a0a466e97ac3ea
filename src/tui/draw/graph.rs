//! A curve over time as a filled area: braille dots, or letters where there is no Unicode.

/// Samples that a column of the graph shows.
pub const fn samples_per_column(braille: bool) -> u16 {
    if braille { 2 } else { 1 }
}

/// Rows of text, top first, each `columns` wide. `values` are shares of the height from 0 to 1, oldest first; the newest stands at the right
/// edge. A gap (`None`) stays blank, a zero is a dot at the bottom: "nothing happened" and "nobody told" are not the same.
pub fn graph(values: &[Option<f64>], columns: u16, rows: u16, braille: bool) -> Vec<String> {
    if braille { dots(values, columns, rows) } else { letters(values, columns, rows) }
}

/// Puts a horizontal line at `height` (0 to 1) into the free cells of a graph.
pub fn with_level(graph: &mut [String], height: f64, sign: &str) {
    let rows = graph.len();
    if !(0.0..=1.0).contains(&height) || rows == 0 {
        return;
    }
    let from_bottom = ((height * rows as f64) as usize).min(rows - 1);
    let row = &mut graph[rows - 1 - from_bottom];
    *row = row.chars().map(|c| if c == ' ' { sign.to_owned() } else { c.to_string() }).collect();
}

/// How many of `steps` steps a value fills; at least one.
fn level(value: Option<f64>, steps: u16) -> u16 {
    match value {
        Some(value) => ((value.clamp(0.0, 1.0) * f64::from(steps)).round() as u16).max(1),
        None => 0,
    }
}

/// `values` brought to exactly `count`: the newest, with gaps in front where there are fewer.
fn newest(values: &[Option<f64>], count: usize) -> Vec<Option<f64>> {
    let values = &values[values.len().saturating_sub(count)..];
    let mut padded = vec![None; count - values.len()];
    padded.extend_from_slice(values);
    padded
}

fn dots(values: &[Option<f64>], columns: u16, rows: u16) -> Vec<String> {
    /// Bits of a braille cell (U+2800 + bits) from the bottom up, left and right column of dots (the Unicode Standard, chapter 21.1).
    const BOTTOM_UP: [[u32; 4]; 2] = [[0x40, 0x04, 0x02, 0x01], [0x80, 0x20, 0x10, 0x08]];
    let steps = rows.saturating_mul(4);
    let levels: Vec<u16> =
        newest(values, usize::from(columns) * 2).into_iter().map(|value| level(value, steps)).collect();
    let cell = |pair: &[u16], below: u16| {
        let bits = pair.iter().zip(BOTTOM_UP).map(|(level, bits)| {
            let filled = usize::from(level.saturating_sub(below).min(4));
            bits[..filled].iter().sum::<u32>()
        });
        match bits.sum::<u32>() {
            0 => ' ',
            bits => char::from_u32(0x2800 + bits).unwrap_or(' '),
        }
    };
    (0..rows).rev().map(|row| levels.chunks(2).map(|pair| cell(pair, row * 4)).collect()).collect()
}

fn letters(values: &[Option<f64>], columns: u16, rows: u16) -> Vec<String> {
    const FILL: [char; 4] = [' ', '.', ':', '#'];
    let steps = rows.saturating_mul(3);
    let levels: Vec<u16> = newest(values, usize::from(columns)).into_iter().map(|value| level(value, steps)).collect();
    let cell = |level: &u16, below: u16| FILL[usize::from(level.saturating_sub(below).min(3))];
    (0..rows).rev().map(|row| levels.iter().map(|level| cell(level, row * 3)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_rise_from_the_bottom() {
        let values = [Some(0.0), Some(0.25), Some(0.5), Some(1.0)];
        assert_eq!(graph(&values, 2, 1, true), ["⣀⣼"]);
        assert_eq!(graph(&values, 3, 2, true), ["  ⢸", " ⣠⣿"]);
    }

    #[test]
    fn gaps_are_blank_and_zero_is_not() {
        assert_eq!(graph(&[None, None, Some(0.0), Some(0.0)], 2, 1, true), [" ⣀"]);
        assert_eq!(graph(&[None, Some(0.0)], 2, 1, false), [" ."]);
        assert_eq!(graph(&[], 3, 2, true), ["   ", "   "]);
    }

    #[test]
    fn letters_rise_too() {
        assert_eq!(graph(&[Some(0.1), Some(0.5), Some(1.0), Some(f64::NAN)], 4, 2, false), ["  # ", ".##."]);
    }

    #[test]
    fn a_level_crosses_what_is_free() {
        let mut rows = vec!["  ".to_owned(), " #".to_owned()];
        with_level(&mut rows, 0.2, "-");
        assert_eq!(rows, ["  ", "-#"]);
        with_level(&mut rows, 1.0, "-");
        assert_eq!(rows, ["--", "-#"]);
        with_level(&mut rows, 1.5, "x");
        with_level(&mut rows, f64::NAN, "x");
        assert_eq!(rows, ["--", "-#"]);
        with_level(&mut [], 0.5, "x");
    }

    #[test]
    fn only_the_newest_are_shown() {
        let values: Vec<_> = (0..100).map(|n| Some(f64::from(n) / 100.0)).collect();
        assert_eq!(graph(&values, 1, 1, true), ["⣿"]);
        assert_eq!(graph(&values, 0, 2, true), ["", ""]);
    }
}
