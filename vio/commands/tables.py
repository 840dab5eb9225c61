"""Tables of the hardware model as text, JSON or CSV."""

import csv
import io
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwmodel.summary import Table


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    return str(value)


def as_text(tables: list["Table"]) -> str:
    """Aligned columns, numbers to the right; a note under the table that has one."""
    out = []
    for table in tables:
        rows = [table.columns, *([_cell(v) for v in row] for row in table.rows)]
        widths = [max(len(row[k]) for row in rows) for k in range(len(table.columns))]
        right = [any(isinstance(row[k], (int, float)) for row in table.rows) for k in range(len(table.columns))]
        lines = ["  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right)).rstrip() for row in rows]
        out.append("\n".join([table.name, *(f"  {line}" for line in lines), *([f"  {table.note}"] if table.note else [])]))
    return "\n\n".join(out)


def as_json(tables: list["Table"]) -> str:
    """An object of tables, each a list of objects."""
    return json.dumps({t.name: {"note": t.note, "rows": [dict(zip(t.columns, row)) for row in t.rows]} for t in tables}, indent=1)


def as_csv(tables: list["Table"]) -> str:
    """One line per row: the table's name, then its cells; each table begins with its column heads."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for table in tables:
        writer.writerow(["table", *table.columns])
        writer.writerows([table.name, *row] for row in table.rows)
    return text.getvalue()
