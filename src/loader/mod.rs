//! Streams a placement onto cards, or onto host memory that stands in for them, and proves what arrived.
