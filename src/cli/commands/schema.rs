//! `shardfit schema`

use clap::{Args, ValueEnum};

use crate::cli::{Exit, Output, Problem};
use crate::report::run::RunReport;
use crate::report::{
    CalibrationReport, ComparisonReport, DiagnosisReport, LoadReport, PlanReport, ProfileListReport, ProfileReport,
    probe, top,
};

/// Flags of `schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Which report
    #[arg(value_enum)]
    pub report: Which,
}

/// The reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Which {
    /// `shardfit/plan/1`
    Plan,
    /// `shardfit/comparison/1`
    Comparison,
    /// `shardfit/load/1`
    Load,
    /// `shardfit/calibration/1`
    Calibration,
    /// `shardfit/profile/1`
    Profile,
    /// `shardfit/profiles/1`
    Profiles,
    /// `shardfit/probe/1`
    Probe,
    /// `shardfit/diagnosis/1`
    Diagnosis,
    /// `shardfit/run/1`
    Run,
    /// `shardfit/top/1`
    Top,
}

/// Prints the JSON Schema of a report.
///
/// # Errors
/// Never; the type is that of all commands.
pub fn run(args: &SchemaArgs, output: &mut Output) -> Result<Exit, Problem> {
    let schema = match args.report {
        Which::Plan => schemars::schema_for!(PlanReport),
        Which::Comparison => schemars::schema_for!(ComparisonReport),
        Which::Load => schemars::schema_for!(LoadReport),
        Which::Calibration => schemars::schema_for!(CalibrationReport),
        Which::Profile => schemars::schema_for!(ProfileReport),
        Which::Profiles => schemars::schema_for!(ProfileListReport),
        Which::Diagnosis => schemars::schema_for!(DiagnosisReport),
        Which::Probe => probe::schema(),
        Which::Run => schemars::schema_for!(RunReport),
        Which::Top => top::schema(),
    };
    output.json(&schema);
    Ok(Exit::Fits)
}
