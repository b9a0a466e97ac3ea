//! How cards reach each other.

use serde::{Deserialize, Serialize};

/// What lies between two cards; the numbers are NVML's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ancestor {
    /// The same board.
    Internal = 0,
    /// One PCI Express switch.
    Single = 10,
    /// Several switches.
    Multiple = 20,
    /// One host bridge.
    HostBridge = 30,
    /// One NUMA node.
    #[default]
    Node = 40,
    /// The interconnect between NUMA nodes.
    System = 50,
}

/// One NVLink connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NvLink {
    /// Trained, to a switch that joins all cards.
    Switch,
    /// Trained, straight to the card with this NVML index.
    Card(usize),
    /// Not connected.
    Inactive,
}
