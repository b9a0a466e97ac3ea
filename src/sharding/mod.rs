//! One sharding rule with two users: the ledger counts its bytes, the loader copies them.
