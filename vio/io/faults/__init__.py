"""Faults of recordings, made on purpose: seeded, deterministic, in any combination, on the fly or as a damaged copy."""
