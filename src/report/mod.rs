//! What is printed: versioned structures and the renderers that format them.

pub mod top;
