"""Start-up: what a command imports, and that MONAI imported in part does what a run needs."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.report.scans import images, save


def modules_after(code: str) -> set[str]:
    """Top-level modules and dotted names loaded by ``code`` in a new Python."""
    ending = "\nimport sys\nprint(chr(10).join(['LOADED', *sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code + ending], capture_output=True, text=True, check=True)
    return set(done.stdout.partition("LOADED\n")[2].split())


@pytest.mark.parametrize("arguments", [["--help"], ["models"], ["denoise", "no-such-file", "out"], ["denoise"]])
def test_short_answers_load_nothing_heavy(arguments: list[str]) -> None:
    code = f"from mri_denoise.cli.main import app\ntry: app({arguments!r})\nexcept SystemExit: pass"
    loaded = modules_after(code)
    assert "mri_denoise.cli.main" in loaded
    assert not loaded & {"numpy", "torch", "monai", "nibabel", "pydicom", "scipy", "matplotlib", "PIL"}


_THREADS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OPENBLAS_NUM_THREADS")


@pytest.mark.parametrize(
    ("given", "spins", "blas"),
    [
        ({}, "10000", "1"),
        ({"GOMP_SPINCOUNT": "7", "OPENBLAS_NUM_THREADS": "2"}, "7", "2"),
        ({"OMP_WAIT_POLICY": "active"}, None, "1"),
    ],
)
def test_threads_that_wait_leave_the_cores_to_others(given: dict[str, str], spins: str | None, blas: str) -> None:
    code = """
import os, sys
from mri_denoise.cli.main import app
assert "torch" not in sys.modules  # it would have been read by now
try: app(["models"])
except SystemExit: pass
print("SPINS", os.environ.get("GOMP_SPINCOUNT"), os.environ.get("OPENBLAS_NUM_THREADS"))
"""
    others = {k: v for k, v in os.environ.items() if k not in _THREADS}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=others | given)
    assert f"SPINS {spins} {blas}" in done.stdout


DENOISE = """
import numpy as np
from mri_denoise.denoiser import Denoiser
from mri_denoise.volume import Volume
noisy = np.random.default_rng(0).rayleigh(20, (1, 33, 34, 9)).astype("f4")
result = Denoiser.load("rician", device="cpu")(Volume(array=noisy, affine=np.eye(4)), sigma=20)
import hashlib
print("HASH", hashlib.sha256(result.array.tobytes()).hexdigest())
"""
# one after another in one Python, each with what it loads beside those before
STAGES = {
    "report": """
import sys
from mri_denoise.cli.main import app
arguments = ["--report", "--quality", "fast", "--device", "cpu"]
try: app(["denoise", *sys.argv[1:], *arguments])
except SystemExit as end: assert not end.code
""",
    "import": "from mri_denoise._monai import import_monai\nimport_monai()",
    "denoise": DENOISE,
    "the rest": """
import numpy as np, torch
from monai.transforms import KeepLargestConnectedComponent
image = torch.zeros(1, 8, 8); image[0, :3, :3] = 1; image[0, 6, 6] = 1
assert KeepLargestConnectedComponent(applied_labels=[1])(image).sum() == 9
import matplotlib.pyplot
from ignite.handlers import checkpoint
assert not isinstance(image, checkpoint.ZeroRedundancyOptimizer)
from torch.distributed.optim import ZeroRedundancyOptimizer
assert isinstance(object.__new__(ZeroRedundancyOptimizer), checkpoint.ZeroRedundancyOptimizer)
assert not isinstance(image, checkpoint.ZeroRedundancyOptimizer)
import_monai(everything=True)
""",
}


@dataclass(frozen=True, kw_only=True)
class Staged:
    """What the stages said, what was loaded after each, and where the report's run wrote."""

    said: dict[str, str]
    loaded: dict[str, set[str]]
    folder: Path


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Staged:
    folder = tmp_path_factory.mktemp("staged")
    scan = save(folder / "scan.nii.gz", images()[0])
    ending = "\nimport sys\nprint(chr(10).join(['LOADED', *sys.modules, 'END']))\n"
    program = "".join(code + ending for code in STAGES.values())
    command = [sys.executable, "-c", program, str(scan), str(folder / "out.nii.gz")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    parts = [part.partition("LOADED\n") for part in done.stdout.split("END\n")[: len(STAGES)]]
    return Staged(
        said={name: said for name, (said, _, _) in zip(STAGES, parts, strict=True)},
        loaded={name: set(loaded.split()) for name, (_, _, loaded) in zip(STAGES, parts, strict=True)},
        folder=folder,
    )


def test_monai_comes_without_what_inference_does_not_use(staged: Staged) -> None:
    loaded = staged.loaded["import"]
    assert {"monai.bundle", "monai.transforms", "monai.inferers"} <= loaded
    assert not loaded & {
        "pandas",
        "matplotlib",
        "skimage",
        "tifffile",
        "scipy.signal",
        "sympy",
        "torch.distributed.optim",
        "monai.handlers",
        "monai.engines",
    }


def test_a_run_with_a_report_loads_no_library_of_figures_or_baselines(staged: Staged) -> None:
    loaded = staged.loaded["report"]
    assert "mri_denoise.report.scan_page" in loaded and (staged.folder / "out_report.html").is_file()
    assert not loaded & {"matplotlib", "SimpleITK", "skimage", "pandas", "tensorboard", "pydicom", "pynetdicom"}


def test_what_was_put_off_works_when_it_is_used(staged: Staged) -> None:
    wanted = {"skimage.measure", "monai.networks.nets.segresnet", "monai.losses.dice"}
    assert wanted <= staged.loaded["the rest"] and "skimage.measure" not in staged.loaded["denoise"]


def test_the_quick_import_changes_no_result(staged: Staged) -> None:
    environment = {**os.environ, "MRI_DENOISE_QUICK_IMPORT": "0"}
    # by the way, in a new Python: every public name is found
    names = "import mri_denoise; [getattr(mri_denoise, name) for name in mri_denoise.__all__]"
    code = names + DENOISE + "import sys; assert 'monai.engines' in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert "monai.engines" not in staged.loaded["denoise"]
    assert staged.said["denoise"] == done.stdout and done.stdout.startswith("HASH ")
