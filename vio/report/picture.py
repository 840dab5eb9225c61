"""One figure of the report and its words."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """name: file name without suffix, unique in the report. caption: what there is to see, in a sentence or two."""

    name: str
    title: str
    caption: str
    figure: "Figure"
