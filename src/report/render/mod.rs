//! Reports as text. Renderers format what the report holds and compute nothing.

mod as_log;
mod calibration_text;
pub mod chart;
mod columns;
mod comparison_text;
mod diagnosis_markdown;
mod diagnosis_text;
mod load_text;
mod plan_explain;
mod plan_markdown;
mod plan_text;
pub mod probe_markdown;
pub mod probe_text;
mod profiles_text;
mod run_text;
mod style;
pub mod top_csv;
pub mod top_text;

pub use as_log::as_log;
pub use calibration_text::calibration_text;
pub use comparison_text::{comparison_markdown, comparison_text};
pub use diagnosis_markdown::diagnosis_markdown;
pub use diagnosis_text::{diagnosis_text, headline as finding_headline, repair_text as repair_line};
pub use load_text::load_text;
pub use plan_explain::plan_explain;
pub use plan_markdown::plan_markdown;
pub use plan_text::plan_text;
pub use profiles_text::{profile_list_text, profile_text};
pub use run_text::run_text;
