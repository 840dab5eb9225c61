"""What tinyvio needs from others: bounds that are tried, versions that fit, and licences that are known."""

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
# a viewer that needs numpy 2, and what only tests of notebooks and pages and `launch/test` use
NOT_TRIED_OLDEST = {"rerun-sdk", "ipykernel", "nbclient", "nbformat", "playwright", "pytest-xdist"}

# words of a licence that lets a BSD program use the library and be passed on with it, unchanged
FREE = re.compile(r"\b(MIT|BSD|0BSD|Apache|ISC|ISCL|PSF|Python Software Foundation|MPL|Mozilla|Zlib|CC0|HPND|Unlicense|MIT-CMU)\b|any-OSI", re.IGNORECASE)
BOUND = re.compile(r"\b(A|L)?GPL|General Public", re.IGNORECASE)
EXCEPTIONS = {"evo": "GPL-3: metrics alone are computed with it, by its public functions, in a program that anyone may read; the wheel does not carry it"}


def _name(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()


def _bounds(requirements: list[str]) -> dict[str, Requirement]:
    found = (Requirement(text) for text in requirements)
    return {_name(r.name): r for r in found if r.name != "tinyvio"}


def _needed(*extras: str) -> dict[str, metadata.Distribution]:
    """Every distribution that an installation with these extras brings, by name; those that are not installed are left out."""
    todo = [Requirement(text) for text in PROJECT["dependencies"] + [text for extra in extras for text in EXTRAS[extra]]]
    found: dict[str, metadata.Distribution] = {}
    while todo:
        requirement = todo.pop()
        name = _name(requirement.name)
        if name in found or name == "tinyvio" or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        try:
            found[name] = metadata.distribution(requirement.name)
        except metadata.PackageNotFoundError:
            continue
        todo += [Requirement(text) for text in found[name].requires or ()]
    return found


def _licence(distribution: metadata.Distribution) -> str:
    """What its metadata say: the expression, else the classifiers, else the first line of the text."""
    about = distribution.metadata
    classifiers = [entry.rsplit("::", 1)[-1].strip() for entry in about.get_all("Classifier") or () if entry.startswith("License ::")]
    return about.get("License-Expression") or ", ".join(classifiers) or (about.get("License") or "").strip().split("\n")[0]


def test_every_lower_bound_is_one_that_is_tried() -> None:
    """Oracle: the list of versions that `.ci/oldest` installs, all at once."""
    lines = [line.strip() for line in (ROOT / ".ci" / "oldest.txt").read_text().splitlines() if line.strip() and not line.startswith("#")]
    tried = {_name(line.split("==")[0]): line.split("==")[1] for line in lines}
    declared = _bounds(PROJECT["dependencies"] + [text for extra in EXTRAS.values() for text in extra])
    assert tried.keys() == declared.keys() - NOT_TRIED_OLDEST
    for name, version in tried.items():
        lower = [s.version for s in declared[name].specifier if s.operator == ">="]
        assert len(lower) == 1 and Version(lower[0]) == Version(version), f"{name}: pyproject.toml says {declared[name].specifier}, tried is {version}"


def test_no_version_is_forbidden_from_above() -> None:
    """Oracle: the specifiers in pyproject.toml."""
    for name, requirement in _bounds(PROJECT["dependencies"] + [text for extra in EXTRAS.values() for text in extra]).items():
        assert {s.operator for s in requirement.specifier} == {">="}, name


def test_what_is_installed_fits_together() -> None:
    """Oracle: `pip check`, for all that tinyvio brings."""
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    ours = set(_needed(*EXTRAS)) | {"tinyvio"}
    wrong = [line for line in done.stdout.splitlines() if _name(line.split(" ")[0]) in ours]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("extras", [(), ("sweep", "report", "view")], ids=["alone", "with extras"])
def test_every_licence_is_known_and_lets_a_bsd_program_use_it(extras: tuple[str, ...]) -> None:
    """Oracle: what each distribution declares; the one exception is named with its reason."""
    found = _needed(*extras)
    assert len(found) > 20
    for name, distribution in found.items():
        licence = _licence(distribution)
        if name in EXCEPTIONS:
            assert BOUND.search(licence), f"{name} is {licence} by now: no exception any more"
        else:
            assert FREE.search(licence) and not BOUND.search(licence), f"{name}: {licence or 'no licence declared'}"


def test_our_own_licence_is_the_one_declared() -> None:
    """Oracle: the text of the BSD 3-clause licence."""
    text = (ROOT / "LICENSE").read_text()
    assert PROJECT["license"] == "BSD-3-Clause" and "Neither the name" in text and "Redistribution and use in source and binary forms" in text
