//! `shardfit profiles`

use clap::{Args, Subcommand};

use crate::cli::args::FleetFlags;
use crate::cli::{Exit, Format, Output, Problem, calibration, resolve};
use crate::profiles::gpus::SelectGpuError;
use crate::profiles::models::{SelectModelError, built_in_model, built_in_models};
use crate::profiles::{Calibration, quant_profile, quant_profiles};
use crate::report::render::{profile_list_text, profile_text};
use crate::report::{ProfileListReport, ProfileName, ProfileReport};

/// Flags of `profiles`.
#[derive(Debug, Args)]
pub struct ProfilesArgs {
    /// What to do.
    #[command(subcommand)]
    pub what: What,
}

/// What to do with profiles.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Every profile by name
    List(ListArgs),
    /// One profile, each figure with its basis and source; what `calibrate` measured here stands first
    Show(ShowArgs),
}

/// Flags of `profiles list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only names with this text in them, in any case
    pub filter: Option<String>,
    /// Where more cards are described.
    #[command(flatten)]
    pub fleet: FleetFlags,
}

/// Flags of `profiles show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// A card, a storage format or a built-in model, as `profiles list` names it
    pub name: String,
    /// Where more cards are described.
    #[command(flatten)]
    pub fleet: FleetFlags,
}

/// Lists profiles or shows one.
///
/// # Errors
/// When there is no profile of the name, or one cannot be read.
pub fn run(args: &ProfilesArgs, output: &mut Output) -> Result<Exit, Problem> {
    if output.format == Format::Markdown {
        return Err(Problem::usage("`profiles` has no Markdown form").hint("`--format json` has all of it"));
    }
    match &args.what {
        What::List(args) => {
            let report = list(args, &calibrated(&args.fleet)?)?;
            match output.format {
                Format::Json => output.json(&report),
                Format::Text | Format::Markdown | Format::Csv => output.data(&profile_list_text(&report)),
            }
        }
        What::Show(args) => {
            let report = show(args, &calibrated(&args.fleet)?)?;
            match output.format {
                Format::Json => output.json(&report),
                Format::Text | Format::Markdown | Format::Csv => output.data(&profile_text(&report)),
            }
        }
    }
    Ok(Exit::Fits)
}

fn calibrated(flags: &FleetFlags) -> Result<Calibration, Problem> {
    if flags.no_calibration { Ok(Calibration::default()) } else { Ok(calibration::read()?.unwrap_or_default()) }
}

fn list(args: &ListArgs, measured: &Calibration) -> Result<ProfileListReport, Problem> {
    let cards = resolve::catalogue(&args.fleet)?.all().map_err(Problem::usage)?;
    let mut profiles: Vec<ProfileName> = measured.cards.iter().map(ProfileName::of_calibration).collect();
    profiles.extend(cards.iter().map(ProfileName::of_card));
    profiles.extend(quant_profiles().map(|profile| ProfileName::of_quantisation(&profile)));
    profiles.extend(built_in_models().iter().map(ProfileName::of_model));
    if let Some(filter) = &args.filter {
        let wanted = filter.to_lowercase();
        profiles.retain(|profile| profile.id.to_lowercase().contains(&wanted));
        if profiles.is_empty() {
            return Err(Problem::usage(format!("no profile has `{filter}` in its name"))
                .hint("`shardfit profiles list` names all of them"));
        }
    }
    Ok(ProfileListReport::new(profiles))
}

fn show(args: &ShowArgs, measured: &Calibration) -> Result<ProfileReport, Problem> {
    let name = args.name.as_str();
    let nearest = match resolve::catalogue(&args.fleet)?.select(name) {
        Ok(profile) => {
            let here = profile.names.iter().find_map(|name| measured.card(name, None));
            return Ok(ProfileReport::of_card(&profile, here));
        }
        Err(SelectGpuError::Unknown { nearest, .. }) => nearest,
        Err(other) => return Err(Problem::usage(other)),
    };
    if let Some(card) = measured.card(name, None) {
        return Ok(ProfileReport::of_calibration(card));
    }
    if let Some(profile) = quant_profile(name) {
        return Ok(ProfileReport::of_quantisation(&profile));
    }
    match built_in_model(name) {
        Ok(profile) => {
            let config = serde_json::from_str(profile.config).map_err(Problem::usage)?;
            Ok(ProfileReport::of_model(profile, &config))
        }
        Err(error @ SelectModelError::Ambiguous { .. }) => Err(Problem::usage(error)),
        Err(SelectModelError::Unknown { nearest: models, .. }) => {
            let near: Vec<String> = nearest.into_iter().chain(models).map(|name| format!("`{name}`")).collect();
            let problem =
                Problem::usage(format!("`{name}` is neither a card nor a storage format nor a built-in model"));
            let problem = problem.hint("`shardfit profiles list` names all of them");
            if near.is_empty() { Err(problem) } else { Err(problem.hint(format!("similar: {}", near.join(", ")))) }
        }
    }
}
