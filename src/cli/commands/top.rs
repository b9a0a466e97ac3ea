//! `shardfit top`
#![expect(clippy::disallowed_methods, reason = "asks the environment whether the terminal wants colours")]

use std::env;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::Args;

use crate::cli::{Exit, Format, Output, Problem};
use crate::monitor::{Interval, report};
use crate::probe::{NvmlProbe, Probe, RecordedProbe, Wanted};
use crate::report::render::top_text;
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
    if args.once {
        if output.format == Format::Markdown {
            return Err(
                Problem::usage("`top --once` has no Markdown form").hint("`shardfit probe --format markdown` has one")
            );
        }
    } else {
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
        return once(probe.as_mut(), output);
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

/// Prints one snapshot. As with `probe`, a card that is lost leaves something that the machine cannot answer.
fn once(probe: &mut dyn Probe, output: &mut Output) -> Result<Exit, Problem> {
    let report = report(&probe.snapshot()?);
    match output.format {
        Format::Json => output.json(&report),
        Format::Text | Format::Markdown => output.data(&top_text::render(&report)),
    }
    Ok(if report.cards.iter().any(|card| card.lost) { Exit::CannotTell } else { Exit::Fits })
}

fn open(args: &TopArgs) -> Result<Box<dyn Probe + Send>, Problem> {
    Ok(match &args.recording {
        Some(path) => Box::new(RecordedProbe::open(path)?),
        None => Box::new(NvmlProbe::open(Wanted::CHANGING)?),
    })
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
