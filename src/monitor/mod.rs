//! Samples the cards over time.
