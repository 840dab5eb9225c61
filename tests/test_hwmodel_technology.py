"""Technology: the published tables come out as they went in, scaling follows its polynomials, nonsense is refused."""

import pytest
from hwmodel.operations import Op
from hwmodel.scaling import area_ratio, delay_ratio, energy_ratio, nodes
from hwmodel.tables import DATA, rows
from hwmodel.technology import at_voltage, dram_energy, load_technology, op_energy, register_energy, speed, sram
from vio.config import ConfigError

NAMES = sorted(p.stem for p in (DATA / "technologies").glob("*.toml"))


@pytest.mark.parametrize("row", [r for r in rows("scaling_stillmaker_baas.csv") if r["quantity"].startswith(("energy_factor", "delay_factor"))],
                         ids=lambda r: f"{r['quantity']}-{r['from_node']}-{r['to_node']}-{r['from_vdd']}-{r['to_vdd']}")
def test_scaling_factors_are_the_tabulated_ones(row: dict[str, str]) -> None:
    """Oracle: the factors that the table lists beside the polynomials."""
    ratio = energy_ratio if row["quantity"].startswith("energy") else delay_ratio
    points = (row["to_node"], float(row["to_vdd"])), (row["from_node"], float(row["from_vdd"]))
    value = ratio(*points[0], *points[1])
    assert value == pytest.approx(float(row["value"]), rel=1e-3) or 1 / value == pytest.approx(float(row["value"]), rel=1e-3)


@pytest.mark.parametrize("row", rows("sram_cacti_65nm.csv")[::7], ids=lambda r: f"{r['cell']}-{r['size_kB']}-{r['word_bits']}")
def test_a_tabulated_memory_costs_what_the_table_says(row: dict[str, str]) -> None:
    """Oracle: CACTI's row, at the cell's own voltage."""
    name = {"itrs-hp": "65nm-hp", "itrs-lstp": "65nm-lstp", "itrs-lop": "65nm-lop"}[row["cell"]]
    technology = at_voltage(load_technology(name), float(row["vdd_V"]))
    bits = int(row["word_bits"])
    cost = sram(int(float(row["size_kB"]) * 8192 / bits), bits, 1, technology)
    for value, column in ((cost.read, "read_pJ"), (cost.write, "write_pJ"), (cost.leakage, "leakage_mW"), (cost.area, "area_mm2")):
        assert value.nominal == pytest.approx(float(row[column]), rel=1e-6)
        assert value.low < value.nominal < value.high


def test_operations_lie_between_the_two_published_tables() -> None:
    """Oracle: Horowitz 3.1 pJ and Aladdin 8.8 pJ for a 32-bit product, 18 and 86.6 pJ for a double's, carried to 65 nm."""
    technology = load_technology("65nm-lstp")
    up = energy_ratio("65", 1.0, "HP45", 0.9)
    for op, low, high in ((Op("mul", 32, 32), 3.1, 8.8), (Op("fmul", 64), 18.0, 86.6), (Op("fmul", 32), 3.7, 26.6), (Op("fadd", 64), 1.8, 17.78), (Op("add", 32), 0.0853, 0.1)):
        band = op_energy(op, technology)
        assert (band.low, band.high) == (pytest.approx(low * up), pytest.approx(high * up))
        assert band.nominal == pytest.approx(up * (low * high) ** 0.5)


def test_products_go_with_both_widths() -> None:
    """Oracle: closed form of an array multiplier."""
    technology = load_technology("65nm-lstp")
    assert op_energy(Op("mul", 16, 8), technology).nominal == pytest.approx(op_energy(Op("mul", 32, 32), technology).nominal / 8)
    assert op_energy(Op("fmul", 40), technology).nominal < op_energy(Op("fmul", 64), technology).nominal


@pytest.mark.parametrize("name", NAMES)
def test_more_voltage_is_faster_and_dearer_in_every_technology(name: str) -> None:
    """Oracle: physics, within the fits' validity (the fastest 45 and 32 nm fits flatten at their upper end)."""
    technology = load_technology(name)
    low, high = at_voltage(technology, technology.vdd_min), at_voltage(technology, technology.vdd_nominal)
    assert speed(low) < speed(high) == pytest.approx(1.0)
    for cost in (lambda t: op_energy(Op("add", 32), t).nominal, lambda t: register_energy(t).nominal, lambda t: sram(1024, 32, 1, t).read.nominal):
        assert cost(low) < cost(high)


def test_smaller_nodes_cost_less() -> None:
    """Oracle: the order of the nodes."""
    chain = [load_technology(n) for n in ("180nm-lstp", "130nm-lstp", "90nm-lstp", "65nm-lstp", "45nm-lstp", "32nm-lstp", "20nm-lstp", "14nm-lstp", "7nm-lstp")]
    for big, small in zip(chain, chain[1:]):
        assert op_energy(Op("mul", 16, 16), small).nominal < op_energy(Op("mul", 16, 16), big).nominal
        assert sram(2048, 32, 1, small).area.nominal < sram(2048, 32, 1, big).area.nominal
    assert area_ratio("65", "65") == 1 and len(nodes()) == 18


def test_off_chip_memory_costs_what_is_published() -> None:
    """Oracle: 8 pJ a bit for LPDDR4."""
    assert dram_energy("LPDDR4") == 8


def test_voltage_outside_the_validity_and_unknown_names_are_refused() -> None:
    """Oracle: the message names the range or the known names."""
    with pytest.raises(ConfigError, match="outside the validity"):
        load_technology("65nm-lstp", 0.3)
    with pytest.raises(ConfigError, match="65nm-lstp"):
        load_technology("3nm")


@pytest.mark.parametrize(("change", "message"), [
    (("node = \"65\"", "node = \"66\""), "unknown node"), (("cell = \"itrs-lstp\"", "cell = \"magic\""), "unknown cell"),
    (("vdd_nominal = 1.0", "vdd_nominal = \"one\""), "vdd_nominal"), (("vdd_nominal = 1.0\n", ""), "missing field"), (("utilisation = 0.7", "utilisation = -1"), "utilisation"),
])
def test_a_users_technology_is_read_and_checked(tmp_path, change: tuple[str, str], message: str) -> None:
    """Oracle: the shipped file under another name is the same technology; a broken one is refused with the field's name."""
    text = (DATA / "technologies" / "65nm-lstp.toml").read_text()
    path = tmp_path / "mine.toml"
    path.write_text(text)
    assert op_energy(Op("add", 8), load_technology(str(path))) == op_energy(Op("add", 8), load_technology("65nm-lstp"))
    path.write_text(text.replace(*change))
    with pytest.raises(ConfigError, match=message):
        load_technology(str(path))
