//! The live screen of a load: what each rank has, how fast it goes, how the cards fill under the plan's outline, what went wrong, and
//! the verdict at the end.
//!
//! [`LoadView`] is a plain value that whoever runs the load fills from its progress; [`LoadScreen`] paints it:
//!
//! ```no_run
//! use shardfit::tui::Theme;
//! use shardfit::tui::load::{LoadScreen, LoadView, Wish};
//! # fn progress() -> LoadView { LoadView::default() }
//! # fn is_done() -> bool { true }
//!
//! let mut screen = LoadScreen::open(Theme::default(), None, None)?;
//! while !is_done() {
//!     if screen.show(progress())? == Wish::Stop {
//!         break; // tell the load to cancel
//!     }
//! }
//! # Ok::<(), std::io::Error>(())
//! ```

mod draw;
mod ending;
mod screen;
mod speed;
mod state;

pub use draw::draw;
pub use screen::LoadScreen;
pub use speed::Speed;
pub use state::{LoadState, LoadView, RankProgress};

pub use super::attended::{Ending, LogLine, Onlooker, Question, Step, Tone, Wish};
