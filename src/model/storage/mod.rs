//! How a matrix is stored: as one weight, or as the tensors of a quantisation format.

mod assign;
mod names;
mod quantization;
mod read;
mod resolve;
mod shape;

pub use quantization::{CacheScheme, Quantization, Scheme};
pub use shape::{Axis, Dim, Format, StoredTensor, bias};
