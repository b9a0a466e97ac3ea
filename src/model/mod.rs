//! What a model is: its facts, its tensors, how its layers remember tokens.

mod part;

pub use part::Part;
