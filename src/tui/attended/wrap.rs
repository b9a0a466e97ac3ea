//! Long sentences in rows.

use unicode_width::UnicodeWidthChar;

/// `text` in rows of at most `columns` columns, broken at blanks where there are some; rows after the first begin with `indent` blanks.
pub fn wrapped(text: &str, columns: u16, indent: u16) -> Vec<String> {
    let columns = usize::from(columns.max(8));
    let indent = usize::from(indent).min(columns / 2);
    let mut rows = Vec::new();
    let mut row = String::new();
    let mut taken = 0;
    for word in text.split_inclusive(' ') {
        let wide = word.trim_end().chars().map(columns_of).sum::<usize>();
        if taken + wide > columns && taken > indent {
            rows.push(row.trim_end().to_owned());
            (row, taken) = (" ".repeat(indent), indent);
        }
        for letter in word.chars() {
            let wide = columns_of(letter);
            // A word that is longer than a row is cut.
            if taken + wide > columns {
                if letter == ' ' {
                    continue;
                }
                rows.push(row.trim_end().to_owned());
                (row, taken) = (" ".repeat(indent), indent);
            }
            row.push(letter);
            taken += wide;
        }
    }
    if !row.trim().is_empty() || rows.is_empty() {
        rows.push(row.trim_end().to_owned());
    }
    rows
}

fn columns_of(letter: char) -> usize {
    letter.width().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;

    #[test]
    fn rows_break_at_blanks() {
        assert_eq!(wrapped("one two three four", 9, 0), ["one two", "three", "four"]);
        assert_eq!(wrapped("one two three four", 10, 2), ["one two", "  three", "  four"]);
        assert_eq!(wrapped("", 10, 2), [""]);
        assert_eq!(wrapped("abcdefghijklmno", 10, 2), ["abcdefghij", "  klmno"]);
    }

    #[test]
    fn no_row_is_too_wide_and_no_letter_is_lost() {
        let texts =
            ["--gpu-memory-utilization 0.85 模型模型 and a word-that-is-longer-than-all-the-others", "a  b", "   x"];
        for text in texts {
            for columns in 8..40 {
                for indent in [0, 2, 30] {
                    let rows = wrapped(text, columns, indent);
                    assert!(rows.iter().all(|row| row.width() <= usize::from(columns)), "{columns} {rows:?}");
                    let letters = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
                    assert_eq!(letters(&rows.concat()), letters(text));
                }
            }
        }
    }
}
