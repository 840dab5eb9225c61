"""How long work tells whoever waits for it."""

from collections.abc import Callable

Progress = Callable[[int, int], None]  # hears how many units are done, and of how many
