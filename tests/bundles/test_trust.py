"""Bundles are code: which run without being asked about, and what is said of broken ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from mri_denoise import denoise
from mri_denoise.bundles.registry import find_bundle
from mri_denoise.bundles.trust import is_trusted, remember
from mri_denoise.bundles.weights import record_sha256
from mri_denoise.denoiser import Denoiser
from mri_denoise.errors import InputError
from tests.commands import cli, make_bundle


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle("hmad_rician", tmp_path_factory.mktemp("bundle") / "mine")


@pytest.fixture
def bundle(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "state"))
    return Path(shutil.copytree(made, tmp_path / "bundle"))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    values = np.random.default_rng(0).rayleigh(100, (16, 16, 4)).astype(np.int16)
    nib.save(nib.Nifti1Image(values, np.diag([1.0, 1, 3, 1])), tmp_path / "a.nii")
    return tmp_path / "a.nii"


def change(bundle: Path, old: str, new: str) -> None:
    config = bundle / "configs" / "inference.yaml"
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new, 1))


def test_the_configs_of_shipped_bundles_are_trusted_wherever_they_lie(bundle: Path) -> None:
    assert is_trusted(find_bundle("rician")) and is_trusted(find_bundle(str(bundle)))
    (bundle / "scripts.py").write_text("print('hello')")
    assert not is_trusted(find_bundle(str(bundle)))


def set_metadata(bundle: Path, **values: object) -> None:
    file = bundle / "configs" / "metadata.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


@pytest.mark.parametrize(
    "values",
    [
        {"version": "$__import__('os').getcwd()"},
        {"description": "@train#trainer"},
        {"references": ["a paper", {"of": ["%other.json#text"]}]},
        {"network_data_format": {"inputs": {"image": {"_target_": "os.getcwd"}}}},
    ],
)
def test_what_monai_evaluates_in_metadata_is_code(bundle: Path, values: dict[str, object]) -> None:
    set_metadata(bundle, version="99", note="50 % or $5, or a@b.org", changelog={"99": "other words"})
    assert is_trusted(find_bundle(str(bundle)))
    set_metadata(bundle, **values)
    assert not is_trusted(find_bundle(str(bundle)))
    remember(bundle)
    assert is_trusted(find_bundle(str(bundle)))


def test_no_command_evaluates_the_metadata_of_others(tmp_path: Path, bundle: Path, image: Path) -> None:
    mark = tmp_path / "ran"
    set_metadata(bundle, version=f"$open({str(mark)!r}, 'w') and '1'")
    new, scans = tmp_path / "new", tmp_path / "scans"
    scans.mkdir()
    for words in (("train", scans, new), ("adapt", image, "--output", new), ("denoise", image, tmp_path / "b.nii")):
        assert "add --trust" in cli(*words, "--model", bundle, code=2).stderr
    assert not mark.exists()


@pytest.mark.parametrize("name", ["numpy.so", "torch.pyd", "ignite.pyc", "ignite/__init__.py", "docs/x.PY"])
def test_whatever_python_imports_is_code_since_monai_puts_the_folder_on_its_path(bundle: Path, name: str) -> None:
    (bundle / name).parent.mkdir(exist_ok=True)
    (bundle / name).write_bytes(b"")
    assert not is_trusted(find_bundle(str(bundle)))


def test_a_linked_folder_may_hold_modules(tmp_path: Path, bundle: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    try:
        (bundle / "ignite").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no links")
    assert not is_trusted(find_bundle(str(bundle)))


def test_other_code_runs_only_if_trusted_and_is_named(tmp_path: Path, bundle: Path, image: Path) -> None:
    mark = tmp_path / "ran"
    change(bundle, "batch_size: 8", f"batch_size: $8 if open('{mark}', 'w') else 8")
    said = cli("denoise", image, tmp_path / "out.nii", "--model", bundle, code=2).stderr
    assert "add --trust" in said and len(said.splitlines()) == 1 and not mark.exists()
    assert (
        f"trusting bundle {bundle}" in cli("denoise", image, tmp_path / "out.nii", "--model", bundle, "--trust").stderr
    )
    assert mark.exists()
    remember(bundle)  # as training and adaptation do
    assert is_trusted(find_bundle(str(bundle)))
    assert "trusting" not in cli("denoise", image, tmp_path / "again.nii", "--model", bundle).stderr


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("metadata.json", b"[1, 2]", "not a MONAI bundle"),
        ("metadata.json", b'{"version": ["1"]}', "version"),
        ("metadata.json", b'{"name": 5, "version": "1"}', "name"),
        ("metadata.json", b'{"version": "1\\u001b[2J"}', "version"),
        ("metadata.json", b"[" * 100_000, "not a MONAI bundle"),
        ("metadata.json", b"\xff\xfe\x00", "not a MONAI bundle"),
        ("inference.yaml", b"- 1\n- 2\n", "inference.yaml"),
        ("inference.yaml", b"a: [", "not a MONAI bundle"),
        ("inference.yaml", b"", "inference.yaml"),
        ("inference.yaml", b"1: 2\n", "inference.yaml"),
    ],
)
def test_nonsense_in_metadata_and_configs_is_one_line(
    tmp_path: Path, bundle: Path, image: Path, name: str, content: bytes, says: str
) -> None:
    (bundle / "configs" / name).write_bytes(content)
    said = cli("denoise", image, tmp_path / "out.nii", "--model", bundle, "--trust", code=2).stderr
    assert says in said and len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("batch_size: 8", "batch_size: $exit(0)"),
        ("precision: $choose_precision(@device, integers=@filter_passes > 0)", "precision: $1 / 0"),
        ("denoise: [", "denoise: 7 #["),
        ("extra_keys:", "extra_keys: 3\nother_keys:"),
        ("network: $load_weights(@network_def, @ckpt_path)", "network: $3 #"),
        ("mri_denoise.networks.HMADNet", "no.such.Network"),
        ("num_slices: 5", "num_slices: '@num_slices'"),
    ],
)
def test_configs_that_cannot_run_are_one_line(tmp_path: Path, bundle: Path, image: Path, old: str, new: str) -> None:
    change(bundle, old, new)
    said = cli("denoise", image, tmp_path / "out.nii", "--model", bundle, "--trust", code=2).stderr
    assert len([line for line in said.splitlines() if not line.startswith("trusting")]) == 1
    assert not (tmp_path / "out.nii").exists()


@pytest.mark.parametrize("content", [b"\xff\x00nonsense", b"abc  model.pt\n", b"0" * 64 + b"  model.pt\n"])
def test_sums_that_cannot_be_right_are_one_line(tmp_path: Path, bundle: Path, image: Path, content: bytes) -> None:
    (bundle / "models" / "SHA256SUMS").write_bytes(content)
    said = cli("denoise", image, tmp_path / "out.nii", "--model", bundle, code=2).stderr
    assert "SHA256SUMS" in said and len(said.splitlines()) == 1


def test_missing_sums_are_said(tmp_path: Path, bundle: Path, image: Path) -> None:
    (bundle / "models" / "SHA256SUMS").unlink()
    assert "has no SHA256SUMS" in cli("denoise", image, tmp_path / "out.nii", "--model", bundle).stderr


def test_weights_of_nan_are_refused(tmp_path: Path, bundle: Path, image: Path) -> None:
    weights = bundle / "models" / "model.pt"
    state = torch.load(weights, weights_only=True)
    next(iter(state.values())).view(-1)[0] = float("nan")
    torch.save(state, weights)
    record_sha256(weights.parent)
    said = cli("denoise", image, tmp_path / "out.nii", "--model", bundle, code=2).stderr
    assert "NaN" in said and len(said.splitlines()) == 1


def test_the_version_in_the_metadata_is_what_the_record_says(tmp_path: Path, bundle: Path, image: Path) -> None:
    report = json.loads(cli("denoise", image, tmp_path / "out.nii", "--model", bundle, "--json").stdout)
    assert report["done"][0]["model"]["version"] == find_bundle(str(bundle)).version


def test_python_and_the_node_ask_for_trust_as_well(tmp_path: Path, bundle: Path) -> None:
    change(bundle, "batch_size: 8", "batch_size: 4")
    values = np.random.default_rng(0).rayleigh(100, (16, 16, 4)).astype(np.float32)
    with pytest.raises(InputError, match="trust=True"):
        denoise(values, model=str(bundle), device="cpu")
    with pytest.raises(InputError, match="trust=True"):
        Denoiser.load(str(bundle), device="cpu")
    assert denoise(values, model=str(bundle), device="cpu", trust=True).shape == values.shape
    settings = tmp_path / "node.yaml"
    settings.write_text(f"spool: {tmp_path / 'spool'}\nrules:\n  - model: {bundle}\n")
    assert "add --trust" in cli("node", settings, "--send-to", "http://localhost:1", code=2).stderr
