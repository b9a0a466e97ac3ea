//! The few colours that text uses. Streams that are no terminals strip them.

/// Good news.
pub(super) const GREEN: &str = "\u{1b}[1;32m";
/// Bad news.
pub(super) const RED: &str = "\u{1b}[1;31m";
/// Doubtful news.
pub(super) const YELLOW: &str = "\u{1b}[1;33m";
/// Less important than the rest.
pub(super) const DIM: &str = "\u{1b}[2m";
/// Back to normal.
pub(super) const RESET: &str = "\u{1b}[0m";
