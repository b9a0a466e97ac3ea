//! The live screen: state, actions, update, draw.
//!
//! Keys and samples become an [`Action`]; [`update`] changes the [`State`] and returns the [`Effect`]s that the edge carries out;
//! [`draw`](draw::draw) reads the state and a [`Theme`] and paints. The state knows no colours and no clock, so a test (or a replay) feeds
//! it values and looks at what was painted. [`run`](run::run) joins them with the terminal; [`load`] shows a load with the same widgets.

mod action;
mod attended;
pub mod draw;
pub mod follow;
mod layout;
pub mod load;
mod playback;
mod player;
pub mod run;
mod session;
mod state;
mod terminal;
mod theme;
mod update;
mod view;

pub use action::{Action, Mode};
pub use playback::{Playback, Seek};
pub use state::{Frozen, Pane, Question, RecordingNote, Size, State};
pub use terminal::{Terminal, give_back};
pub use theme::{Meaning, Palette, Symbols, Theme};
pub use update::{Effect, update};
pub use view::View;
