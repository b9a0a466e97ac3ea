//! `shardfit probe`

#![expect(clippy::disallowed_methods, reason = "reads the environment that a CUDA process started here would have")]

use std::path::PathBuf;

use clap::Args;

use crate::cli::{Exit, Format, Output, Problem};
use crate::probe::{NvmlProbe, Probe, ProbeError, RecordedProbe, Wanted, save_recording};
use crate::report::probe::{CudaEnvironment, ProbeReport, ProbeSource};
use crate::report::render::{probe_markdown, probe_text};

/// Flags of `probe`.
#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// Show a recording instead of this machine's cards
    #[arg(long, value_name = "FILE")]
    pub recording: Option<PathBuf>,
    /// Also write what the cards said to a recording
    #[arg(long, value_name = "FILE", conflicts_with = "recording")]
    pub save: Option<PathBuf>,
}

/// Prints one snapshot of the cards.
///
/// # Errors
/// When no driver answers (exit 3), or a recording cannot be read or written (exit 2).
pub fn run(args: &ProbeArgs, output: &mut Output) -> Result<Exit, Problem> {
    let (snapshot, source) = match &args.recording {
        Some(path) => (RecordedProbe::open(path)?.snapshot()?, ProbeSource::Recording),
        None => (NvmlProbe::open(Wanted::EVERYTHING)?.snapshot()?, ProbeSource::Live),
    };
    if let Some(path) = &args.save {
        save_recording(path, &snapshot, None)?;
        output.talk(&format!("recorded to {}", path.display()));
    }
    let report = ProbeReport::new(&snapshot, source, &cuda_environment());
    match output.format {
        Format::Text | Format::Csv => output.data(&probe_text::render(&report)),
        Format::Json => output.json(&report),
        Format::Markdown => output.data(&probe_markdown::render(&report)),
    }
    for warning in &report.warnings {
        output.warn(warning);
    }
    Ok(if report.lost_cards().is_empty() { Exit::Fits } else { Exit::CannotTell })
}

/// The variables as they are set for this process; text that is no Unicode names no card, and is shown with its odd bytes replaced.
fn cuda_environment() -> CudaEnvironment {
    let variable = |name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    CudaEnvironment { visible_devices: variable("CUDA_VISIBLE_DEVICES"), device_order: variable("CUDA_DEVICE_ORDER") }
}

impl From<ProbeError> for Problem {
    fn from(error: ProbeError) -> Self {
        let problem = if error.is_bad_input() { Self::usage(&error) } else { Self::cannot_tell(&error) };
        match error.hint() {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    }
}
