"""The bundles as other programs of MONAI's world use them: their parts one by one, and from any folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import monai.bundle
import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from mri_denoise.denoiser import Denoiser
from mri_denoise.io import discover, read
from mri_denoise.transforms.files import find_bundle_root
from tests.commands import ROOT, make_bundle

AFFINE = np.diag([2.0, 2.0, 5.0, 1.0])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle("hmad_rician", tmp_path_factory.mktemp("bundle") / "mine")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    truth = np.where(np.hypot(*np.meshgrid(np.arange(-16, 16), np.arange(-16, 16))) < 12, 400, 0)[..., None]
    noisy = np.hypot(truth + rng.normal(0, 30, (32, 32, 6)), rng.normal(0, 30, (32, 32, 6))).astype(np.float32)
    nib.save(nib.Nifti1Image(noisy, AFFINE), tmp_path / "a.nii")
    return tmp_path / "a.nii"


@pytest.fixture
def parts(bundle: Path, tmp_path: Path) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / "inference.yaml"))
    for name, value in (("bundle_root", bundle), ("output_dir", tmp_path / "out"), ("dataset_dir", tmp_path / "none")):
        parser[name] = str(value)
    parser["device"] = "$torch.device('cpu')"
    return parser


@pytest.mark.parametrize("kind", ["path", "array", "tensor"])
def test_an_image_of_one_s_own_goes_through_the_chains(
    parts: ConfigParser, bundle: Path, image: Path, tmp_path: Path, kind: str
) -> None:
    volume = read(discover(image)[0][0])
    own = {"path": str(image), "array": volume.array[0], "tensor": torch.from_numpy(volume.array)}[kind]
    names = ("preprocessing", "network", "inferer", "postprocessing")
    before, network, inferer, after = (parts.get_parsed_content(name) for name in names)
    item = before({"image": own})
    extra = parts.get_parsed_content("extra_keys")
    given = {k: item[v][None] if isinstance(item[v], torch.Tensor) else item[v] for k, v in extra.items()}
    with torch.no_grad():
        item["pred"] = inferer(item["image"][None], network, **given)[0]
    done = after(item)
    if kind == "path":
        wanted = Denoiser.load(str(bundle), device="cpu")(volume).array[0]
        np.testing.assert_array_equal(nib.load(tmp_path / "out" / "a.nii").get_fdata(dtype=np.float32), wanted)
    else:
        assert done["pred"].shape == volume.array.shape and not (tmp_path / "out").exists()


def test_the_inferer_finds_the_noise_by_itself(parts: ConfigParser, image: Path) -> None:
    before, network, inferer = (parts.get_parsed_content(name) for name in ("preprocessing", "network", "inferer"))
    item, found = before({"image": str(image)}), parts.get_parsed_content("extra_keys")
    with torch.no_grad():
        alone, told = (
            inferer(item["image"][None], network, **more).as_tensor()
            for more in ({}, {name: item[key][None] for name, key in found.items() if torch.is_tensor(item[key])})
        )
    assert float((alone - told).abs().mean()) < 0.1 * float((told - item["image"].as_tensor()).abs().mean())


def test_monai_loads_the_network_with_its_weights(bundle: Path) -> None:
    network = monai.bundle.load(name=bundle.name, bundle_dir=str(bundle.parent), source="monaihosting")
    state = network.state_dict() if isinstance(network, torch.nn.Module) else network
    wanted = torch.load(bundle / "models" / "model.pt", weights_only=True)
    assert state.keys() == wanted.keys() and all(torch.equal(state[name], wanted[name]) for name in wanted)


def test_a_workflow_takes_the_paths_of_a_program(bundle: Path, image: Path, tmp_path: Path) -> None:
    workflow = monai.bundle.ConfigWorkflow(
        str(bundle / "configs" / "inference.yaml"),
        workflow_type="infer",
        logging_file=False,
        bundle_root=str(bundle),
        dataset_dir=str(tmp_path / "none"),
        output_dir=str(tmp_path / "out"),
        device="cpu",
        quality="fast",
    )
    workflow.dataset_data = [{"image": str(image)}]
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    wanted = Denoiser.load(str(bundle), device="cpu")(read(discover(image)[0][0]), quality="fast").array[0]
    np.testing.assert_array_equal(nib.load(tmp_path / "out" / "a.nii").get_fdata(dtype=np.float32), wanted)


@pytest.mark.parametrize("words", [["--config-file", "{}"], ["--config_file={}"], ["--args_file", "args.json"]])
def test_the_root_is_found_however_the_config_is_named(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    config = str(bundle / "configs" / "inference.yaml")
    (tmp_path / "args.json").write_text(json.dumps({"config_file": [config, config]}), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["monai", "run", *(word.format(config) for word in words)])
    assert find_bundle_root() == str(bundle)
    monkeypatch.setattr(sys, "argv", ["monai", "run", "--args_file", "none.json"])
    assert find_bundle_root() == "."


def test_a_bundle_runs_from_any_folder(bundle: Path, image: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    shutil.move(image, tmp_path / "in" / "a.nii")
    config = bundle / "configs" / "inference.yaml"
    options = ["--config_file", str(config), "--dataset_dir", str(tmp_path / "in"), "--output_dir", "out"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-m", "monai.bundle", "run", *options], cwd=tmp_path, env=environment, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "out" / "a.nii").is_file()
