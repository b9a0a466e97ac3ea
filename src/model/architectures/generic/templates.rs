//! Tensor names → templates: names that differ in a layer's or an expert's number alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::super::{IndexSet, Instances};
use crate::units::DType;

/// Largest number in a name that is taken for a layer's or an expert's.
const NUMBER_LIMIT: u32 = 1 << 16;

/// Tensors of one shape and element type whose names differ in numbers alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Module, `{}` for the numbers.
    pub module: String,
    /// Parameter suffix.
    pub parameter: String,
    /// Where it occurs; [`Instances::Layers`] whatever is numbered.
    pub instances: Instances,
    /// Element type.
    pub dtype: DType,
    /// Shape.
    pub shape: Vec<u64>,
}

impl Template {
    /// What comes before the first number.
    pub fn stack(&self) -> Option<&str> {
        self.module.split_once("{}").map(|(prefix, _)| prefix)
    }

    /// Elements of all its tensors.
    pub fn elements(&self) -> u64 {
        self.shape.iter().copied().fold(self.instances.count(), u64::saturating_mul)
    }
}

/// A name with its layer's and its expert's number taken out.
struct Numbered {
    name: String,
    layer: Option<u32>,
    expert: Option<u32>,
}

fn numbered(name: &str) -> Numbered {
    let (mut layer, mut expert) = (None, None);
    let mut components: Vec<&str> = Vec::new();
    for component in name.split('.') {
        let number = component.parse::<u32>().ok().filter(|n| *n < NUMBER_LIMIT);
        match number {
            Some(number) if layer.is_none() && !components.is_empty() => {
                layer = Some(number);
                components.push("{}");
            }
            Some(number) if expert.is_none() && components.last() == Some(&"experts") => {
                expert = Some(number);
                components.push("{}");
            }
            _ => components.push(component),
        }
    }
    Numbered { name: components.join("."), layer, expert }
}

/// Gathers tensors into templates, in the order of their first names.
pub fn templates<'a>(tensors: impl IntoIterator<Item = (&'a str, DType, &'a [u64])>) -> Vec<Template> {
    type Key<'a> = (String, DType, &'a [u64]);
    let mut order: Vec<Key<'a>> = Vec::new();
    let mut numbers: HashMap<Key<'a>, BTreeMap<Option<u32>, BTreeSet<Option<u32>>>> = HashMap::new();
    for (name, dtype, shape) in tensors {
        let found = numbered(name);
        let key = (found.name, dtype, shape);
        let entry = numbers.entry(key.clone()).or_insert_with(|| {
            order.push(key);
            BTreeMap::new()
        });
        entry.entry(found.layer).or_default().insert(found.expert);
    }
    let mut templates = Vec::new();
    for key in order {
        let Some(layers) = numbers.remove(&key) else { continue };
        let (name, dtype, shape) = key;
        for (name, instances) in instances(&name, &layers) {
            let (module, parameter) = name.rsplit_once('.').unwrap_or(("", &name));
            templates.push(Template {
                module: module.to_owned(),
                parameter: parameter.to_owned(),
                instances,
                dtype,
                shape: shape.to_vec(),
            });
        }
    }
    templates
}

/// Where a name occurs. Experts that are not all in every layer keep their numbers in their names.
fn instances(name: &str, numbers: &BTreeMap<Option<u32>, BTreeSet<Option<u32>>>) -> Vec<(String, Instances)> {
    let layers = || IndexSet::from_indices(numbers.keys().copied().flatten());
    let Some(first) = numbers.values().next() else { return Vec::new() };
    if numbers.keys().all(Option::is_none) {
        return vec![(name.to_owned(), Instances::First)];
    }
    if first.iter().all(Option::is_none) {
        return vec![(name.to_owned(), Instances::Layers(layers()))];
    }
    let count = u32::try_from(first.len()).unwrap_or(u32::MAX);
    let complete = |experts: &BTreeSet<Option<u32>>| experts.iter().copied().eq((0..count).map(Some));
    if numbers.values().all(complete) {
        return vec![(name.to_owned(), Instances::Experts { layers: layers(), experts: count })];
    }
    let all: BTreeSet<u32> = numbers.values().flatten().copied().flatten().collect();
    let of_expert = |expert: u32| {
        let having = numbers.iter().filter(|(_, experts)| experts.contains(&Some(expert)));
        // The second `{}` is the expert's.
        let name = match name.split_once("{}") {
            Some((head, tail)) => format!("{head}{{}}{}", tail.replacen("{}", &expert.to_string(), 1)),
            None => name.to_owned(),
        };
        (name, Instances::Layers(IndexSet::from_indices(having.filter_map(|(layer, _)| *layer))))
    };
    all.into_iter().map(of_expert).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_in_numbers_are_one_template() {
        let shape: &[u64] = &[4, 4];
        let names = [
            "model.embed.weight",
            "model.layers.0.mlp.experts.0.w1.weight",
            "model.layers.0.mlp.experts.1.w1.weight",
            "model.layers.2.mlp.experts.0.w1.weight",
            "model.layers.2.mlp.experts.1.w1.weight",
            "model.layers.1.mlp.up.0.weight",
            "model.layers.3.experts.5.w.weight",
        ];
        let found = templates(names.into_iter().map(|name| (name, DType::BF16, shape)));
        let list: Vec<_> = found.iter().map(|t| (t.module.as_str(), t.instances.count())).collect();
        assert_eq!(
            list,
            [
                ("model.embed", 1),
                ("model.layers.{}.mlp.experts.{}.w1", 4),
                ("model.layers.{}.mlp.up.0", 1),
                ("model.layers.{}.experts.5.w", 1),
            ]
        );
    }
}
