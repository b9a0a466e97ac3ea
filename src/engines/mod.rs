//! What each engine does with memory: one file an engine, registered in one place.
