"""One module per command of `tinyvio`; heavy modules are imported inside the functions that use them."""
