//! Which module goes to which device: devices are filled in order, and none is looked at again once a module did not fit.
//!
//! Source: `infer_auto_device_map` of accelerate 1.15 and of transformers 5.23.

use std::collections::{BTreeMap, VecDeque};

use super::{Caps, Device, DeviceMap, ModuleTree, Planner};
use crate::units::Bytes;

/// A placement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Where each module is.
    pub map: DeviceMap,
    /// What the planner counts on each device.
    pub bytes: BTreeMap<Device, Bytes>,
    /// Room kept on the first card (and in host memory) for the largest module that cannot be split.
    pub reserved: BTreeMap<Device, Bytes>,
}

/// Places all modules under the caps.
#[must_use]
pub fn place(tree: &ModuleTree, caps: &Caps, planner: Planner) -> Placed {
    let devices = caps.devices();
    let first_card = devices.iter().copied().find(|d| matches!(d, Device::Card(_)));
    let mut work = Work { tree, queue: tree.roots().iter().copied().collect(), largest: Largest::default() };
    work.largest = work.find_largest();
    let mut used: BTreeMap<Device, u64> = BTreeMap::new();
    let mut reserved = BTreeMap::new();
    let mut entries = Vec::new();
    let mut current = devices.iter().copied().peekable();
    while let Some(at) = work.queue.pop_front() {
        work.largest.forget(tree, at);
        if work.largest.names.is_empty() {
            work.largest = work.find_largest();
        }
        let device = current.peek().copied().unwrap_or(Device::Disk);
        // Room for a module that would be brought back from host memory is kept whether or not one is there.
        let is_main = Some(device) == first_card || device == Device::Cpu;
        let reserve = if is_main { work.largest.bits } else { 0 };
        let cap = (device != Device::Disk).then(|| i128::from(caps.bits(device).unwrap_or(0)) - i128::from(reserve));
        let filled = used.get(&device).copied().unwrap_or(0);
        let node = &tree.nodes()[at];
        let partners = work.partners(at);
        let own = i128::from(filled) + i128::from(node.bits);
        let all = own + partners.iter().map(|p| i128::from(tree.nodes()[*p].bits)).sum::<i128>();
        if cap.is_none_or(|cap| all <= cap) {
            *used.entry(device).or_default() = u64::try_from(all).unwrap_or(u64::MAX);
            if is_main {
                reserved.entry(device).or_insert(Bytes(reserve / 8));
            }
            entries.push((node.path.clone(), device));
            for partner in partners {
                work.queue.retain(|other| *other != partner);
                entries.push((tree.nodes()[partner].path.clone(), device));
            }
            continue;
        }
        let splittable = node.block.is_none() && !node.children.is_empty();
        let too_large = match planner {
            Planner::Accelerate => cap.is_some_and(|cap| own >= cap),
            Planner::Transformers5 => true,
        };
        if splittable && too_large {
            for child in node.children.iter().rev() {
                work.queue.push_front(*child);
            }
            work.largest = work.find_largest();
            continue;
        }
        current.next();
        work.queue.push_front(at);
    }
    let bytes = used.into_iter().filter(|(_, bits)| *bits > 0).map(|(d, bits)| (d, Bytes(bits.div_ceil(8)))).collect();
    Placed { map: DeviceMap::new(entries), bytes, reserved }
}

/// Modules still to be placed.
struct Work<'a> {
    tree: &'a ModuleTree,
    queue: VecDeque<usize>,
    largest: Largest,
}

/// The largest unsplittable modules still to be placed.
#[derive(Default)]
struct Largest {
    bits: u64,
    names: Vec<usize>,
}

impl Largest {
    /// Takes out a module and all below it.
    fn forget(&mut self, tree: &ModuleTree, at: usize) {
        let path = tree.nodes()[at].path.as_str();
        self.names.retain(|other| {
            let other = tree.nodes()[*other].path.as_str();
            other.strip_prefix(path).is_none_or(|rest| !rest.is_empty() && !rest.starts_with('.'))
        });
    }
}

impl Work<'_> {
    fn find_largest(&self) -> Largest {
        let mut largest = Largest::default();
        let mut stack: Vec<usize> = self.queue.iter().rev().copied().collect();
        while let Some(at) = stack.pop() {
            let node = &self.tree.nodes()[at];
            if node.block.is_none() && !node.children.is_empty() {
                let modules = node.children.iter().rev().filter(|c| !self.tree.nodes()[**c].is_parameter);
                stack.extend(modules);
            } else if node.is_parameter {
                // Parameters are no modules.
            } else if node.bits > largest.bits || largest.names.is_empty() {
                largest = Largest { bits: node.bits, names: vec![at] };
            } else if node.bits == largest.bits {
                largest.names.push(at);
            }
        }
        largest
    }

    /// Modules still to be placed that share a parameter with this one.
    fn partners(&self, at: usize) -> Vec<usize> {
        let nodes = self.tree.nodes();
        let inside = |path: &str, name: &str| name.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
        let path = nodes[at].path.as_str();
        let mut partners = Vec::new();
        for (source, alias) in self.tree.tied() {
            let outside = match (inside(path, source), inside(path, alias)) {
                (true, false) => alias,
                (false, true) => source,
                (true, true) | (false, false) => continue,
            };
            let holder = self.queue.iter().copied().find(|other| inside(&nodes[*other].path, outside));
            partners.extend(holder.filter(|holder| !partners.contains(holder)));
        }
        partners
    }
}
