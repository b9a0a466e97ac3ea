//! Weights of a few bits in 32-bit words: AWQ, GPTQ and compressed-tensors' packed form.

use super::{Built, Kernels, Tally, marlin_workspace, signed};
use crate::sharding::RankTensor;
use crate::units::DType;

/// The kernel that multiplies a matrix (`kernels/mixed_precision/`, in the order vLLM tries them).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kernel {
    /// Hopper's: keeps every tensor, and zero points as numbers.
    Machete,
    /// Repacks weights and scales in place, needs lock words, and drops what symmetric weights in plain order do not need.
    Marlin,
    /// Takes tensors as they are stored.
    AsStored,
}

/// A packed matrix on one rank.
struct Matrix {
    input: u64,
    output: u64,
    bits: u64,
    /// Inputs of a group; `None` is one group.
    group: Option<u64>,
    /// Rows in another order.
    act_order: bool,
    /// Whether ranks share the inputs out.
    divided: bool,
}

pub(super) fn module(kernels: &Kernels<'_>, module: &Built<'_>, tally: &mut Tally) {
    if let (Some(qweight), Some(scales)) = (module.tensor("qweight"), module.tensor("scales")) {
        match module.tensor("g_idx") {
            Some(index) => gptq(kernels, module, [qweight, scales, index], tally),
            None => awq(kernels, module, qweight, scales, tally),
        }
    } else if let (Some(packed), Some(scales)) = (module.tensor("weight_packed"), module.tensor("weight_scale")) {
        compressed(kernels, module, packed, scales, tally);
    }
}

impl Kernels<'_> {
    fn kernel(&self, matrix: &Matrix) -> Kernel {
        let known_bits = matrix.bits == 4 || matrix.bits == 8;
        let group = |sizes: &[u64]| matrix.group.is_none_or(|g| sizes.contains(&g));
        if self.hopper()
            && known_bits
            && group(&[64, 128])
            && !(matrix.act_order && matrix.divided)
            && matrix.input.is_multiple_of(64)
            && matrix.output.is_multiple_of(128)
        {
            Kernel::Machete
        } else if self.capable(8, 0)
            && known_bits
            && group(&[32, 64, 128])
            && matrix.input.is_multiple_of(128)
            && matrix.output.is_multiple_of(64)
        {
            Kernel::Marlin
        } else {
            Kernel::AsStored
        }
    }
}

/// Inputs of a group in a matrix of so many inputs and groups.
fn group(input: u64, groups: u64) -> Option<u64> {
    (groups > 1).then(|| input / groups)
}

/// Marlin replaces zero points, and without act-order the index, by empty tensors (`kernels/mixed_precision/marlin.py`). Weights that are
/// not symmetric have no kernel but the plain one (`gptq_marlin.py`, `TYPE_MAP`).
fn gptq(kernels: &Kernels<'_>, module: &Built<'_>, [qweight, scales, index]: [&RankTensor; 3], tally: &mut Tally) {
    let (input, whole) = (Built::size(index, 0), Built::whole_size(index, 0));
    let matrix = Matrix {
        input,
        output: Built::size(scales, 1),
        bits: (Built::size(qweight, 0) * 32).checked_div(input).unwrap_or(0),
        group: group(whole, Built::whole_size(scales, 0)),
        act_order: kernels.quantization.act_order,
        divided: whole != input,
    };
    if !kernels.quantization.symmetric || kernels.kernel(&matrix) != Kernel::Marlin {
        return;
    }
    tally.add("Marlin workspace", qweight, i128::from(marlin_workspace(kernels.card)));
    if let Some(zeros) = module.tensor("qzeros") {
        tally.remove("zero points", zeros);
    }
    if matrix.act_order {
        tally.add("order of the group indices", index, signed(DType::I32.size(input)));
    } else {
        tally.remove("group indices", index);
    }
}

/// compressed-tensors' packed form: as GPTQ, but there is an index under act-order only, and Marlin keeps zero points.
fn compressed(kernels: &Kernels<'_>, module: &Built<'_>, packed: &RankTensor, scales: &RankTensor, tally: &mut Tally) {
    let bits = kernels.quantization.bits.max(1);
    let (input, whole) = (Built::size(packed, 1) * 32 / bits, Built::whole_size(packed, 1) * 32 / bits);
    let index = module.tensor("weight_g_idx");
    let matrix = Matrix {
        input,
        output: Built::size(packed, 0),
        bits,
        group: group(whole, Built::whole_size(scales, 1)),
        act_order: index.is_some(),
        divided: whole != input,
    };
    match kernels.kernel(&matrix) {
        Kernel::Machete => {
            if let Some(zeros) = module.tensor("weight_zero_point") {
                widen_zeros(zeros, scales, tally);
            }
        }
        Kernel::Marlin => {
            tally.add("Marlin workspace", packed, i128::from(marlin_workspace(kernels.card)));
            if let Some(index) = index {
                tally.add("order of the group indices", index, signed(DType::I32.size(input)));
            }
        }
        Kernel::AsStored => {}
    }
}

/// AWQ: Marlin's lock words beside tensors of the same size (`awq_marlin.py`); in newer versions Machete, with zero points as numbers.
fn awq(kernels: &Kernels<'_>, module: &Built<'_>, qweight: &RankTensor, scales: &RankTensor, tally: &mut Tally) {
    let matrix = Matrix {
        input: Built::size(qweight, 0),
        output: Built::size(scales, 1),
        bits: kernels.quantization.bits,
        group: group(Built::whole_size(qweight, 0), Built::whole_size(scales, 0)),
        act_order: false,
        divided: false,
    };
    if kernels.release.awq_by_kernel && kernels.kernel(&matrix) == Kernel::Machete {
        if let Some(zeros) = module.tensor("qzeros") {
            widen_zeros(zeros, scales, tally);
        }
    } else if matrix.bits == 4 && kernels.capable(8, 0) {
        tally.add("Marlin workspace", qweight, i128::from(marlin_workspace(kernels.card)));
    }
}

/// Machete multiplies zero points by their scales beforehand and keeps the products.
fn widen_zeros(zeros: &RankTensor, scales: &RankTensor, tally: &mut Tally) {
    let each = signed(scales.bytes_each()) - signed(zeros.bytes_each());
    tally.add("zero points in the scales' element type", zeros, each);
}
