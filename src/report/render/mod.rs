//! Reports as text, tables and charts. A renderer formats; what it shows was computed before.

mod columns;
pub mod probe_markdown;
pub mod probe_text;
pub mod top_text;
