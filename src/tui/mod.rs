//! The live screen: state, actions, update, draw.
//!
//! Keys and samples become an [`Action`]; [`update`] changes the [`State`] and returns the [`Effect`]s that the edge carries out;
//! [`draw`](draw::draw) reads the state and a [`Theme`] and paints. The state knows no colours and no clock, so a test (or a replay) feeds
//! it values and looks at what was painted. [`run`](run::run) joins them with the terminal; [`load`] shows a load with the same widgets.

mod action;
pub mod draw;
mod layout;
pub mod load;
pub mod run;
mod state;
mod terminal;
mod theme;
mod update;

pub use action::Action;
pub use state::{Frozen, Pane, Size, State};
pub use terminal::Terminal;
pub use theme::{Meaning, Palette, Symbols, Theme};
pub use update::{Effect, update};
