//! The plan that is laid over the cards: a report from a file, or one that is made for the cards at hand.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::TopArgs;
use crate::cli::commands::plan::refused;
use crate::cli::{Problem, resolve};
use crate::monitor::Expectation;
use crate::planning::{self, PlanRequest};
use crate::report::{LoadReport, PlanReport};
use crate::units::Bytes;

/// Largest report read: hundreds of ranks with all their lines stay far below.
const LARGEST: u64 = 64 << 20;

/// What `--plan`, or a pasted command, predicts; `None` without either.
///
/// # Errors
/// When the file is no report, or the model cannot be planned.
pub fn expectation(args: &TopArgs) -> Result<Option<Expectation>, Problem> {
    let subject = match &args.plan {
        Some(name) if is_report(name) => return read(Path::new(name)).map(|report| Some(Expectation::of(&report))),
        Some(name) => resolve::subject(Some(name), &args.deployment.engine, &args.command)?,
        None if args.command.is_empty() => return Ok(None),
        None => resolve::subject(None, &args.deployment.engine, &args.command)?,
    };
    let mut fleet = resolve::fleet_for(&subject, &args.deployment.fleet)?;
    for card in &mut fleet.cards {
        // What holds memory on a card that is watched is what was planned, most of all: it must not be counted twice.
        card.other_processes = Bytes::ZERO;
    }
    let (request, notes): (PlanRequest, _) = subject.request(fleet);
    let planned = planning::plan(&request).map_err(refused)?;
    Ok(Some(Expectation::of(&PlanReport::new(&request, &planned, &notes))))
}

/// A model's own `config.json` is a file too: a report says so in its schema, which only a JSON file that is not called so can.
fn is_report(name: &str) -> bool {
    let path = Path::new(name);
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    is_json && path.is_file() && path.file_name().is_some_and(|file| file != "config.json")
}

/// The plan in a report of `plan` or `load`.
///
/// # Errors
/// When the file cannot be read, or is neither.
pub fn read(path: &Path) -> Result<PlanReport, Problem> {
    let unreadable =
        |error: &dyn std::fmt::Display| Problem::usage(format!("`{}` cannot be read: {error}", path.display()));
    let size = fs::metadata(path).map_err(|error| unreadable(&error))?.len();
    if size > LARGEST {
        return Err(unreadable(&"it is larger than 64 MiB"));
    }
    let text = fs::read_to_string(path).map_err(|error| unreadable(&error))?;
    let wrong = |error: &dyn std::fmt::Display| {
        Problem::usage(format!("`{}` is no plan: {error}", path.display()))
            .hint("`shardfit plan MODEL --format json > plan.json` writes one")
    };
    let value: Value = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
    match value["schema"].as_str() {
        Some(PlanReport::SCHEMA) => serde_json::from_value(value).map_err(|error| wrong(&error)),
        Some("shardfit/load/1") => {
            serde_json::from_value::<LoadReport>(value).map(|report| report.plan).map_err(|error| wrong(&error))
        }
        Some(other) => Err(wrong(&format!("its schema is `{other}`"))),
        None => Err(wrong(&"it names no schema")),
    }
}
