"""What is installed: the wheel's files, pinned versions, licences of everything that is required."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shlex
import subprocess
import sys
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mri_denoise.inference.native.build import find_compilers, library_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIRED = [Requirement(text) for text in PROJECT["dependencies"]]
EXTRAS = [Requirement(text) for texts in PROJECT["optional-dependencies"].values() for text in texts]
DECLARED = {canonicalize_name(r.name) for r in (*REQUIRED, *EXTRAS)} - {"mri-denoise"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_a_wheel_holds_the_compiled_filter_if_there_is_a_compiler(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        libraries = [name for name in archive.namelist() if name.endswith(library_name())]
    if libraries:
        assert libraries == [f"mri_denoise/inference/native/{library_name()}"]
        assert re.search(r"-py3-none-(linux|macosx|win)\w+\.whl$", wheel.name)
    else:
        assert next(find_compilers(), None) is None
        assert wheel.name.endswith("-py3-none-any.whl")


def test_a_wheel_holds_the_templates_of_reports(wheel: Path) -> None:
    page = ROOT / "mri_denoise" / "report" / "page"
    with zipfile.ZipFile(wheel) as archive:
        names = {path.relative_to(ROOT).as_posix() for path in page.rglob("*") if path.is_file()}
        assert "mri_denoise/report/page/niivue/LICENSE" in names <= set(archive.namelist())


def test_niivue_is_the_file_that_its_authors_published() -> None:
    script = ROOT / "mri_denoise" / "report" / "page" / "niivue" / "niivue.umd.js"
    digest = hashlib.sha256(script.read_bytes()).hexdigest()
    assert digest in (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")


def test_without_a_compiler_the_wheel_is_pure_python(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    environment = {**os.environ, "CC": f"{shlex.quote(sys.executable)} -c exit(1)", "PATH": str(tmp_path)}
    if importlib.util.find_spec("ziglang"):
        pytest.skip("ziglang is a compiler")
    said = subprocess.run(build, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    assert "No C compiler" in said.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if name.endswith(library_name())]


def test_a_wheel_holds_every_bundle_and_manifest_once(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        files = {info.filename: info.CRC for info in archive.infolist()}
    for top in ("bundles/*/models/*", "bundles/*/configs/*", "data/*"):
        for path in ROOT.glob(top):
            assert f"mri_denoise/{path.relative_to(ROOT).as_posix()}" in files
    weights = [name for name in files if "/models/" in name and not name.endswith("SHA256SUMS")]
    assert sorted(weights) == [
        f"mri_denoise/bundles/{name}.pt"
        for name in (
            "hmad_rician/models/model",
            "hmad_rician/models/refine",
            "hmad_salt_pepper/models/model",
            "noise_level/models/model",
        )
    ]
    assert "mri_denoise/py.typed" in files
    assert not [name for name in files if name.startswith(("bundles/", "data/", "tests/")) or "/train/" in name]


def test_an_installed_wheel_finds_its_bundles_and_manifests(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from mri_denoise.bundles.registry import bundles_folder, shipped\n"
        "from mri_denoise.training.manifests import load_manifests, manifests_folder\n"
        "print(bundles_folder(), manifests_folder(), *(b.name for b in shipped().values()), sep='\\n')\n"
        "assert all(b.shipped and b.weights.is_file() for b in shipped().values())\n"
        "assert load_manifests(manifests_folder())\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, tmp_path], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    package = tmp_path.resolve() / "mri_denoise"
    assert said.stdout.splitlines() == [
        str(package / "bundles"),
        str(package / "data"),
        "hmad_rician",
        "hmad_salt_pepper",
    ]


def pinned(name: str) -> dict[str, set[str]]:
    """Versions by package; a package may have one for each range of Python versions."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if match := re.match(r"([\w.-]+)==([^\s;]+)", line):
            found.setdefault(canonicalize_name(match[1]), set()).add(match[2])
    return found


def test_constraints_and_lock_name_the_same_versions() -> None:
    constraints, lock = pinned("constraints.txt"), pinned("requirements.lock")
    assert set(constraints) >= DECLARED
    assert set(lock) >= {canonicalize_name(r.name) for r in REQUIRED}
    assert {name: constraints[name] for name in lock} == lock
    for requirement in (*REQUIRED, *EXTRAS):
        for version in constraints.get(canonicalize_name(requirement.name), ()):
            assert requirement.specifier.contains(version), f"{requirement}: constraints.txt has {version}"


def test_every_file_of_the_lock_has_a_hash() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[A-Za-z])", text)[1:]
    assert len(entries) > 30 and all("--hash=sha256:" in entry for entry in entries)


def test_the_documentation_names_every_dependency() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    named = {
        canonicalize_name(word) for line in text.splitlines() if "|" in line for word in re.findall(r"[\w-]+", line)
    }
    assert named >= DECLARED


def test_lower_bounds_are_above_the_advisories_that_the_documentation_names() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in text.partition("## Advisories")[2].splitlines() if line.startswith("| ")]
    named = dict(re.findall(r"([\w-]+) ([\d.]+\d)", " ".join(rows)))
    bounds = {canonicalize_name(r.name): str(r.specifier).split(",")[-1] for r in (*REQUIRED, *EXTRAS)}
    assert len(named) >= 8 and {name: bounds[name] for name in named} == {name: f">={v}" for name, v in named.items()}


def required_distributions() -> dict[str, Distribution]:
    """Everything that installing the package without extras installs on this computer."""
    found: dict[str, Distribution] = {}
    todo, seen = list(REQUIRED), set()
    while todo:
        requirement = todo.pop()
        for extra in {"", *requirement.extras}:
            name = canonicalize_name(requirement.name)
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            found[name] = distribution(name)
            needs = [Requirement(text) for text in found[name].requires or []]
            todo += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": extra})]
    return found


def licence(of: Distribution) -> str:
    """What the metadata say: an SPDX expression, else classifiers, else the first line of the licence field."""
    if expression := of.metadata.get("License-Expression"):
        return str(expression)
    classifiers = [c for c in of.metadata.get_all("Classifier") or [] if c.startswith("License ::")]
    named = [c for c in classifiers if not c.endswith(":: OSI Approved")]
    return "; ".join(named) or str(of.metadata.get("License") or "").strip().partition("\n")[0]


def test_nothing_that_is_required_is_under_a_copyleft_licence() -> None:
    licences = {name: licence(found) for name, found in required_distributions().items()}
    licences = {name: text for name, text in licences.items() if not name.startswith(("nvidia-", "cuda-"))}
    assert {"torch", "monai", "pydicom", "sympy"} <= set(licences)
    assert not [name for name, text in licences.items() if not text], "no licence in their metadata"
    copyleft = re.compile(r"\bA?L?GPL|(Lesser |Affero )?General Public", re.IGNORECASE)
    assert not {name: text for name, text in licences.items() if copyleft.search(text)}
