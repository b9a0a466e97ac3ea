//! Which module is stored by which scheme.

use super::read::Draft;
use crate::model::{IndexSet, Instances, Kind, Module, Part, Role, Segment, SegmentKind};

/// Schemes of the quantised modules, by path and place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Assigned {
    modules: Vec<(String, Instances, usize)>,
}

impl Assigned {
    /// Asks the draft about every module. Modules of which only some layers are quantised, or quantised otherwise, are split, those that
    /// engines fuse together: each part of one follows its fellows of the same layers.
    pub fn new(draft: &Draft, modules: &mut Vec<Module>) -> Self {
        let mut assigned = Self::default();
        let mut split = Vec::with_capacity(modules.len());
        let mut rest = std::mem::take(modules).into_iter().peekable();
        while let Some(first) = rest.next() {
            let mut group = vec![first];
            while let Some(next) = rest.next_if(|m| m.is_fellow_of(&group[0])) {
                group.push(next);
            }
            for (instances, schemes) in parts(draft, &group) {
                for (module, scheme) in group.iter().zip(schemes) {
                    let module = Module { instances: instances.clone(), ..module.clone() };
                    for module in if draft.stacked { vec![module] } else { apart(module) } {
                        if let Some(scheme) = scheme {
                            assigned.modules.push((module.path.clone(), module.instances.clone(), scheme));
                        }
                        split.push(module);
                    }
                }
            }
        }
        *modules = split;
        assigned
    }

    /// The scheme of a module.
    pub fn scheme(&self, path: &str, instances: &Instances) -> Option<usize> {
        let own = |(p, i, _): &&(String, Instances, usize)| p == path && i == instances;
        // A part of the layers, where a model is cut from another.
        let part = |(p, i, _): &&(String, Instances, usize)| p == path && includes(i, instances);
        self.modules.iter().find(own).or_else(|| self.modules.iter().find(part)).map(|(_, _, scheme)| *scheme)
    }
}

/// Whether modules at `all` are those at `some` and others besides.
fn includes(all: &Instances, some: &Instances) -> bool {
    let (Some(layers), Some(own)) = (all.layers(), some.layers()) else { return false };
    all.with_layers(own.clone()) == *some && own.iter().all(|layer| layers.contains(layer))
}

/// Experts that a plain checkpoint keeps in one tensor have matrices of their own in a quantised one: quantisers take them apart.
fn apart(module: Module) -> Vec<Module> {
    let (Kind::Stack(stack), Some(layers)) = (&module.kind, module.instances.layers()) else { return vec![module] };
    let names: &[&str] = match module.role {
        Role::ExpertDown => &["down_proj"],
        Role::ExpertGateUp => &["gate_proj", "up_proj"],
        _ => &["up_proj"],
    };
    let instances = Instances::Experts { layers: layers.clone(), experts: stack.experts };
    let whole = stack.rows() / names.len().max(1) as u64;
    let matrix = |(index, name): (usize, &&str)| Module {
        path: format!("{}.{{}}.{name}", module.path),
        instances: instances.clone(),
        kind: Kind::Linear {
            input: stack.input,
            output: vec![match stack.output.get(index) {
                Some(segment) if stack.output.len() == names.len() => *segment,
                _ => Segment { rows: whole, kind: SegmentKind::Features },
            }],
            bias: stack.bias.is_some(),
        },
        ..module.clone()
    };
    names.iter().enumerate().map(matrix).collect()
}

/// The places of a group of modules, by the schemes that its modules have there.
fn parts(draft: &Draft, group: &[Module]) -> Vec<(Instances, Vec<Option<usize>>)> {
    let Some(first) = group.first() else { return Vec::new() };
    let uniform = |name: fn(&Module) -> String| {
        let schemes = group.iter().map(|m| scheme_of(draft, m, &name(m))).collect();
        vec![(first.instances.clone(), schemes)]
    };
    let Some(layers) = first.instances.layers() else { return uniform(|m| m.path.clone()) };
    if draft.rules.is_empty() || !group.iter().any(may_be_quantised) {
        return uniform(|m| m.path.clone());
    }
    let mut kinds: Vec<(Vec<Option<usize>>, Vec<u32>)> = Vec::new();
    for layer in layers.iter() {
        let schemes: Vec<_> = group.iter().map(|m| scheme_of(draft, m, &at_layer(&m.path, layer))).collect();
        match kinds.iter_mut().find(|(known, _)| *known == schemes) {
            Some((_, at)) => at.push(layer),
            None => kinds.push((schemes, vec![layer])),
        }
    }
    let place = |at: Vec<u32>| first.instances.with_layers(IndexSet::from_indices(at));
    kinds.into_iter().map(|(schemes, at)| (place(at), schemes)).collect()
}

/// The name of a module in a layer; experts go by the first of them.
fn at_layer(path: &str, layer: u32) -> String {
    path.replacen("{}", &layer.to_string(), 1).replacen("{}", "0", 1)
}

fn scheme_of(draft: &Draft, module: &Module, name: &str) -> Option<usize> {
    if !may_be_quantised(module) {
        return None;
    }
    let name = name.strip_prefix("language_model.").filter(|_| draft.nested).unwrap_or(name);
    if let Some(rule) = draft.rules.iter().find(|rule| rule.names.matches(name) != rule.others) {
        return rule.scheme;
    }
    match module.role {
        Role::LmHead => draft.head,
        role if draft.experts_only && !role.is_routed_expert() => None,
        _ if module.part == Part::Vision && !draft.towers => None,
        _ => draft.linear,
    }
}

/// Whether schemes apply to modules of this role at all.
fn may_be_quantised(module: &Module) -> bool {
    match module.role {
        // A tied head is the embedding, which no scheme touches.
        Role::LmHead => module.tied_to.is_none(),
        role => role.is_matrix() && matches!(module.kind, Kind::Linear { .. } | Kind::Stack(_)),
    }
}
