//! A plan in the engine's own words.

/// The lines that the engine would print, one a line; for engines whose words are not known, a sentence that says so.
#[must_use]
pub fn as_log(engine: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return format!("{engine} prints nothing about memory that is known here\n");
    }
    let mut text = lines.join("\n");
    text.push('\n');
    text
}
