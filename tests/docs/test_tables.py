"""Tables that repeat what the code says: the layout of the package, the constants of the noise level."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

from mri_denoise import networks
from tests.docs.test_docs import DOCUMENTS, ROOT, prose

PACKAGE = ROOT / "mri_denoise"
LONGEST = 400  # characters of a cell of a table; what is longer is text


def section(document: str, heading: str) -> str:
    """What stands under a heading, up to the next one."""
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    return re.split(r"^#+ ", text[text.index(f"# {heading}\n") + 2 :], maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of a table, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip().strip("|").split(" | ")] for line in lines[2:]]


def packages(folder: Path) -> list[str]:
    return sorted(path.parent.relative_to(PACKAGE).as_posix() for path in folder.glob("*/__init__.py"))


def test_the_layout_names_every_module_and_package() -> None:
    layout = section("development.md", "Layout")
    linked = re.findall(r"\]\(\.\./mri_denoise/([^)]+)\)", layout)
    assert all((PACKAGE / target).is_file() for target in linked)
    modules = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert modules <= set(linked), "modules that docs/development.md does not name"
    inside = {name for top in packages(PACKAGE) for name in packages(PACKAGE / top)}
    for package in {*packages(PACKAGE), *inside}:
        named = any(target.startswith(f"{package}/") for target in linked)
        assert named, f"docs/development.md does not name {package}/"


def test_the_layout_names_every_network() -> None:
    (row,) = (row for row in rows(section("development.md", "Layout")) if row[0].startswith("[networks/]"))
    assert set(re.findall(r"`(\w+)`", row[1])) == set(networks.__all__)


CONSTANTS = rows(section("method.md", "Constants of level and floor"))


@pytest.mark.parametrize(("step", "name", "value", "module", "why", "test"), CONSTANTS, ids=lambda text: text[:20])
def test_the_constants_of_the_noise_are_those_of_the_code(
    step: str, name: str, value: str, module: str, why: str, test: str
) -> None:
    path = re.search(r"\(\.\./mri_denoise/([\w/]+)\.py\)", module)
    assert path
    constant = getattr(import_module(f"mri_denoise.{path[1].replace('/', '.')}"), name.strip("`"))
    assert constant == ast.literal_eval(value), f"{name} of {module} is {constant}; docs/method.md says {value}"
    assert step and why
    if test != "none of its own":
        sources = [*(ROOT / "tests" / "noise").glob("test_*.py"), *(ROOT / "tests" / "inference").glob("test_*.py")]
        found = f"def {test.strip('`')}("
        assert any(found in source.read_text(encoding="utf-8") for source in sources), f"no {test}"


def test_the_steps_of_the_level_and_its_table_name_the_same_constants() -> None:
    listed = {name.strip("`") for _, name, *_ in CONSTANTS}
    told = section("method.md", "Level") + section("method.md", "Floor")
    assert set(re.findall(r"`(_?[A-Z][A-Z_]+)`", told)) == listed


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_cell_is_a_paragraph(document: Path) -> None:
    for line in prose(document).splitlines():
        if line.startswith("|"):
            shown = re.sub(r"\]\([^)]+\)", "]", line)  # a reader does not see where links lead
            assert max(map(len, shown.strip("| ").split(" | "))) < LONGEST, f"{line[:80]}: make it text"
