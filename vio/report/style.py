"""How every figure of ours looks, and how it is written. Colours are those of Okabe and Ito (2008); maps are cividis (Nunez et al. 2018)."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vio.io.writers import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, YELLOW, BLACK, GREY = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000", "#999999",
)  # fmt: skip
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
DASHES = ("-", (0, (5, 1.5)), (0, (3, 1, 1, 1)), (0, (1, 1)))  # a second mark beside the colour, for print in grey
_STYLE = {
    "font.size": 9, "font.family": ["DejaVu Sans", "sans-serif"], "axes.titlesize": 9.5, "axes.titlelocation": "left", "axes.titleweight": "bold",
    "axes.grid": True, "grid.alpha": 0.3, "axes.axisbelow": True, "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False,
    "legend.fontsize": 8, "lines.linewidth": 1.3, "svg.hashsalt": "tinyvio", "svg.fonttype": "none", "axes.xmargin": 0.0,
}  # fmt: skip
_DPI = 150
_PROLOGUE = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_REFERENCE = re.compile(r'(\bid="|xlink:href="#|url\(#)')


def style() -> dict[str, object]:
    """The house style as matplotlib's settings, for figures of one's own."""
    return dict(_STYLE)


@contextmanager
def styled() -> Iterator[None]:
    """Within it figures are made in the house style; they need no display."""
    import matplotlib

    with matplotlib.rc_context(_STYLE | {"text.parse_math": False}):  # a "$" in a name is a "$"
        yield


def new_figure(width: float, height: float, layout: str = "constrained") -> "Figure":
    """An empty figure of that many inches, its parts laid out so that no texts overlap, or by the caller (`none`)."""
    from matplotlib.figure import Figure

    return Figure((width, height), layout=layout)


def thinned(n: int, most: int = 1500) -> slice:
    """A slice that leaves at most about `most` of n points, evenly."""
    return slice(None, None, max(1, -(-n // most)))


def look(index: int) -> dict[str, object]:
    """Colour and dash of the line of run `index`."""
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": DASHES[index % len(DASHES)]}


def readable_on(colour: str) -> str:
    """Black or white, whichever has the higher contrast on `colour` by the relative luminance of WCAG 2."""
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "white"


def legend_above(axis: "Axes", columns: int = 6) -> None:
    """One legend over the axis, to the right, out of the data's way."""
    axis.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=columns, borderaxespad=0.2, handlelength=1.8, columnspacing=1.2)


def plain_log(axis: "Axis") -> None:
    """A logarithmic axis with plain numbers: at the decades, and between them the more the fewer decades there are."""
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = sorted(axis.get_view_interval())
    axis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7) if high < 10 * low else (1, 2, 5) if high < 100 * low else (1,)))
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter(NullFormatter())


def digits(value: float) -> str:
    """Three digits, and no powers of ten for what is large."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def encoded(figure: "Figure", suffix: str) -> bytes:
    """The figure as `png` or `svg`; the same figure gives the same bytes."""
    data = io.BytesIO()
    figure.savefig(data, format=suffix, dpi=_DPI, metadata={"Date": None} if suffix == "svg" else {"Software": None})
    return data.getvalue()


def save(figure: "Figure", path: Path) -> bytes:
    """Write the figure as PNG and SVG beside each other; `path` has no suffix. Returns the SVG."""
    for suffix in ("png", "svg"):
        data = encoded(figure, suffix)
        write_atomic(path.with_name(f"{path.name}.{suffix}"), data)
        figure.set_layout_engine("none")  # what the first one came to is good for the second
    return data


def inline_svg(svg: str, name: str) -> str:
    """An SVG file as an element of a page: without prologue and metadata, its identifiers made the page's own by `name`."""
    return _REFERENCE.sub(lambda match: match.group(1) + name + "-", _METADATA.sub("", _PROLOGUE.sub("", svg, count=1)))
