"""On-chip memory and energy model."""
