//! shardfit tells whether every shard of a large language model fits its GPU, proves it on the real cards, and explains it when it does
//! not.
//!
//! The crate has a middle and an edge. The middle is arithmetic on values and imports only to its left:
//! [`units`] → [`profiles`] → [`model`], [`hardware`] → [`sharding`] → [`engines`] → [`placement`] → [`planning`] → [`oom`] → [`report`].
//! The edge ([`sources`], [`probe`], [`loader`], [`monitor`], [`runner`], [`tui`], [`cli`]) touches files, the clock, the network and the
//! cards, and hands values in.

pub mod units;

pub mod profiles;

pub mod hardware;
pub mod model;

pub mod sharding;

pub mod engines;

pub mod placement;

pub mod planning;

pub mod oom;

pub mod report;

pub mod cli;
pub mod loader;
pub mod monitor;
pub mod probe;
pub mod runner;
pub mod sources;
pub mod tui;
