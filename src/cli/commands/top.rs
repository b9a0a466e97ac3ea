//! `shardfit top`
#![expect(clippy::disallowed_methods, reason = "asks the environment whether the terminal wants colours")]

use std::env;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::Args;

use crate::cli::{Exit, Format, Output, Problem};
use crate::monitor::{Interval, report};
use crate::probe::{NvmlProbe, Probe, ProbeError, RecordedProbe, Wanted};
use crate::tui::run::{Ended, Options, run as show};
use crate::tui::{Palette, Symbols, Theme};

/// Flags of `top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Print one plain snapshot and end
    #[arg(long)]
    pub once: bool,
    /// Time between two samples, 0.1s to 60s
    #[arg(long, value_name = "TIME", default_value = "1s")]
    pub interval: Interval,
    /// Show what a recording says (`probe --save` writes one) instead of asking the driver
    #[arg(long, value_name = "FILE")]
    pub recording: Option<PathBuf>,
    /// Draw with ASCII characters alone
    #[arg(long)]
    pub ascii: bool,
}

/// Watches the cards until the user leaves, or prints one snapshot.
///
/// # Errors
/// When the screen has no terminal (exit 2), and when no driver answers (exit 3).
pub fn run(args: &TopArgs, output: &mut Output) -> Result<Exit, Problem> {
    if !args.once {
        if output.format != Format::Text {
            return Err(Problem::usage("`--format` needs `--once`: the live screen has no other format"));
        }
        if !io::stdout().is_terminal() {
            return Err(Problem::usage("stdout is not a terminal, which the live screen needs")
                .hint("`--once` prints one plain snapshot"));
        }
    }
    let mut probe = open(args)?;
    if args.once {
        let report = report(&probe.snapshot().map_err(problem)?);
        match output.format {
            Format::Text => output.data(&report.text()),
            Format::Markdown => output.data(&report.markdown()),
            Format::Json => output.json(&report),
        }
        return Ok(Exit::Fits);
    }
    let source = match &args.recording {
        Some(path) => path.file_name().map_or_else(|| "recording".to_owned(), |name| name.display().to_string()),
        None => "live".to_owned(),
    };
    let options = Options { source, interval: args.interval, theme: theme(args.ascii) };
    match show(probe, options).map_err(|error| Problem::cannot_tell(format!("the terminal fails: {error}")))? {
        Ended::Quit => Ok(Exit::Fits),
        Ended::Signal(signal) => {
            // The terminal is as before; what is left is to end as the signal would have ended the program, so that a shell sees it.
            let _ = signal_hook::low_level::emulate_default_handler(signal);
            Ok(Exit::CannotTell)
        }
    }
}

fn open(args: &TopArgs) -> Result<Box<dyn Probe + Send>, Problem> {
    match &args.recording {
        Some(path) => RecordedProbe::open(path).map(|probe| Box::new(probe) as Box<dyn Probe + Send>),
        None => NvmlProbe::open(Wanted::CHANGING).map(|probe| Box::new(probe) as Box<dyn Probe + Send>),
    }
    .map_err(problem)
}

fn problem(error: ProbeError) -> Problem {
    let problem = if error.is_bad_input() { Problem::usage(&error) } else { Problem::cannot_tell(&error) };
    match error.hint() {
        Some(hint) => problem.hint(hint),
        None => problem,
    }
}

/// `--color` first, then `NO_COLOR` (<https://no-color.org>: any value but the empty one), then whether the terminal knows colours.
fn theme(ascii: bool) -> Theme {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let colours = match anstream::ColorChoice::global() {
        anstream::ColorChoice::Never => false,
        anstream::ColorChoice::Auto => {
            set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb" && term != "vt100")
        }
        _ => true,
    };
    Theme {
        palette: if colours { Palette::Colour } else { Palette::Plain },
        symbols: if ascii { Symbols::ASCII } else { Symbols::UNICODE },
    }
}
