"""On-chip buffers, one module per area; each returns `Buffer` records for a configuration, a chip and a set of savings."""
