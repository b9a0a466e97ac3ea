//! `shardfit top`
#![expect(
    clippy::disallowed_methods,
    reason = "asks the environment whether the terminal wants colours; reads and writes files"
)]

mod config;
mod plan;
mod replay;
mod until;

use std::env;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};

pub(in crate::cli) use self::config::Config;
use self::until::Until;
use crate::cli::args::DeploymentFlags;
use crate::cli::{Exit, Format, Output, Problem, picture};
use crate::monitor::alarm::Rule;
use crate::monitor::recording::{Header, Recorder, timeline};
use crate::monitor::{Expectation, Interval, ParseDurationError, parse_duration, report};
use crate::probe::{NvmlProbe, Probe, RecordedProbe, Wanted};
use crate::report::render::{top_csv, top_text};
use crate::tui::run::{Ended, Options, Source, run as show};
use crate::tui::{Palette, Symbols, Theme};

/// Flags of `top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Print one plain snapshot and end (`--format text|json|csv`)
    #[arg(long, conflicts_with_all = ["replay", "until", "record"])]
    pub once: bool,
    /// Time between two samples, 0.1s to 60s [default: 1s]
    #[arg(long, value_name = "TIME")]
    pub interval: Option<Interval>,
    /// Time over which growth and imbalance are judged [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = window)]
    pub window: Option<Duration>,
    /// A plan to lay over the cards: a report of `plan --format json`, or a model to plan with the flags below
    #[arg(long, value_name = "FILE|MODEL")]
    pub plan: Option<String>,
    /// Write all samples into a new file
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    pub record: Option<PathBuf>,
    /// Show a recording instead of the cards
    #[arg(long, value_name = "FILE")]
    pub replay: Option<PathBuf>,
    /// Seconds of the recording in a second
    #[arg(long, value_name = "N", requires = "replay", default_value = "1", value_parser = speed)]
    pub speed: f64,
    /// Write the recording as `.csv` or `.jsonl` and end; `-.csv` is stdout
    #[arg(long, value_name = "FILE", requires = "replay", allow_hyphen_values = true)]
    pub export: Option<PathBuf>,
    /// Draw the recording as a picture, `.svg` or `.png`, and end
    #[arg(long, value_name = "FILE", requires = "replay")]
    pub chart: Option<PathBuf>,
    /// Draw it on a dark background
    #[arg(long, requires = "chart")]
    pub dark: bool,
    /// Show and ring when this happens: `headroom<1GiB`, `used>90%`, `over-plan>500MiB`, `growth>100MiB`, `imbalance>10%`,
    /// `util-imbalance>30%`, `util<5%`, `other-process`, `xid`, `ecc`, `lost`; may be given several times
    #[arg(long = "alarm", value_name = "RULE")]
    pub alarms: Vec<Rule>,
    /// Wait without a screen until this happens, and end with 0; several: until one of them does
    #[arg(long, value_name = "RULE")]
    pub until: Vec<Rule>,
    /// End with 1 when it has not happened in this time
    #[arg(long, value_name = "TIME", requires = "until", value_parser = parse_duration)]
    pub timeout: Option<Duration>,
    /// Ask for PCIe traffic too, which takes the driver 40 ms a card; with `--once` for NVLink traffic as well, which the screen always
    /// shows where cards have it
    #[arg(long)]
    pub traffic: bool,
    /// Allow `K` to end the selected process, after a question
    #[arg(long)]
    pub allow_kill: bool,
    /// Colours: `colour`, `bright`, `plain`
    #[arg(long, value_enum)]
    pub palette: Option<PaletteChoice>,
    /// Draw with ASCII characters alone
    #[arg(long)]
    pub ascii: bool,
    /// Settings, in place of `shardfit/top.toml` in the user's configuration
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Show what a recording of one moment says (`probe --save` writes one) instead of asking the driver
    #[arg(long, value_name = "FILE")]
    pub recording: Option<PathBuf>,
    /// Cards and engine of a plan.
    #[command(flatten)]
    pub deployment: DeploymentFlags,
    /// A command to plan and lay over the cards, as you would type it
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "plan")]
    pub command: Vec<String>,
}

/// `--palette`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PaletteChoice {
    /// Colours that all eyes tell apart.
    Colour,
    /// The same, brighter.
    Bright,
    /// None.
    Plain,
}

/// A span of time with something in it.
fn window(text: &str) -> Result<Duration, String> {
    let window = parse_duration(text).map_err(|error: ParseDurationError| error.to_string())?;
    if window < Duration::from_secs(1) {
        return Err(format!("`{text}` is too short: growth and imbalance are judged over a second at least"));
    }
    Ok(window)
}

fn speed(text: &str) -> Result<f64, String> {
    let speed = text.trim_end_matches('x').parse::<f64>().ok().filter(|speed| (0.01..=100_000.0).contains(speed));
    speed.ok_or_else(|| format!("`{text}` is no speed from 0.01 to 100000"))
}

/// Watches the cards until the user leaves, waits for a condition, shows or exports a recording, or prints one snapshot.
///
/// # Errors
/// When the screen has no terminal (exit 2), and when no driver answers (exit 3).
pub fn run(args: &TopArgs, output: &mut Output) -> Result<Exit, Problem> {
    check_format(args, output.format)?;
    if let Some(path) = &args.replay {
        let recorded = replay::open(path, output)?;
        if let Some(to) = &args.export {
            replay::export(&recorded, to)?;
        }
        if let Some(to) = &args.chart {
            let planned = plan::expectation(args)?;
            let expectation = planned.as_ref().or(recorded.header().expectation.as_ref());
            picture::write(&timeline(&recorded, expectation), to, args.dark)?;
        }
        if args.export.is_some() || args.chart.is_some() {
            return Ok(Exit::Fits);
        }
        return watch(args, Some(recorded));
    }
    if args.once {
        return once(open_once(args)?.as_mut(), output);
    }
    if !args.until.is_empty() {
        return wait(args, output);
    }
    watch(args, None)
}

/// What the way of running can print, and whether the screen has a terminal.
fn check_format(args: &TopArgs, format: Format) -> Result<(), Problem> {
    let exports = args.export.is_some() || args.chart.is_some();
    match (args.once, format) {
        (true, Format::Markdown) => {
            Err(Problem::usage("`top --once` has no Markdown form").hint("`shardfit probe --format markdown` has one"))
        }
        (true, _) => Ok(()),
        (false, Format::Json) if !args.until.is_empty() => Ok(()),
        (false, Format::Text) if !args.until.is_empty() || exports || io::stdout().is_terminal() => Ok(()),
        (false, Format::Text) => Err(Problem::usage("stdout is not a terminal, which the live screen needs")
            .hint("`--once` prints one plain snapshot, `--until` waits for a condition")),
        (false, _) => Err(Problem::usage("`--format` needs `--once`: the live screen has no other format")),
    }
}

/// Prints one snapshot. As with `probe`, a card that is lost leaves something that the machine cannot answer.
fn once(probe: &mut dyn Probe, output: &mut Output) -> Result<Exit, Problem> {
    let report = report(&probe.snapshot()?);
    match output.format {
        Format::Json => output.json(&report),
        Format::Csv => output.data(&top_csv::render(&report)),
        Format::Text | Format::Markdown => output.data(&top_text::render(&report)),
    }
    Ok(if report.cards.iter().any(|card| card.lost) { Exit::CannotTell } else { Exit::Fits })
}

/// `--until`.
fn wait(args: &TopArgs, output: &mut Output) -> Result<Exit, Problem> {
    let config = Config::open(args.config.as_deref())?;
    let probe = open(args)?;
    let expectation = plan::expectation(args)?;
    let recorder = match &args.record {
        Some(path) => Some(begin(path, expectation.clone())?),
        None => None,
    };
    let until = Until {
        rules: args.until.clone(),
        timeout: args.timeout,
        interval: args.interval.or(config.interval()?).unwrap_or_default(),
        window: args.window.or(config.window()?).unwrap_or(WINDOW),
        expectation,
        recorder,
        events: args.recording.is_none() && args.until.contains(&Rule::Xid),
    };
    until::run(until, probe, output)
}

/// Time over which growth and imbalance are judged when nobody says.
const WINDOW: Duration = Duration::from_secs(60);

/// The screen.
fn watch(args: &TopArgs, recorded: Option<crate::monitor::recording::Replay>) -> Result<Exit, Problem> {
    let config = Config::open(args.config.as_deref())?;
    let planned = plan::expectation(args)?;
    let name = |path: &PathBuf| path.file_name().map_or_else(|| "recording".to_owned(), |n| n.display().to_string());
    let (source, header, expectation) = match recorded {
        Some(replay) => {
            let expectation = planned.or_else(|| replay.header().expectation.clone());
            let source = Source::Recording { replay: Arc::new(replay), speed: args.speed };
            (source, args.replay.as_ref().map(name), expectation)
        }
        None => {
            let source = Source::Cards { probe: open(args)?, events: args.recording.is_none() };
            (source, args.recording.as_ref().map(name), planned)
        }
    };
    if let Some(path) = args.record.as_ref().filter(|path| path.exists()) {
        return Err(exists(path));
    }
    let rules = if args.alarms.is_empty() { config.rules()? } else { args.alarms.clone() };
    let options = Options {
        source: header.unwrap_or_else(|| "live".to_owned()),
        interval: args.interval.or(config.interval()?).unwrap_or_default(),
        window: args.window.or(config.window()?).unwrap_or(WINDOW),
        theme: theme(args, &config),
        expectation: expectation.map(Arc::new),
        rules,
        may_kill: args.allow_kill,
        record: args.record.clone(),
    };
    match show(source, options).map_err(|error| Problem::cannot_tell(format!("the screen fails: {error}")))? {
        Ended::Quit => Ok(Exit::Fits),
        Ended::Signal(signal) => {
            // The terminal is as before; what is left is to end as the signal would have ended the program, so that a shell sees it.
            let _ = signal_hook::low_level::emulate_default_handler(signal);
            Ok(Exit::CannotTell)
        }
    }
}

/// A recording without a screen.
fn begin(path: &std::path::Path, expectation: Option<Expectation>) -> Result<Recorder, Problem> {
    if path.exists() {
        return Err(exists(path));
    }
    let header = Header::now("live", expectation);
    Recorder::create(path, &header)
        .map_err(|error| Problem::usage(format!("the recording `{}` cannot be written: {error}", path.display())))
}

fn exists(path: &std::path::Path) -> Problem {
    Problem::usage(format!("`{}` is there already", path.display()))
        .hint("name a new file: recordings are never written over")
}

fn open(args: &TopArgs) -> Result<Box<dyn Probe + Send>, Problem> {
    Ok(match &args.recording {
        Some(path) => Box::new(RecordedProbe::open(path)?),
        None => Box::new(NvmlProbe::open(Wanted { traffic: args.traffic, ..Wanted::CHANGING })?),
    })
}

/// A probe for one snapshot. NVLink traffic is the difference of two counts: the first is taken here, a moment before.
fn open_once(args: &TopArgs) -> Result<Box<dyn Probe + Send>, Problem> {
    const MOMENT: Duration = Duration::from_millis(50);
    if !args.traffic || args.recording.is_some() {
        return open(args);
    }
    let mut probe = NvmlProbe::open(Wanted { processes: false, ..Wanted::CHANGING })?;
    probe.snapshot()?;
    std::thread::sleep(MOMENT);
    probe.want(Wanted { traffic: true, ..Wanted::CHANGING });
    Ok(Box::new(probe))
}

/// `--palette` first, then `--color`, then `NO_COLOR` (<https://no-color.org>: any value but the empty one), then whether the terminal
/// knows colours, then the settings.
fn theme(args: &TopArgs, config: &Config) -> Theme {
    theme_of(args.palette, args.ascii, config)
}

/// The same for the screens of other commands, which the settings of `top` hold for too.
pub(in crate::cli) fn theme_of(palette: Option<PaletteChoice>, ascii: bool, config: &Config) -> Theme {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let colours = match anstream::ColorChoice::global() {
        anstream::ColorChoice::Never => false,
        anstream::ColorChoice::Auto => {
            set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb" && term != "vt100")
        }
        _ => true,
    };
    let palette = match palette {
        Some(PaletteChoice::Colour) => Palette::Colour,
        Some(PaletteChoice::Bright) => Palette::Bright,
        Some(PaletteChoice::Plain) => Palette::Plain,
        None if !colours => Palette::Plain,
        None => config.palette.unwrap_or_default(),
    };
    let symbols = if ascii || config.ascii { Symbols::ASCII } else { Symbols::UNICODE };
    Theme { palette, symbols }
}
