"""Weights: read as they were saved, refused when altered, missing, of another network or not plain tensors."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from mri_denoise.bundles.weights import load_weights, record_sha256, recorded_sha256, sha256
from mri_denoise.errors import WeightsError
from mri_denoise.training.train import export_weights


def network() -> nn.Module:
    return nn.Linear(3, 2)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    checkpoint = tmp_path / "checkpoint.pt"
    torch.save({"model": network().state_dict()}, checkpoint)
    export_weights(checkpoint, tmp_path / "models")
    return tmp_path / "models"


@pytest.mark.parametrize("name", ["models/model.pt", "checkpoint.pt"])
def test_weights_and_checkpoints_give_the_same_network_in_evaluation_mode(models: Path, name: str) -> None:
    wanted = torch.load(models.parent / "checkpoint.pt", weights_only=True)["model"]
    loaded = load_weights(network().train(), models.parent / name)
    assert not loaded.training
    for key, tensor in loaded.state_dict().items():
        torch.testing.assert_close(tensor, wanted[key], rtol=0, atol=0)


def test_the_sums_are_those_of_sha256sum(models: Path) -> None:
    lines = (models / "SHA256SUMS").read_text().splitlines()
    for line in lines:
        digest, name = line.split("  ")
        assert digest == hashlib.sha256((models / name).read_bytes()).hexdigest() == sha256(models / name)
    assert [line.split("  ")[1] for line in lines] == ["model.pt"]


def test_an_altered_file_is_refused(models: Path) -> None:
    path = models / "model.pt"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="differs from the SHA-256") as error:
        load_weights(network(), path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_file_without_a_record_is_taken(models: Path) -> None:
    other = models / "mine.pt"
    other.write_bytes((models / "model.pt").read_bytes())
    assert recorded_sha256(other) is None
    load_weights(network(), other)
    record_sha256(models)
    assert recorded_sha256(other) == sha256(other)


def test_missing_weights_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such weights") as error:
        load_weights(network(), tmp_path / "model.pt")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("other", [nn.Linear(4, 2), nn.Conv2d(1, 1, 1), nn.Sequential(nn.Linear(3, 2))])
def test_weights_of_another_network_are_refused(models: Path, other: nn.Module) -> None:
    with pytest.raises(WeightsError, match="do not fit") as error:
        load_weights(other, models / "model.pt")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\3\4 cut off"])
def test_damaged_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(WeightsError, match="model.pt: not weights") as error:
        load_weights(network(), tmp_path / "model.pt")
    assert "\n" not in str(error.value)


class Harmful:
    """Runs code when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.trace,))


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    torch.save({"model": Harmful(trace)}, tmp_path / "torch.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Harmful(trace)))
    for name in ("torch.pt", "plain.pt"):
        with pytest.raises(WeightsError):
            load_weights(network(), tmp_path / name)
    assert not trace.exists()


def test_only_the_weights_of_a_checkpoint_are_exported(tmp_path: Path) -> None:
    weights = network()
    strided = {
        name: tensor.T.contiguous().T if tensor.ndim == 2 else tensor for name, tensor in weights.state_dict().items()
    }
    torch.save({"model": strided, "epoch": 3}, tmp_path / "state.pt")
    path = export_weights(tmp_path / "state.pt", tmp_path / "models")
    loaded = load_weights(network(), path)
    torch.testing.assert_close(loaded.weight, weights.weight)
    torch.save({"weight": weights.weight.detach()}, tmp_path / "half.pt")
    with pytest.raises(WeightsError, match="do not fit"):
        load_weights(network(), tmp_path / "half.pt")
