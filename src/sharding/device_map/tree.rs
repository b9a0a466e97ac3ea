//! The tree of a model's modules, as far as placement looks into it: whole blocks, and what lies around them.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::model::Part;
use crate::sharding::{Fill, RankTensor, Where};

/// A model's modules in the order of definition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModuleTree {
    nodes: Vec<Node>,
    roots: Vec<usize>,
    /// Tied parameters: (the one that holds the storage, the one that shares it), by name.
    tied: Vec<(String, String)>,
}

/// One module, or one parameter that a module with children holds itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Full path: `model.layers.3`.
    pub path: String,
    /// Size of all tensors below, in bits: planners count packed and boolean tensors by fractions of a byte.
    pub bits: u64,
    /// The part of it that is buffers: they stay on the executing card when the module is offloaded.
    pub buffer_bits: u64,
    /// Modules directly below, in order; parameters of its own first. Empty for what is never looked into.
    pub children: Vec<usize>,
    /// Whether it is a parameter rather than a module.
    pub is_parameter: bool,
    /// What it is when it must stay whole.
    pub block: Option<Block>,
}

/// A module that must not be split: a decoder or vision layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Which kind: blocks of one list have one.
    pub class: String,
    /// Modules within that hold tensors and no further modules.
    pub leaves: u64,
    /// The largest of them, in bits.
    pub largest_leaf: u64,
}

impl ModuleTree {
    /// The tree of the tensors that a model constructs, each counted by `bits`, which gives `None` for tensors that are not there.
    ///
    /// Lists of layers are blocks: the first `{}` of a name is the number of a block.
    #[must_use]
    pub fn new(tensors: &[RankTensor], bits: impl Fn(&RankTensor) -> u64) -> Self {
        let mut builder = Builder::default();
        for tensor in tensors {
            if let Fill::Alias(target) = &tensor.fill {
                builder.tree.tied.push((target.clone(), tensor.name.clone()));
            }
            let size = Size {
                bits: bits(tensor).saturating_mul(tensor.copies),
                buffer: tensor.fill == Fill::Generated,
                module: parent(&tensor.name).to_owned(),
            };
            match &tensor.place {
                Where::Once => {
                    if tensor.part == Part::Embedding {
                        builder.embeddings.insert(size.module.clone());
                    }
                    builder.add(&tensor.name, None, &size);
                }
                Where::Experts { layers, experts } => {
                    for expert in experts.clone() {
                        // Each expert is a module of its own within its layer's block.
                        let name = of_expert(&tensor.name, expert);
                        let size = Size { module: parent(&name).to_owned(), ..size };
                        for layer in layers.iter() {
                            builder.add(&name, Some(layer), &size);
                        }
                    }
                }
                Where::Layers(layers) => {
                    for layer in layers.iter() {
                        builder.add(&tensor.name, Some(layer), &size);
                    }
                }
            }
        }
        builder.finish()
    }

    /// All nodes; positions are what [`Node::children`] and [`ModuleTree::roots`] hold.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The top of the tree, in order.
    #[must_use]
    pub fn roots(&self) -> &[usize] {
        &self.roots
    }

    /// Tied parameters: (the one that holds the storage, the one that shares it).
    #[must_use]
    pub fn tied(&self) -> &[(String, String)] {
        &self.tied
    }

    /// Size of the whole, in bits.
    #[must_use]
    pub fn bits(&self) -> u64 {
        self.roots.iter().map(|r| self.nodes[*r].bits).fold(0, u64::saturating_add)
    }

    /// How many modules hold tensors and no further modules.
    #[must_use]
    pub fn leaf_count(&self) -> u64 {
        self.leaves().map(|(leaves, _)| leaves).fold(0, u64::saturating_add)
    }

    /// Bits in such modules: all but parameters of modules that have children.
    #[must_use]
    pub fn leaf_bits(&self) -> u64 {
        let own: u64 = self.nodes.iter().filter(|n| n.is_parameter).map(|n| n.bits).fold(0, u64::saturating_add);
        self.bits().saturating_sub(own)
    }

    /// The largest such module, in bits.
    #[must_use]
    pub fn largest_leaf(&self) -> u64 {
        self.leaves().map(|(_, largest)| largest).max().unwrap_or(0)
    }

    fn leaves(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.nodes.iter().filter(|n| !n.is_parameter && n.children.is_empty()).filter_map(|node| match &node.block {
            Some(block) => Some((block.leaves, block.largest_leaf)),
            // A module without tensors is no entry of the planner's table; a tied one has none of its own.
            None if node.bits == 0 => None,
            None => Some((1, node.bits)),
        })
    }
}

/// Path without its last component.
fn parent(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(parent, _)| parent)
}

/// The name of one expert's tensor: the last `{}` is the expert, the first stays the layer.
fn of_expert(name: &str, expert: u32) -> String {
    match name.rfind("{}") {
        Some(at) => format!("{}{expert}{}", &name[..at], &name[at + 2..]),
        None => name.to_owned(),
    }
}

/// One tensor's size, and the template of the module it belongs to.
struct Size {
    bits: u64,
    buffer: bool,
    module: String,
}

#[derive(Default)]
struct Builder {
    tree: ModuleTree,
    by_path: HashMap<String, usize>,
    // Parameters that a module outside blocks holds itself. Buffers are not among them: a module that is split loses sight of its own.
    own: BTreeMap<usize, Vec<(String, u64)>>,
    // Token and position embeddings.
    embeddings: HashSet<String>,
    // Bits per leaf module within each block.
    within: HashMap<usize, HashMap<String, u64>>,
}

impl Builder {
    fn add(&mut self, name: &str, layer: Option<u32>, size: &Size) {
        let block_template = layer.and_then(|_| name.find("{}")).map(|at| &name[..at + 2]);
        let (path, class) = match (block_template, layer) {
            (Some(template), Some(layer)) => (template.replacen("{}", &layer.to_string(), 1), Some(template)),
            _ => (name.to_owned(), None),
        };
        // A tensor outside blocks belongs to the module above it; its own name is of use where that module has children too.
        let module = if class.is_some() { path.as_str() } else { parent(&path) };
        let mut above: Option<usize> = None;
        let ends = module.match_indices('.').map(|(at, _)| at).chain([module.len()]);
        for end in ends.filter(|end| *end > 0) {
            let at = self.node(&module[..end], above);
            let node = &mut self.tree.nodes[at];
            node.bits = node.bits.saturating_add(size.bits);
            if size.buffer {
                node.buffer_bits = node.buffer_bits.saturating_add(size.bits);
            }
            above = Some(at);
        }
        let Some(at) = above else {
            // A parameter of the model itself.
            let at = self.node(&path, None);
            let node = &mut self.tree.nodes[at];
            node.is_parameter = true;
            node.bits = node.bits.saturating_add(size.bits);
            return;
        };
        if let Some(class) = class {
            let leaf = self.within.entry(at).or_default().entry(size.module.clone()).or_default();
            *leaf = leaf.saturating_add(size.bits);
            let block =
                self.tree.nodes[at].block.get_or_insert(Block { class: class.to_owned(), leaves: 0, largest_leaf: 0 });
            // Layers that look at images are of a class of their own in the same list.
            if name.contains(".cross_attn.") && block.class == class {
                block.class.push_str(" with cross-attention");
            }
        } else if !size.buffer {
            self.own.entry(at).or_default().push((path, size.bits));
        }
    }

    fn node(&mut self, path: &str, above: Option<usize>) -> usize {
        if let Some(at) = self.by_path.get(path) {
            return *at;
        }
        let at = self.tree.nodes.len();
        self.tree.nodes.push(Node {
            path: path.to_owned(),
            bits: 0,
            buffer_bits: 0,
            children: Vec::new(),
            is_parameter: false,
            block: None,
        });
        self.by_path.insert(path.to_owned(), at);
        match above {
            Some(above) => self.tree.nodes[above].children.push(at),
            None => self.tree.roots.push(at),
        }
        at
    }

    fn finish(mut self) -> ModuleTree {
        for (at, leaves) in self.within {
            if let Some(block) = &mut self.tree.nodes[at].block {
                block.leaves = leaves.len() as u64;
                block.largest_leaf = leaves.values().copied().max().unwrap_or(0);
            }
        }
        // Embeddings are defined before the layers they feed, and layers by number, wherever they stand in the list of tensors.
        for at in 0..self.tree.nodes.len() {
            let mut children = std::mem::take(&mut self.tree.nodes[at].children);
            children.sort_by_key(|child| {
                let node = &self.tree.nodes[*child];
                let number = node.block.as_ref().and_then(|_| node.path.rsplit('.').next()?.parse::<u32>().ok());
                (!self.embeddings.contains(&node.path), number)
            });
            self.tree.nodes[at].children = children;
        }
        // A module with children keeps its own parameters as entries before them, as splitting it yields them.
        for (at, tensors) in self.own {
            if self.tree.nodes[at].children.is_empty() {
                continue;
            }
            for (position, (path, bits)) in tensors.into_iter().enumerate() {
                let leaf = self.tree.nodes.len();
                self.tree.nodes.push(Node {
                    path,
                    bits,
                    buffer_bits: 0,
                    children: Vec::new(),
                    is_parameter: true,
                    block: None,
                });
                self.tree.nodes[at].children.insert(position, leaf);
            }
        }
        self.tree
    }
}
