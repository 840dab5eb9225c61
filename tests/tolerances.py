"""The only three tolerances of the tests."""

EXACT = 0
TIGHT = 1e-9
LOOSE = 1e-4
