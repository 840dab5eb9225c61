"""Scaling between process nodes and voltages by the polynomials of Stillmaker and Baas, Integration 58 (2017).

Energy b2 V^2 + b1 V + b0 and delay a3 V^3 + a2 V^2 + a1 V + a0 per node; only ratios of two of them mean anything.
Rows of scaling_stillmaker_baas.csv; node names as there: 180, 130, 90, 65, then HP or LP before 45, 32, 20, 16, 14, 10, 7.
"""

from functools import lru_cache

from hwmodel.tables import rows

_TABLE = "scaling_stillmaker_baas.csv"


@lru_cache(maxsize=64)
def _coefficients(node: str) -> dict[str, float]:
    """Polynomial coefficients of a node by name."""
    return {row["quantity"]: float(row["value"]) for row in rows(_TABLE) if row["quantity"].startswith("coef_") and row["from_node"] == node}


def nodes() -> tuple[str, ...]:
    """Names of the nodes that can be scaled to."""
    return tuple(dict.fromkeys(row["from_node"] for row in rows(_TABLE) if row["quantity"] == "coef_energy_b0"))


def _energy(node: str, vdd: float) -> float:
    c = _coefficients(node)
    return c["coef_energy_b2"] * vdd**2 + c["coef_energy_b1"] * vdd + c["coef_energy_b0"]


def _delay(node: str, vdd: float) -> float:
    c = _coefficients(node)
    return sum(c[f"coef_delay_a{k}"] * vdd**k for k in range(4))


def energy_ratio(node: str, vdd: float, from_node: str, from_vdd: float) -> float:
    """Switching energy of a circuit at (node, vdd) over that at (from_node, from_vdd)."""
    return _energy(node, vdd) / _energy(from_node, from_vdd)


def delay_ratio(node: str, vdd: float, from_node: str, from_vdd: float) -> float:
    """Gate delay at (node, vdd) over that at (from_node, from_vdd)."""
    return _delay(node, vdd) / _delay(from_node, from_vdd)


@lru_cache(maxsize=64)
def area_ratio(node: str, from_node: str) -> float:
    """Area of a circuit at `node` over that at `from_node`; HP and LP share one area table."""
    to, start = node.lstrip("HLP"), from_node.lstrip("HLP")
    for row in rows(_TABLE):
        if row["quantity"] == "area_factor" and (row["from_node"], row["to_node"]) == (start, to):
            return float(row["value"])
    raise KeyError(f"no area factor from {from_node} to {node}")
