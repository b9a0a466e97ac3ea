//! Asks the cards: NVML, or a recording of what it said.
