"""YAML from strangers: `yaml.safe_load`, and before it a look at what the text stands for once its aliases are written out.

Ten lines of aliases can stand for a billion numbers, and merge keys (`<<`) copy them while the text is read. Both are seen in the graph
of nodes that the parser composes, which is as small as the text.
"""

import re
from pathlib import Path
from typing import Any

from vio.errors import CalibrationError, TinyvioError
from vio.files import read_text

LARGEST = 1 << 18  # bytes; a chain of eight cameras has 6 kB, the metadata of a bag in a thousand pieces 200 kB
_MOST_NODES = 200_000  # with every alias written out
_DEEP = re.compile(r"(?:[\[{][^\[\]{}]*){64}")  # 64 brackets opened and none closed: the scanner looks at each of them at each token


def read_yaml(path: Path, error: type[TinyvioError] = CalibrationError) -> dict[str, Any]:
    """Read a table of fields, with or without OpenCV's `%YAML:1.0` first line. Raises `error` naming file and line."""
    # blanked, not removed: the line numbers in errors stay those of the file
    lines = ["" if line.startswith("%YAML:") else line for line in read_text(path, LARGEST, error).splitlines()]
    fields = parse_yaml("\n".join(lines), str(path), error)
    if not isinstance(fields, dict):
        raise error(f"{path}: not a table of fields")
    return fields


def parse_yaml(text: str, source: str, error: type[TinyvioError] = CalibrationError) -> Any:
    """The value of a text in YAML 1.1. Raises `error`, which begins with `source` and names the line."""
    import yaml

    if _DEEP.search(text):
        raise error(f"{source}: brackets within brackets, too deep")
    try:
        node = yaml.compose(text, yaml.SafeLoader)
        if _expanded(node, {}, set()) > _MOST_NODES:
            raise error(f"{source}: aliases that stand for more than {_MOST_NODES} values; write out what is meant")
        return yaml.safe_load(text)
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise error(f"{source}{where}: not YAML ({getattr(fault, 'problem', None) or 'unreadable'})") from None
    except RecursionError:
        raise error(f"{source}: brackets within brackets, too deep") from None
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError):  # of tags whose value does not fit, such as `!!int ""`
        raise error(f"{source}: a value is not what its tag or its form says, such as a date that does not exist") from None


def _expanded(node: Any, known: dict[int, int], above: set[int]) -> int:
    """Nodes of a graph with every alias written out; infinite, hence more than any limit, where one stands within itself."""
    if id(node) in above:
        return _MOST_NODES + 1
    if id(node) not in known:
        children = getattr(node, "value", None)
        above.add(id(node))
        count = 1
        for child in children if isinstance(children, list) else ():
            count += sum(_expanded(part, known, above) for part in (child if isinstance(child, tuple) else (child,)))
        above.discard(id(node))
        known[id(node)] = count
    return known[id(node)]
