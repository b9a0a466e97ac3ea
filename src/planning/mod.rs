//! From a request to a verdict: ledger, capacity, advice.
