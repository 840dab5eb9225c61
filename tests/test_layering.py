"""The import law, read from the source by `ast`: who may import whom."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BOTTOM = {"vio.types", "vio.fixed", "vio.precision", "vio.events", "vio.lie", "vio.errors", "vio.kernels", "vio.numba_savings"}
OUTSIDE_ENGINE = {"vio.io", "vio.viewer", "vio.cli", "vio.commands", "vio.console", "vio.runner", "vio.evaluation", "vio.consistency", "vio.lifetimes", "vio.scorecard", "vio.report", "vio.sweep", "vio.sweeps", "vio.stress", "vio.codesign", "vio.doctor"}
HEAVY = {"cv2", "rerun", "hwmodel", "evo", "dask", "pandas", "matplotlib", "yaml", "typer", "rich"}
HWMODEL_MAY = {"vio.config", "vio.precision", "vio.fixed", "vio.events"}


@cache
def _modules() -> dict[str, Path]:
    """Every module of the two packages by its dotted name."""
    found = {}
    for package in ("vio", "hwmodel"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def _imports(module: str) -> frozenset[str]:
    """Dotted names a module imports, those inside functions too; `if TYPE_CHECKING` blocks never run and do not count."""
    names: set[str] = set()
    todo: list[ast.AST] = [ast.parse(_modules()[module].read_text(encoding="utf-8"))]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            todo.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import hides what it means"
            names.update(f"{node.module}.{a.name}" if f"{node.module}.{a.name}" in _modules() else node.module for a in node.names)
        todo.extend(ast.iter_child_nodes(node))
    return frozenset(names)


def _reachable(module: str) -> set[str]:
    """Everything a module loads, directly or through modules of ours."""
    seen: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(_imports(name) if name in _modules() else ())
    return seen - {module}


def _is(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


@pytest.mark.parametrize("module", sorted(BOTTOM))
def test_the_bottom_imports_nothing_above_itself(module: str) -> None:
    """Oracle: section 2 of the design."""
    ours = {name for name in _imports(module) if _is(name, "vio") or _is(name, "hwmodel")}
    assert ours <= BOTTOM


def test_the_engine_reaches_no_file_no_picture_and_no_hardware_model() -> None:
    """Oracle: section 2 of the design, followed through every import of ours."""
    engine = [m for m in _modules() if m == "vio.odometry" or _is(m, "vio.frontend") or _is(m, "vio.backend")]
    assert "vio.odometry" in engine
    for module in engine:
        wrong = {name for name in _reachable(module) for package in OUTSIDE_ENGINE | HEAVY if _is(name, package)}
        assert not wrong, f"{module} reaches {sorted(wrong)}"


def test_the_hardware_model_knows_only_formats_and_events() -> None:
    """Oracle: section 2 of the design."""
    for module in _modules():
        if _is(module, "hwmodel"):
            ours = {name for name in _imports(module) if _is(name, "vio")}
            assert ours <= HWMODEL_MAY, module


@pytest.mark.parametrize(("package", "only"), [("rerun", "vio.viewer"), ("dask", "vio.sweep")])
def test_a_big_dependency_has_one_door(package: str, only: str) -> None:
    """Oracle: section 2 of the design; the door may be a package."""
    users = {module for module in _modules() for name in _imports(module) if _is(name, package)}
    assert users and all(_is(user, only) for user in users)


def test_the_data_folders_hold_no_importable_python() -> None:
    """Oracle: `datasets` and `launch` are import names of Hugging Face and ROS 2, which ours must not shadow."""
    for folder in ("datasets", "launch"):
        assert not list((ROOT / folder).rglob("*.py"))


def test_every_public_name_is_documented_and_annotated() -> None:
    """Oracle: the syntax tree; compiled kernels take their types from the caller and are exempt from annotations."""
    for module, path in _modules().items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), module
        for node in tree.body:
            if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
                continue
            assert ast.get_docstring(node), f"{module}.{node.name} has no docstring"
            compiled = any(name in ast.unparse(d) for d in node.decorator_list for name in ("njit", "leaf"))
            if isinstance(node, ast.FunctionDef) and not compiled:
                assert node.returns is not None, f"{module}.{node.name} does not say what it returns"


def test_no_file_is_longer_than_four_hundred_lines() -> None:
    """Oracle: the project's own limit."""
    for module, path in _modules().items():
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, module
