//! Models by name, with the configuration that their publishers gave them.
