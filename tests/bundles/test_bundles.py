"""Both bundles through MONAI's own verbs, on a head phantom: train, resume, evaluate, infer, verify, export."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import monai.bundle
import nibabel as nib
import numpy as np
import onnxruntime
import pytest
import torch
import yaml
from monai.bundle import ConfigExpression, ConfigParser

from mri_denoise._monai import import_monai
from mri_denoise.bundles.weights import load_weights
from mri_denoise.networks import HMADNet, NoiseLevelNet
from mri_denoise.simulation import phantom_affine
from tests.node.servers import free_port
from tests.phantoms import mirrored

ROOT = Path(__file__).parents[2]
NAMES = ["hmad_rician", "hmad_salt_pepper"]
ONE = ["hmad_rician", pytest.param("hmad_salt_pepper", marks=pytest.mark.slow)]  # each takes a quarter of a minute
RICIAN, STATE = ROOT / "bundles" / "hmad_rician", "state_checkpoint_epoch"
SHAPE = (40, 44, 24)
APART = (
    "train.yaml",
    "inference.yaml",
    "adapt.yaml",
    "export.yaml",
    "inference_trt.yaml",
    "refine.yaml",
)  # all others are merged on top of the first
IN_SHORT = {"max_epochs": 1, "epoch_length": 2, "batch_size": 2, "patch_size": 32, "num_workers": 0}
QUICK = " ".join(f"--{name} {value}" for name, value in IN_SHORT.items())


def environment_of() -> dict[str, str]:
    """Of processes that these tests start."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": path}


def run(bundle: Path, arguments: str, *module: str, **options: Any) -> str:
    """``python -m monai.bundle ...`` from the bundle's folder, or another module; what it printed."""
    command = [sys.executable, "-m", *(module or ("monai.bundle",)), *arguments.split(), *options.pop("more", [])]
    environment = environment_of()
    with tempfile.TemporaryDirectory() as folder:  # torch's exporter to ONNX leaves files behind
        environment["TMPDIR"] = folder
        done = subprocess.run(command, cwd=bundle, env=environment, capture_output=True, text=True, timeout=600)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-3000:]
    return output


def run_here(files: list[str], dataset: Path, output: Path, **values: Any) -> None:
    """What ``python -m monai.bundle run`` does, in this process and the current folder: it starts in no time."""
    import_monai(everything=True)
    configs = [f"configs/{file}" for file in files]
    monai.bundle.run(config_file=configs, dataset_dir=str(dataset), output_dir=str(output), **values)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom in each split, with its datalist."""
    folder = tmp_path_factory.mktemp("dataset")
    datalist = {}
    for number, split in enumerate(("training", "validation", "test")):
        image = nib.Nifti1Image(1000 * mirrored(SHAPE, number), phantom_affine(SHAPE))
        nib.save(image, folder / f"{split}.nii.gz")
        datalist[split] = [{"image": f"{split}.nii.gz", "contrast": "T1w", "subject": split}]
    (folder / "datalist.json").write_text(json.dumps(datalist))
    return folder


@pytest.fixture(scope="module", params=NAMES)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, dataset: Path) -> Path:
    """A copy of the bundle, without its weights, trained for two steps."""
    bundle = tmp_path_factory.mktemp("bundles") / request.param
    shutil.copytree(
        ROOT / "bundles" / request.param, bundle, ignore=shutil.ignore_patterns("model.pt", "SHA256SUMS", "train")
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(bundle)
        run_here(["train.yaml"], dataset, bundle / "train", **IN_SHORT)
    return bundle


def checkpoint(bundle: Path) -> Path:
    return bundle / "train" / "models" / "model.pt"


def network_of(bundle: Path) -> HMADNet:
    parser = ConfigParser()
    parser.read_config(bundle / "configs" / "inference.yaml")
    return load_weights(parser.get_parsed_content("network_def"), checkpoint(bundle))


def test_training_leaves_the_best_weights_a_state_and_curves(trained: Path) -> None:
    state = torch.load(checkpoint(trained), weights_only=True)
    assert set(state) == set(network_of(trained).state_dict())
    assert all(torch.isfinite(tensor).all() for tensor in state.values())
    assert [p.name for p in checkpoint(trained).parent.glob("state_*")] == ["state_checkpoint_epoch=1.pt"]
    assert list((trained / "train").glob("events.out.tfevents*"))


@pytest.mark.slow
def test_training_resumes_from_its_last_state(trained: Path, dataset: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "train", tmp_path / "train")
    quick = QUICK.replace("--max_epochs 1", "--max_epochs 2")
    arguments = f"run --config_file configs/train.yaml --dataset_dir {dataset} {quick} --resume True"
    output = run(trained, f"{arguments} --output_dir {tmp_path / 'train'}")
    models = tmp_path / "train" / "models"
    assert "state_checkpoint_epoch=2.pt" in {p.name for p in models.glob("state_*")}
    assert "Epoch: 1/2" not in output
    before = torch.load(checkpoint(trained).parent / "state_checkpoint_epoch=1.pt", weights_only=False)
    after = torch.load(models / "state_checkpoint_epoch=2.pt", weights_only=False)
    steps = [next(iter(s["optimizer"]["state"].values()))["step"] for s in (before, after)]
    assert [float(s) for s in steps] == [2, 4]


@pytest.mark.parametrize("name", ONE)
def test_fine_tuning_goes_on_from_the_shipped_weights(
    dataset: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a learning rate of 0 it leaves them."""
    bundle = ROOT / "bundles" / name
    monkeypatch.chdir(bundle)
    run_here(["train.yaml", "finetune.yaml"], dataset, tmp_path, learning_rate=0, **IN_SHORT)
    before, after = (torch.load(p / "models" / "model.pt", weights_only=True) for p in (bundle, tmp_path))
    assert before.keys() == after.keys()
    for key in before:
        torch.testing.assert_close(after[key], before[key], rtol=1e-5, atol=1e-6)  # the average rounds


def test_a_wider_network_is_pruned_and_trained_on(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = ROOT / "bundles" / "hmad_rician"
    wide = HMADNet(channels=(64, 128, 256), num_slices=5, noise_map=True, head="scaled_residual", shuffle=2)
    torch.save(wide.state_dict(), tmp_path / "wide.pt")
    monkeypatch.chdir(bundle)
    more = {"wide_path": str(tmp_path / "wide.pt"), "pruning_batches": 1}
    run_here(["train.yaml", "prune.yaml"], dataset, tmp_path, **more, **IN_SHORT)
    found, shipped = (torch.load(p / "models" / "model.pt", weights_only=True) for p in (tmp_path, bundle))
    assert {name: value.shape for name, value in found.items()} == {n: value.shape for n, value in shipped.items()}


def test_evaluation_scores_each_volume_at_each_level(
    trained: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rician = trained.name == "hmad_rician"
    monkeypatch.chdir(trained)
    levels: dict[str, Any] = {"sigmas": [0.05], "val_thickness": 12} if rician else {"densities": [0.1, 0.3]}
    run_here(["train.yaml", "evaluate.yaml"], dataset, tmp_path, ckpt_path=str(checkpoint(trained)), **levels)
    for metric in ("val_psnr", "val_ssim"):
        text = (tmp_path / f"{metric}_raw.csv").read_text()
        rows = list(csv.reader(text.splitlines(), delimiter="\t" if "\t" in text else ","))[1:]
        assert [re.search(r"test.nii.gz (.*)", row[0])[1] for row in rows] == (
            ["sigma 0.05"] if rician else ["density 0.1", "density 0.3"]
        )
        values = [float(row[1]) for row in rows]
        assert np.isfinite(values).all()
        assert all(-1 <= v <= 1 if metric == "val_ssim" else 3 < v < 60 for v in values)


def test_inference_writes_a_volume_with_its_header(
    trained: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained)
    run_here(["inference.yaml"], dataset / "test.nii.gz", tmp_path, ckpt_path=str(checkpoint(trained)))
    source, result = nib.load(dataset / "test.nii.gz"), nib.load(tmp_path / "test.nii.gz")
    assert result.header == source.header
    array = result.get_fdata()
    assert np.isfinite(array).all() and not np.array_equal(array, source.get_fdata())
    record = json.loads((tmp_path / "test.mri-denoise.json").read_text())
    assert record["model"]["name"] == trained.name and (record["sigma"] is None) == (trained.name != "hmad_rician")


@pytest.fixture
def commands(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The functions behind ``python -m monai.bundle``, in the bundle's folder; a process each would take minutes."""
    monkeypatch.chdir(trained)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # torch's exporter to ONNX leaves files behind
    import_monai(everything=True)
    return monai.bundle


def test_metadata_and_network_are_verified(commands: ModuleType) -> None:
    commands.verify_metadata(meta_file="configs/metadata.json", filepath="docs/metadata_schema.json")
    files = {"meta_file": "configs/metadata.json", "config_file": "configs/inference.yaml"}
    commands.verify_net_in_out("network_def", **files, n=2)


def test_the_noise_level_is_verified_and_exported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT / "bundles" / "noise_level")
    import_monai(everything=True)
    monai.bundle.verify_metadata(meta_file="configs/metadata.json", filepath="docs/metadata_schema.json")
    files = {"meta_file": "configs/metadata.json", "config_file": "configs/inference.yaml"}
    monai.bundle.verify_net_in_out("network_def", **files, n=2)
    export = {"ckpt_file": "models/model.pt", "input_shape": [1, 3, 64, 64], "use_trace": True}
    monai.bundle.ckpt_export(net_id="network_def", filepath=str(tmp_path / "model.ts"), **export, **files)
    network = load_weights(NoiseLevelNet(), "models/model.pt")
    x = 10 * torch.rand(2, 3, 48, 80)
    with torch.inference_mode():
        torch.testing.assert_close(torch.jit.load(tmp_path / "model.ts")(x), network(x), rtol=1e-4, atol=1e-5)


def test_exports_give_what_the_network_gives(trained: Path, commands: ModuleType, tmp_path: Path) -> None:
    network = network_of(trained)
    x = torch.rand(1, network.input_channels, 16, 16)
    with torch.no_grad():
        wanted = network(x)
    files = {"meta_file": "configs/metadata.json", "config_file": "configs/inference.yaml"}
    common = {"net_id": "network_def", "ckpt_file": str(checkpoint(trained)), **files}
    commands.ckpt_export(**common, filepath=str(tmp_path / "model.ts"))
    torch.testing.assert_close(torch.jit.load(tmp_path / "model.ts")(x), wanted, rtol=1e-4, atol=1e-5)
    commands.onnx_export(**common, filepath=str(tmp_path / "model.onnx"), input_shape=list(x.shape))
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-4, atol=1e-5)


# runs configs in copies of one process that has imported everything: the options of each copy, its environment, and
# where to write what it says
COPIES = """
import json, os, sys
import monai.bundle
from mri_denoise._monai import import_monai

import_monai(everything=True)
started = []
for options, variables, said in json.loads(sys.argv[1]):
    if child := os.fork():
        started.append(child)
        continue
    file = os.open(said, os.O_WRONLY | os.O_CREAT)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ.update(variables)
    code = 1
    try:
        monai.bundle.run(**options)
        code = 0
    except BaseException as error:
        print(repr(error))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in started))
"""


@pytest.mark.slow
@pytest.mark.parametrize("launched", ["by us", "by torchrun"])
def test_two_processes_train_as_one_does(dataset: Path, tmp_path: Path, launched: str) -> None:
    """The same batches, divided between them: the same losses, weights and validation, but for rounding."""
    merged, both = ["configs/train.yaml", "configs/finetune.yaml"], "configs/multi_gpu_train.yaml"
    values = {**IN_SHORT, "max_epochs": 2, "epoch_length": 1, "batch_size": 4, "precision": "float32"}
    values["dataset_dir"] = str(dataset)
    said = {"alone": [tmp_path / "said"], "together": [tmp_path / f"said{rank}" for rank in range(2)]}
    copies: list[Any] = [({**values, "config_file": merged, "output_dir": str(tmp_path / "alone")}, {})]
    options = {**values, "config_file": [*merged, both], "output_dir": str(tmp_path / "together")}
    if launched == "by us":
        group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
        copies += [(options, {**group, "RANK": rank, "LOCAL_RANK": rank}) for rank in ("0", "1")]
    else:
        words = " ".join(f"--{name} {value}" for name, value in options.items() if name != "config_file")
        arguments = f"--standalone --nproc_per_node=2 -m monai.bundle run {words}"
        files = ["--config_file", f"[{','.join(map(repr, options['config_file']))}]"]
        said["together"][0].write_text(run(RICIAN, arguments, "torch.distributed.run", more=files))
        said["together"].pop()
    outputs = [path for paths in said.values() for path in paths][: len(copies)]
    jobs = [(*copy, str(output)) for copy, output in zip(copies, outputs, strict=True)]
    done = subprocess.run([sys.executable, "-c", COPIES, json.dumps(jobs)], cwd=RICIAN, env=environment_of())
    assert done.returncode == 0, [path.read_text()[-3000:] for path in outputs]
    found = []
    for name, paths in said.items():
        metrics = " ".join(re.findall(r"Metrics -- (.*)", "\n".join(path.read_text() for path in paths)))
        numbers = re.findall(r"(?:train_loss|val_psnr|val_ssim): (-?[0-9.]+)", metrics)
        models = tmp_path / name / "models"
        assert sorted(path.name for path in models.iterdir()) == ["model.pt", *(f"{STATE}={n}.pt" for n in (1, 2))]
        found.append(([float(number) for number in numbers], torch.load(models / f"{STATE}=2.pt")["network"]))
    (one, alone), (two, together) = found
    assert len(one) == 2 * (1 + 2) + 2 and two == pytest.approx(one, abs=2e-4)
    for name in alone:  # no prefix "module."
        torch.testing.assert_close(together[name], alone[name], rtol=1e-4, atol=1e-6)


def config(name: str, file: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / "bundles" / name / "configs" / file).read_text())


def scaling_of(name: str, file: str) -> list[dict[str, Any]]:
    chains = config(name, file)
    chain = [chains["scale"]] if "scale" in chains else chains["train"]["deterministic_transforms"]
    return [t for t in chain if "ScaleIntensityRobustd" in t["_target_"]]


def test_training_and_inference_agree_for_rician_noise() -> None:
    """The noise level only means something on one scale; salt and pepper define black and white themselves."""
    assert scaling_of("hmad_rician", "train.yaml") == scaling_of("hmad_rician", "inference.yaml") != []


@pytest.mark.parametrize("name", NAMES)
def test_both_configs_and_the_metadata_describe_one_network(name: str) -> None:
    networks = []
    for file in ("train.yaml", "inference.yaml"):
        parser = ConfigParser(config(name, file))
        networks.append(parser.get_parsed_content("network_def"))
    first, second = networks
    assert {k: v.shape for k, v in first.state_dict().items()} == {k: v.shape for k, v in second.state_dict().items()}
    assert (first.head, first.num_slices, first.input_channels) == (
        second.head,
        second.num_slices,
        second.input_channels,
    )
    formats = config(name, "metadata.json")["network_data_format"]
    image = formats["inputs"]["image"]
    assert image["num_channels"] == len(image["channel_def"]) == second.input_channels
    assert formats["outputs"]["pred"]["num_channels"] == 1
    assert {f"{second.factor}*n"} == set(image["spatial_shape"])


@pytest.mark.parametrize("name", NAMES)
def test_train_and_inference_run_the_network_alike(name: str) -> None:
    train, inference = config(name, "train.yaml"), config(name, "inference.yaml")
    assert train["num_slices"] == inference.get("num_slices", inference["inferer"]["num_slices"])
    # integers have no gradients
    assert train["precision"] == inference["precision"].replace(", integers=@filter_passes > 0", "")
    assert inference["inferer"].get("noise_map", False) == inference["network_def"].get("noise_map", False)


@pytest.mark.parametrize("name", NAMES)
def test_the_bundle_is_complete(name: str) -> None:
    folder = ROOT / "bundles" / name
    configs = [f"{c}.yaml" for c in ("train", "finetune", "multi_gpu_train", "evaluate", "inference")]
    configs += ["export.yaml", "inference_trt.yaml"]
    configs += ["metadata.json", "logging.conf"]
    for file in ["LICENSE", "docs/metadata_schema.json", "docs/README.md", *(f"configs/{c}" for c in configs)]:
        assert (folder / file).is_file(), file
    metadata = config(name, "metadata.json")
    assert metadata["name"] == name and metadata["version"] in metadata["changelog"]
    saved = config(name, "inference.yaml")["model"]
    assert saved["name"] == name and saved["version"] == metadata["version"]


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]


@pytest.mark.parametrize("name", NAMES)
def test_expressions_are_python_and_references_have_a_target(name: str) -> None:
    folder = ROOT / "bundles" / name / "configs"
    onto_train = [["train.yaml", p.name] for p in folder.glob("*.yaml") if p.name not in APART]
    onto_inference = [["inference.yaml", name] for name in ("export.yaml", "inference_trt.yaml")]
    alone = [[name] for name in ("train.yaml", "inference.yaml", "refine.yaml") if (folder / name).is_file()]
    for files in (*alone, *onto_train, *onto_inference):
        parser = ConfigParser()
        parser.read_config([folder / file for file in files])
        for text in [leaf for leaf in leaves(parser.get()) if isinstance(leaf, str)]:
            code = re.sub(r"@[\w#:]+", "_reference", text)
            if ConfigExpression.is_import_statement(text):
                compile(text[1:], text, "exec")
            elif text.startswith("$"):
                compile(code[1:], text, "eval")
            for reference in re.findall(r"@([\w#:]+)", text):
                assert reference in parser, f"{files}: {text}"
