//! The TOML of a card profile, checked on the way in.

use serde::Deserialize;

use super::{Architecture, GpuContext, GpuMemory, GpuProfile};
use crate::units::{Basis, Bytes};

/// A card profile that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GpuProfileError {
    /// Not TOML, an unknown key, a missing one, or a value of the wrong type.
    #[error("card profile `{file}` does not parse: {message}")]
    Syntax {
        /// The file.
        file: String,
        /// What the parser says, with the line.
        message: String,
    },
    /// Written for another version of this program.
    #[error("card profile `{file}` has `schema = {found}`: this version reads schema 1")]
    Schema {
        /// The file.
        file: String,
        /// The schema it names.
        found: u32,
    },
    /// A value that cannot be.
    #[error("card profile `{file}`: `{field}` {problem}")]
    Value {
        /// The file.
        file: String,
        /// The key, with its table.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GpuFile {
    schema: u32,
    id: String,
    names: Vec<String>,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    pci_device_ids: Vec<String>,
    compute: ComputeTable,
    memory: MemoryTable,
    context: Option<ContextTable>,
    mig: Option<MigTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ComputeTable {
    architecture: Architecture,
    capability: String,
    multiprocessors: u32,
    nvlink: bool,
    source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MemoryTable {
    kind: String,
    ecc: Option<String>,
    nvml_total: Option<String>,
    cuda_total: String,
    #[serde(default)]
    shared_pool: bool,
    basis: ProfileBasis,
    source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ContextTable {
    low: String,
    expected: String,
    high: String,
    basis: ProfileBasis,
    source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MigTable {
    source: String,
    slices: Vec<SliceTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SliceTable {
    name: String,
    cuda_total: String,
    multiprocessors: u32,
    basis: ProfileBasis,
}

/// The two bases that a file may claim; nothing in a file was measured on this machine.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ProfileBasis {
    Profile,
    Assumed,
}

impl From<ProfileBasis> for Basis {
    fn from(basis: ProfileBasis) -> Self {
        match basis {
            ProfileBasis::Profile => Self::Profile,
            ProfileBasis::Assumed => Self::Assumed,
        }
    }
}

/// Reads one file: the card first, then its MIG slices.
pub(super) fn parse(file: &str, text: &str) -> Result<Vec<GpuProfile>, GpuProfileError> {
    let parsed: GpuFile = toml::from_str(text).map_err(|error| GpuProfileError::Syntax {
        file: file.to_owned(),
        message: error.to_string().trim().to_owned(),
    })?;
    if parsed.schema != 1 {
        return Err(GpuProfileError::Schema { file: file.to_owned(), found: parsed.schema });
    }
    let card = card(file, &parsed)?;
    let mut profiles = vec![card];
    if let Some(mig) = &parsed.mig {
        for slice in &mig.slices {
            let slice = self::slice(file, &profiles[0], mig, slice)?;
            profiles.push(slice);
        }
    }
    Ok(profiles)
}

fn card(file: &str, parsed: &GpuFile) -> Result<GpuProfile, GpuProfileError> {
    let GpuFile { id, names, aliases, pci_device_ids, compute, memory, context, .. } = parsed;
    let bad = |field, problem: String| GpuProfileError::Value { file: file.to_owned(), field, problem };
    if super::catalogue::normalise(id).is_empty() {
        return Err(bad("id", format!("`{id}` names nothing")));
    }
    let nvml_total = memory.nvml_total.as_deref().map(|t| size(file, "memory.nvml_total", t)).transpose()?;
    let cuda_total = size(file, "memory.cuda_total", &memory.cuda_total)?;
    if let Some(total) = nvml_total.filter(|total| cuda_total > *total) {
        return Err(bad("memory.cuda_total", format!("is {cuda_total}, more than the NVML total of {total}")));
    }
    for (field, source) in [("compute.source", &compute.source), ("memory.source", &memory.source)] {
        if source.trim().is_empty() {
            return Err(bad(field, "is empty: say where the figures come from".to_owned()));
        }
    }
    Ok(GpuProfile {
        id: id.clone(),
        names: names.clone(),
        aliases: aliases.clone(),
        pci_device_ids: pci_device_ids.clone(),
        architecture: compute.architecture,
        compute_capability: capability(&compute.capability).ok_or_else(|| {
            bad("compute.capability", format!("is `{}`: write major and minor, such as \"8.6\"", compute.capability))
        })?,
        multiprocessors: compute.multiprocessors,
        nvlink: compute.nvlink,
        compute_source: compute.source.clone(),
        memory: GpuMemory {
            kind: memory.kind.clone(),
            ecc: memory.ecc.clone(),
            nvml_total,
            cuda_total,
            shared_pool: memory.shared_pool,
            basis: memory.basis.into(),
            source: memory.source.clone(),
        },
        context: context.as_ref().map(|table| self::context(file, table)).transpose()?,
        slice_of: None,
    })
}

fn context(file: &str, table: &ContextTable) -> Result<GpuContext, GpuProfileError> {
    let low = size(file, "context.low", &table.low)?;
    let expected = size(file, "context.expected", &table.expected)?;
    let high = size(file, "context.high", &table.high)?;
    if !(low <= expected && expected <= high) {
        let problem = format!("is {expected}, outside of {low} to {high}");
        return Err(GpuProfileError::Value { file: file.to_owned(), field: "context.expected", problem });
    }
    Ok(GpuContext { low, expected, high, basis: table.basis.into(), source: table.source.clone() })
}

/// A slice is a card of its own, named as the driver names it: `NVIDIA A100-SXM4-80GB MIG 1g.10gb`.
fn slice(file: &str, card: &GpuProfile, mig: &MigTable, slice: &SliceTable) -> Result<GpuProfile, GpuProfileError> {
    let named = |name: &String| format!("{name} MIG {}", slice.name);
    Ok(GpuProfile {
        id: format!("{}-MIG-{}", card.id, slice.name),
        names: card.names.iter().map(named).collect(),
        // Not of aliases that two cards share: `A100 MIG 1g.10gb` must stay ambiguous, and does, as the aliases are carried over alike.
        aliases: card.aliases.iter().map(named).chain([format!("MIG {}", slice.name)]).collect(),
        pci_device_ids: Vec::new(),
        multiprocessors: slice.multiprocessors,
        // MIG instances have no peer access.
        nvlink: false,
        compute_source: mig.source.clone(),
        memory: GpuMemory {
            nvml_total: None,
            cuda_total: size(file, "mig.slices.cuda_total", &slice.cuda_total)?,
            basis: slice.basis.into(),
            source: mig.source.clone(),
            ..card.memory.clone()
        },
        context: None,
        slice_of: Some(card.id.clone()),
        ..card.clone()
    })
}

fn size(file: &str, field: &'static str, text: &str) -> Result<Bytes, GpuProfileError> {
    let problem = match text.parse::<Bytes>() {
        // Below that it is a number whose unit was forgotten.
        Ok(bytes) if bytes >= Bytes::mib(1) => return Ok(bytes),
        Ok(_) => format!("is `{text}`: give a size with its unit, such as \"22508 MiB\""),
        Err(error) => format!("is not a size: {error}"),
    };
    Err(GpuProfileError::Value { file: file.to_owned(), field, problem })
}

fn capability(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &str = r#"
        schema = 1
        id = "X1"
        names = ["NVIDIA X1"]
        [compute]
        architecture = "ampere"
        capability = "8.6"
        multiprocessors = 10
        nvlink = false
        source = "data sheet"
        [memory]
        kind = "GDDR6"
        nvml_total = "16000 MiB"
        cuda_total = "15.5 GiB"
        basis = "profile"
        source = "a log"
    "#;

    #[test]
    fn a_card_and_its_slices() {
        let text = format!(
            "{CARD}\n[mig]\nsource = \"lgip\"\nslices = [{{ name = \"1g.5gb\", cuda_total = \"4.75 GiB\", multiprocessors = 2, \
             basis = \"assumed\" }}]"
        );
        let profiles = parse("x1.toml", &text).unwrap();
        assert_eq!(profiles.len(), 2);
        assert_eq!(profiles[0].memory.cuda_total, Bytes::mib(15872));
        assert_eq!(profiles[0].compute_capability, (8, 6));
        assert_eq!(profiles[1].id, "X1-MIG-1g.5gb");
        assert_eq!(profiles[1].names, ["NVIDIA X1 MIG 1g.5gb"]);
        assert_eq!((profiles[1].multiprocessors, profiles[1].memory.basis), (2, Basis::Assumed));
        assert_eq!(profiles[1].slice_of.as_deref(), Some("X1"));
    }

    #[test]
    fn faults_are_named() {
        let cases = [
            ("id = \"X1\"", "id = \"X1\"\ncolour = \"green\"", "unknown field `colour`"),
            ("kind = \"GDDR6\"", "", "missing field `kind`"),
            ("schema = 1", "schema = 2", "`schema = 2`: this version reads schema 1"),
            ("\"16000 MiB\"", "\"15000 MiB\"", "more than the NVML total"),
            ("\"16000 MiB\"", "\"16000\"", "give a size with its unit"),
            ("\"16000 MiB\"", "\"16000 MeB\"", "is not a size"),
            ("\"8.6\"", "\"86\"", "write major and minor"),
            ("\"a log\"", "\" \"", "say where the figures come from"),
            ("\"ampere\"", "\"amper\"", "unknown variant `amper`"),
            ("basis = \"profile\"", "basis = \"measured\"", "unknown variant `measured`"),
            ("id = \"X1\"", "id = \"--\"", "names nothing"),
            ("schema = 1", "schema = [", "does not parse"),
        ];
        for (from, to, message) in cases {
            assert!(CARD.contains(from), "{from}");
            let error = parse("x1.toml", &CARD.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(message) && error.contains("x1.toml"), "{to}: {error}");
        }
    }

    #[test]
    fn a_context_has_an_order() {
        let text = format!(
            "{CARD}\n[context]\nlow = \"300 MiB\"\nexpected = \"200 MiB\"\nhigh = \"400 MiB\"\nbasis = \"profile\"\nsource = \"a log\""
        );
        let error = parse("x1.toml", &text).unwrap_err().to_string();
        assert!(error.contains("`context.expected` is 200 MiB, outside of 300 MiB to 400 MiB"), "{error}");
    }
}
