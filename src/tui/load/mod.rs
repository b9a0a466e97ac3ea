//! The live screen of a load: what each rank has, how fast it goes, how the cards fill.
//!
//! [`LoadView`] is a plain value that whoever runs the load fills from its progress; [`LoadScreen`] paints it:
//!
//! ```no_run
//! use shardfit::tui::Theme;
//! use shardfit::tui::load::{LoadScreen, LoadView, Wish};
//! # fn progress() -> LoadView { LoadView::default() }
//! # fn is_done() -> bool { true }
//!
//! let mut screen = LoadScreen::open(Theme::default(), None)?;
//! while !is_done() {
//!     if screen.show(progress())? == Wish::Stop {
//!         break; // tell the load to cancel
//!     }
//! }
//! # Ok::<(), std::io::Error>(())
//! ```

pub(super) mod draw;
mod screen;
mod speed;
mod state;

pub use draw::draw;
pub use screen::{LoadScreen, Wish};
pub use speed::Speed;
pub use state::{LoadState, LoadView, RankProgress};
