//! How cards are joined.

use schemars::JsonSchema;
use serde::Serialize;

use super::split;
use crate::hardware::{Absence, PeerLink};

/// How two cards reach each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PeerReport {
    /// Index of the first card.
    pub a: u32,
    /// Index of the second card.
    pub b: u32,
    /// Active NVLink connections between the two.
    pub nvlinks: Option<u32>,
    /// Why `nvlinks` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nvlinks_reason: Option<Absence>,
    /// Whether one can read the other's memory.
    pub peer_access: Option<bool>,
    /// Why `peer_access` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_access_reason: Option<Absence>,
    /// What lies between them on PCIe: `same board`, `single switch`, `several switches`, `host bridge`, `node`, `system`.
    pub common_ancestor: Option<String>,
    /// Why `common_ancestor` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub common_ancestor_reason: Option<Absence>,
}

impl PeerReport {
    pub(super) fn new(link: &PeerLink) -> Self {
        let (nvlinks, nvlinks_reason) = split(link.nvlinks);
        let (peer_access, peer_access_reason) = split(link.peer_access);
        let (common_ancestor, common_ancestor_reason) = split(link.common_ancestor.clone());
        Self {
            a: link.a,
            b: link.b,
            nvlinks,
            nvlinks_reason,
            peer_access,
            peer_access_reason,
            common_ancestor,
            common_ancestor_reason,
        }
    }

    /// Whether `other` joins its two cards as this one does.
    fn is_like(&self, other: &Self) -> bool {
        *self == Self { a: self.a, b: self.b, ..other.clone() }
    }
}

/// Pairs of cards that are joined alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerGroup<'report> {
    /// The pairs.
    pub pairs: Vec<(u32, u32)>,
    /// How each of them is joined.
    pub link: &'report PeerReport,
}

pub(super) fn groups(peers: &[PeerReport]) -> Vec<PeerGroup<'_>> {
    let mut groups: Vec<PeerGroup<'_>> = Vec::new();
    for peer in peers {
        match groups.iter_mut().find(|group| group.link.is_like(peer)) {
            Some(group) => group.pairs.push((peer.a, peer.b)),
            None => groups.push(PeerGroup { pairs: vec![(peer.a, peer.b)], link: peer }),
        }
    }
    groups
}
