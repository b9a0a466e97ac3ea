//! The screens of `top`.

/// What fills the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum View {
    /// All cards, and the processes below.
    #[default]
    Overview,
    /// One card with all its figures.
    Card,
    /// The processes alone.
    Processes,
    /// Memory of all cards over time.
    Timeline,
    /// What the plan predicts beside what is used.
    Plan,
}

impl View {
    /// All, in the order of their keys.
    pub const ALL: [Self; 5] = [Self::Overview, Self::Card, Self::Processes, Self::Timeline, Self::Plan];

    /// For header and help.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Card => "card",
            Self::Processes => "processes",
            Self::Timeline => "timeline",
            Self::Plan => "plan",
        }
    }

    /// The key that opens it: its place in [`View::ALL`], from 1.
    #[must_use]
    pub const fn key(self) -> u8 {
        self as u8 + 1
    }
}
