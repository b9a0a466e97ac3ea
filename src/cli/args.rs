//! What can be typed.

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::{Exit, Format};

/// Tells whether every shard of a large language model fits its GPU, proves it on the real cards, and explains it when it does not.
#[derive(Debug, Parser)]
#[command(name = "shardfit", version, after_help = Exit::HELP, propagate_version = true)]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// How results are written
    #[arg(long, value_enum, default_value_t, global = true)]
    pub format: Format,
    /// When to colour
    #[arg(long, value_enum, default_value_t, global = true)]
    pub color: Color,
}

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Color {
    /// On terminals, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Makes the choice hold for all streams of the process.
    pub fn write_global(self) {
        match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// One snapshot of the cards: memory, who holds it, links, what an engine would see
    Probe(super::commands::probe::ProbeArgs),
    /// The cards live: memory by holder, utilisation, history, processes
    Top(super::commands::top::TopArgs),
}
