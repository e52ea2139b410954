"""The container without Docker: its entry point under each convention, and its descriptions beside one another."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest

from mri_denoise import __version__
from mri_denoise.simulation import head_phantom, write_phantom_dicom
from tests.pipelines.stand_in import ROOT, calls, environment, real_program, recorder, write_program

FOLDER = ROOT / "pipelines" / "container"
ENTRY = FOLDER / "entrypoint.py"
DOCKERFILE = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
RECIPE = (FOLDER / "mri-denoise.def").read_text(encoding="utf-8")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="programs of a Linux container")


def start(programs: Path, *words: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the entry point."""
    command = [sys.executable, str(ENTRY), *words]
    return subprocess.run(command, env=environment(programs, **variables), cwd=cwd, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["denoise", "a.nii", "b.nii", "--strength", "0.5"], ["denoise", "a.nii", "b.nii", "--strength", "0.5"]),
        (
            ["/bids", "/out", "participant", "--suffix", "T1w"],
            ["bids", "/bids", "/out", "participant", "--suffix", "T1w"],
        ),
        (["bids", "/bids", "participant"], ["bids", "/bids", "participant"]),
        (["--version"], ["--version"]),
        ([], []),
    ],
)
def test_arguments_are_those_of_the_command_line_or_of_a_bids_app(
    words: list[str], wanted: list[str], tmp_path: Path
) -> None:
    recorder(tmp_path, code=1)
    assert start(tmp_path, *words).returncode == 1
    assert calls(tmp_path) == [wanted]


@pytest.mark.parametrize(
    "names", [("MONAI_INPUTPATH", "MONAI_OUTPUTPATH"), ("HOLOSCAN_INPUT_PATH", "HOLOSCAN_OUTPUT_PATH")]
)
def test_input_and_output_come_from_the_environment(names: tuple[str, str], tmp_path: Path) -> None:
    recorder(tmp_path)
    (tmp_path / "input").mkdir()
    variables = {names[0]: "input", names[1]: "output", "MRI_DENOISE_OPTIONS": "--strength 0.5 --model 'my model'"}
    assert start(tmp_path, cwd=tmp_path, **variables).returncode == 0
    assert calls(tmp_path) == [["denoise", "input", "output", "--strength", "0.5", "--model", "my model"]]
    variables["_".join([*names[0].split("_")[:1], "WORKDIR"])] = str(tmp_path)  # relative paths are relative to it
    assert start(tmp_path, **variables).returncode == 0
    assert calls(tmp_path)[1][1:3] == [str(tmp_path / "input"), str(tmp_path / "output")]


def test_half_an_environment_and_a_missing_input_are_wrong_usage(tmp_path: Path) -> None:
    recorder(tmp_path)
    half = start(tmp_path, MONAI_INPUTPATH=str(tmp_path))
    assert half.returncode == 2 and "set both" in half.stderr
    absent = start(tmp_path, MERCURE_IN_DIR=str(tmp_path / "no"), MERCURE_OUT_DIR=str(tmp_path / "out"))
    assert absent.returncode == 2 and "no such file or folder" in absent.stderr
    assert "Traceback" not in half.stderr + absent.stderr and not calls(tmp_path)


def test_options_that_cannot_be_read_are_wrong_usage(tmp_path: Path) -> None:
    recorder(tmp_path)
    done = start(tmp_path, MRI_DENOISE_OPTIONS="--model 'mine")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "MRI_DENOISE_OPTIONS" in done.stderr


def test_signals_reach_the_program(tmp_path: Path) -> None:
    write_program(tmp_path / "bin", "mri-denoise", "import time\nprint('here', flush=True)\ntime.sleep(60)\n")
    mercure = {"MERCURE_IN_DIR": str(tmp_path), "MERCURE_OUT_DIR": str(tmp_path / "out")}
    for words, variables, code in ((["doctor"], {}, -signal.SIGTERM), ([], mercure, 128 + signal.SIGTERM)):
        command = [sys.executable, str(ENTRY), *words]
        with subprocess.Popen(
            command, env=environment(tmp_path / "bin", **variables), stdout=subprocess.PIPE, text=True
        ) as entry:
            if words:
                assert entry.stdout is not None and entry.stdout.readline() == "here\n"
            else:
                until = time.monotonic() + 30
                while not list((tmp_path / "out").glob(".mri-denoise-*")) and time.monotonic() < until:
                    time.sleep(0.05)
            entry.terminate()
            assert entry.wait(30) == code
    assert not list((tmp_path / "out").iterdir())


def test_mercure_gets_one_folder_of_dicom_files_and_a_result(tmp_path: Path) -> None:
    real_program(tmp_path / "bin")
    source, output = tmp_path / "in", tmp_path / "out"
    truth = head_phantom((32, 36, 8))
    noisy = np.hypot(truth + np.random.default_rng(0).normal(0, 0.05, truth.shape), 0.05).astype(np.float32)
    write_phantom_dicom(source, noisy, (6.0, 6.6, 24.0))
    chosen = {"strength": 0.5, "sigma": 150, "guard": False, "tta": False, "unknown": "; rm"}
    settings = {"module_name": "denoise", "settings": chosen}
    (source / "task.json").write_text(json.dumps({"process": settings}))
    done = start(tmp_path / "bin", MERCURE_IN_DIR=str(source), MERCURE_OUT_DIR=str(output))
    assert done.returncode == 0, done.stderr
    files = sorted(output.glob("*.dcm"))
    assert len(files) == 8 and sorted(output.iterdir()) == [*files, output / "result.json"]
    assert {pydicom.dcmread(path).ImageType[0] for path in files} == {"DERIVED"}
    record = json.loads((output / "result.json").read_text())["mri-denoise"]["done"][0]
    assert record["outputs"] == [path.name for path in files]
    found = record["settings"]
    assert (found["strength"], found["sigma"], found["guard"], "tta" in found) == (0.5, "150", False, False)


def test_what_mercure_cannot_use_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    recorder(tmp_path / "bin", code=1)
    places = {"MERCURE_IN_DIR": str(tmp_path / "in"), "MERCURE_OUT_DIR": str(tmp_path / "out")}
    assert start(tmp_path / "bin", **places).returncode == 1
    for text in ("{", '{"process": {"settings": {"tta": "yes"}}}'):
        (tmp_path / "in" / "task.json").write_text(text)
        assert start(tmp_path / "bin", **places).returncode == 2
    assert not list((tmp_path / "out").iterdir())


def test_mercure_is_told_why_nothing_could_be_done(tmp_path: Path) -> None:
    real_program(tmp_path / "bin")
    (tmp_path / "in").mkdir()
    done = start(tmp_path / "bin", MERCURE_IN_DIR=str(tmp_path / "in"), MERCURE_OUT_DIR=str(tmp_path / "out"))
    assert done.returncode == 1 and "Traceback" not in done.stderr
    told = json.loads((tmp_path / "out" / "result.json").read_text())["mri-denoise"]
    assert "no image found" in told["error"] and len(list((tmp_path / "out").iterdir())) == 1


def test_every_description_has_this_version() -> None:
    for name in ("app.json", "pkg.json", "xnat.json", "flywheel.json"):
        assert json.loads((FOLDER / name).read_text(encoding="utf-8"))["version"] == __version__, name
    for text in (DOCKERFILE, RECIPE):
        assert re.search(r'org.opencontainers.image.version[ ="]+([\d.]+)', text)[1] == __version__


def test_both_recipes_have_the_pytorch_of_the_constraints_and_the_same_bases() -> None:
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    torch = re.search(r"^torch==([\d.]+)", constraints, re.MULTILINE)[1]
    assert re.search(r"^ARG TORCH=(.+)$", DOCKERFILE, re.MULTILINE)[1] == torch
    assert f"torch=={torch}\n" in RECIPE
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert re.findall(r"^From: (\S+)", RECIPE, re.MULTILINE) == bases and len(bases) == 2


def test_what_the_recipes_copy_exists_and_is_not_left_out_of_the_context() -> None:
    copied = [words.split()[:-1] for words in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)]
    files = {name for names in copied for name in names}
    ignored = (FOLDER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    kept = [line[1:] for line in ignored if line.startswith("!")]
    for name in files:
        assert (ROOT / name).exists() and any(Path(name).is_relative_to(top) for top in kept), name
    sections = re.findall(r"^%files\n((?:    .+\n)+)", RECIPE, re.MULTILINE)
    assert {line.split()[0] for section in sections for line in section.splitlines()} == files


def test_the_image_runs_as_a_user_and_its_manifest_starts_the_entry_point() -> None:
    assert re.search(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)[1] != "0"
    app = json.loads((FOLDER / "app.json").read_text(encoding="utf-8"))
    assert json.loads(re.search(r"^ENTRYPOINT (.+)$", DOCKERFILE, re.MULTILINE)[1]) == json.loads(app["command"])
    package = json.loads((FOLDER / "pkg.json").read_text(encoding="utf-8"))
    assert json.loads(app["command"])[1].startswith(package["applicationRoot"])


def test_the_dockerfile_keeps_the_rules_of_hadolint() -> None:
    program = shutil.which("hadolint")
    if program is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run([program, str(FOLDER / "Dockerfile")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
