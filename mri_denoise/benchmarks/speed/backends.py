"""Programs that can run a network, all with one contract: a tensor in, a tensor out."""

from __future__ import annotations

import copy
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch

from mri_denoise.inference.mixed_precision import MixedPrecisionInferer
from mri_denoise.runtime import choose_precision, quiet

Run = Callable[[torch.Tensor], torch.Tensor]
Prepare = Callable[[torch.nn.Module, torch.Tensor], Run]


@dataclass(frozen=True, kw_only=True)
class Backend:
    """One way to run a network.

    Args:
        name: of the program, as in tables.
        precision: of the arithmetic.
        prepare: takes the network and an example of a batch, returns the function to time.
        package: the module that it needs beyond PyTorch.
    """

    name: str
    precision: str
    prepare: Prepare
    package: str | None = None

    @property
    def label(self) -> str:
        """Name and precision."""
        return f"{self.name}, {self.precision}"

    def available(self) -> bool:
        """Whether its package is installed."""
        return self.package is None or find_spec(self.package) is not None


def precisions(device: str) -> list[str]:
    """float32, and the faster type where the hardware has it; an emulated type is not measured."""
    return list(dict.fromkeys(["float32", choose_precision(device)]))


def backends(device: str) -> list[Backend]:
    """All backends for a device; the first is PyTorch in float32, with which the others are compared."""
    found = [Backend(name="PyTorch", precision=p, prepare=_eager(p)) for p in precisions(device)]
    found += [Backend(name="torch.compile", precision=p, prepare=_compiled(p)) for p in precisions(device)]
    if device == "cpu":
        found.append(
            Backend(name="ONNX Runtime", precision="float32", prepare=_onnxruntime, package="onnxruntime"),
        )
        found += [
            Backend(name="OpenVINO", precision=p, prepare=_openvino(p), package="openvino") for p in precisions(device)
        ]
    return found


def _eager(precision: str) -> Prepare:
    """PyTorch as the bundles run it."""

    def prepare(network: torch.nn.Module, example: torch.Tensor) -> Run:
        inferer = MixedPrecisionInferer(precision)

        def run(batch: torch.Tensor) -> torch.Tensor:
            with torch.inference_mode():
                return inferer(batch, network)

        return run

    return prepare


def _compiled(precision: str) -> Prepare:
    def prepare(network: torch.nn.Module, example: torch.Tensor) -> Run:
        compiled = torch.compile(copy.deepcopy(network), dynamic=False)
        inferer = MixedPrecisionInferer(precision)

        def run(batch: torch.Tensor) -> torch.Tensor:
            with quiet(), torch.no_grad():
                return inferer(batch, compiled)

        return run

    return prepare


@contextmanager
def _exported(network: torch.nn.Module, example: torch.Tensor) -> Iterator[str]:
    """The path of the network as a temporary ONNX file."""
    axes = {0: "batch", 2: "height", 3: "width"}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "network.onnx")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network, (example,), path, input_names=["image"], output_names=["pred"],
                dynamic_axes={"image": axes, "pred": axes}, dynamo=False,
            )  # fmt: skip
        yield path


def _onnxruntime(network: torch.nn.Module, example: torch.Tensor) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with _exported(network, example) as path:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda batch: torch.from_numpy(session.run(None, {"image": batch.contiguous().numpy()})[0])


def _openvino(precision: str) -> Prepare:
    def prepare(network: torch.nn.Module, example: torch.Tensor) -> Run:
        import openvino

        hints = {"float32": "f32", "bfloat16": "bf16"}
        core = openvino.Core()
        config = {
            "INFERENCE_PRECISION_HINT": hints[precision],
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        with _exported(network, example) as path:
            compiled = core.compile_model(core.read_model(path), "CPU", config)
        return lambda batch: torch.from_numpy(compiled(batch.contiguous().numpy())[0])

    return prepare
