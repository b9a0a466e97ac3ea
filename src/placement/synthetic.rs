//! A checkpoint that is not there: the stored tensors that a plan asks for, laid out in files nobody wrote.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::RankRequest;
use super::build::places;
use crate::model::{Checkpoint, CheckpointFile, CheckpointTensor, DuplicateTensor, FileLocation};
use crate::sharding::Fill;
use crate::units::{Bytes, DType};

/// Size from which a file is closed and the next one begun, as publishers cut them.
const FILE: u64 = 5_000_000_000;

/// The checkpoint that would satisfy the ranks: every tensor they cut from, whole, in the order of names. A tensor whose element type the
/// config leaves open is stored in the one it is wanted in.
///
/// # Errors
/// When two ranks want one name in two shapes or types.
pub fn synthetic_checkpoint(ranks: &[RankRequest<'_>]) -> Result<Checkpoint, DuplicateTensor> {
    let mut wanted: BTreeMap<String, (DType, &[u64])> = BTreeMap::new();
    for template in ranks.iter().flat_map(|rank| rank.tensors) {
        let Fill::Files(copies) = &template.fill else { continue };
        for place in places(&template.place) {
            for copy in copies {
                let dtype = copy.source.dtype.unwrap_or(template.dtype);
                for source in place.sources(copy) {
                    wanted.insert(source.name(&copy.source.name), (dtype, &copy.source.shape));
                }
            }
        }
    }
    let mut files: Vec<u64> = vec![0];
    let mut tensors = Vec::new();
    for (name, (dtype, shape)) in wanted {
        let bytes = dtype.size(shape.iter().copied().fold(1, u64::saturating_mul));
        if files.last().is_some_and(|size| *size >= FILE) {
            files.push(0);
        }
        let file = files.len() - 1;
        let offset = files[file];
        files[file] = offset.saturating_add(bytes.0);
        tensors.push(CheckpointTensor { name, dtype, shape: shape.to_vec(), file, offset, bytes });
    }
    let count = files.len();
    let file = |(number, size): (usize, u64)| {
        let name = format!("generated-{number:05}-of-{count:05}");
        CheckpointFile { location: FileLocation::Local(PathBuf::from(&name)), name, size: Bytes(size) }
    };
    Checkpoint::new((1..).zip(files).map(file).collect(), tensors, BTreeMap::new())
}
