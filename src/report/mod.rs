//! What is printed: versioned structures and the renderers that format them.

pub mod probe;
pub mod render;
pub mod top;
