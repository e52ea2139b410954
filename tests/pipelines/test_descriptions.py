"""What other people's software reads of us: each description names a command of ours, and its own tool takes it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from mri_denoise import __version__
from mri_denoise.cli.main import app
from tests.pipelines.stand_in import ROOT, calls, environment, notes, recorder

PIPELINES = ROOT / "pipelines"
BOUTIQUES = PIPELINES / "boutiques" / "mri-denoise.json"
NIPOPPY = PIPELINES / "nipoppy" / f"mri-denoise-{__version__}"
BABS = PIPELINES / "babs" / "mri-denoise.yaml"
SLICER = PIPELINES / "slicer" / "MRIDenoise.py"


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def parse(words: list[str]) -> dict[str, Any]:
    """What the command line makes of these words; an unknown or missing one raises."""
    group = typer.main.get_command(app)
    return group.commands[words[0]].make_context("mri-denoise", words[1:]).params  # type: ignore[attr-defined]


def filled(descriptor: dict[str, Any], invocation: dict[str, Any]) -> list[str]:
    """The command line of a Boutiques descriptor for an invocation, by the rules of its schema."""
    line = descriptor["command-line"]
    for entry in descriptor["inputs"]:
        value, flag = invocation.get(entry["id"]), entry.get("command-line-flag", "")
        if entry["type"] == "Flag":
            words = [flag] if value else []
        else:
            values = value if isinstance(value, list) else [] if value is None else [value]
            words = [flag, *map(str, values)] if values else []
        line = line.replace(entry["value-key"], shlex.join(word for word in words if word))
    assert "[" not in line
    return shlex.split(line)


def test_boutiques_describes_the_bids_app() -> None:
    descriptor = read_json(BOUTIQUES)
    assert descriptor["tool-version"] == __version__
    invocation = {
        "bids_dir": "data", "output_dir": "out", "analysis_level": "participant", "participant_label": ["01", "02"],
        "session_label": ["a"], "task_label": ["rest"], "run_label": ["1"], "suffix": ["T1w"],
        "bids_filter_file": "filter.json", "output_layout": "raw", "model": "rician", "sigma": "map",
        "strength": 0.5, "quality": "best", "device": "cpu", "jobs": 2, "n_cpus": 4, "mem_mb": 8000,
        **dict.fromkeys(("trust", "no_guard", "tta", "residual", "noise_map", "figure", "report"), True),
        **dict.fromkeys(("skip_bids_validation", "skull_stripped", "overwrite"), True),
    }  # fmt: skip
    assert set(invocation) == {entry["id"] for entry in descriptor["inputs"]}
    program, *words = filled(descriptor, invocation)
    found = parse(words)
    assert program == "mri-denoise" and list(found["participant_label"]) == ["01", "02"]
    assert (found["strength"], found["n_cpus"], found["residual"]) == (0.5, 4, True)


def test_boutiques_takes_its_descriptor(tmp_path: Path) -> None:
    bosh = shutil.which("bosh")
    if bosh is None:
        pytest.skip("boutiques is not installed")
    subprocess.run([bosh, "validate", str(BOUTIQUES)], check=True, cwd=tmp_path)
    invocation = {
        "bids_dir": "/a",
        "output_dir": "/b",
        "analysis_level": "participant",
        "participant_label": ["01", "02"],
    }
    (tmp_path / "invocation.json").write_text(json.dumps(invocation))
    command = [bosh, "exec", "simulate", str(BOUTIQUES), "-i", "invocation.json"]
    said = subprocess.run(command, check=True, cwd=tmp_path, capture_output=True, text=True).stdout
    assert shlex.join(filled(read_json(BOUTIQUES), invocation)) in said


def test_nipoppy_runs_a_session_of_a_participant() -> None:
    config = read_json(NIPOPPY / "config.json")
    assert (config["NAME"], config["VERSION"]) == ("mri-denoise", __version__)
    assert all((NIPOPPY / value).is_file() for key, value in config["STEPS"][0].items() if key.endswith("_FILE"))
    assert read_json(NIPOPPY / "descriptor.json") == read_json(BOUTIQUES)
    values = {"DPATH_BIDS": "bids", "DPATH_PIPELINE_OUTPUT": "out", "PARTICIPANT_ID": "01", "SESSION_ID": "a"}
    text = re.sub(r"\[\[NIPOPPY_(\w+)\]\]", lambda key: values[key[1]], (NIPOPPY / "invocation.json").read_text())
    found = parse(filled(read_json(NIPOPPY / "descriptor.json"), json.loads(text))[1:])
    assert [*found["participant_label"], *found["session_label"], *found["suffix"]] == ["01", "a", "T1w"]


def test_nipoppy_takes_its_folder() -> None:
    program = shutil.which("nipoppy")
    if program is None:
        pytest.skip("nipoppy is not installed")
    subprocess.run([program, "pipeline", "validate", str(NIPOPPY)], check=True)


def test_babs_names_options_that_exist() -> None:
    config = yaml.safe_load(BABS.read_text(encoding="utf-8"))
    assert config["zip_foldernames"] == {"mri-denoise": __version__.replace(".", "-")}
    arguments = dict(config["bids_app_args"])
    words = [arguments.pop("$SUBJECT_SELECTION_FLAG"), "sub-01"]
    for option, value in arguments.items():
        words += [option, value.replace("$BABS_TMPDIR", "tmp")] if value else [option]
    parse(["bids", "data", "out", "participant", *words])


def test_babs_makes_a_script_of_its_configuration(tmp_path: Path) -> None:
    try:
        from babs.generate_bidsapp_runscript import generate_bidsapp_runscript as generate
    except Exception as error:  # not installed, or DataLad under it does not fit its own libraries
        pytest.skip(f"babs cannot be imported: {error}")
    config = yaml.safe_load(BABS.read_text(encoding="utf-8"))
    folder = config["input_datasets"]["BIDS"]["path_in_babs"]
    script = generate(
        [{"name": "BIDS", "is_zipped": False, "unzipped_path_containing_subject_dirs": folder}],
        "subject",
        container_name="mri-denoise",
        relative_container_path="containers/mri-denoise.sif",
        bids_app_output_dir="outputs/mri-denoise",
        dict_zip_foldernames=config["zip_foldernames"],
        bids_app_args=config["bids_app_args"],
        singularity_args=config["singularity_args"],
    )
    (tmp_path / "run.sh").write_text(script)
    subprocess.run(["bash", "-n", str(tmp_path / "run.sh")], check=True)
    assert '--participant-label "${subid}"' in script and "--n-cpus 4" in script


def test_xnat_and_flywheel_name_command_lines_that_exist() -> None:
    xnat = read_json(PIPELINES / "container" / "xnat.json")
    line = xnat["command-line"]
    other = line
    for entry in xnat["inputs"]:
        values = {"true": entry.get("true-value"), "false": entry.get("false-value")}
        default = entry["default-value"]
        contrary = "false" if default == "true" else "true"
        line = line.replace(entry["replacement-key"], values[default] if entry["type"] == "boolean" else default)
        other = other.replace(entry["replacement-key"], values[contrary] if entry["type"] == "boolean" else default)
    assert "#" not in line + other
    found, contrary_found = parse(shlex.split(line)), parse(shlex.split(other))
    assert (found["guard"], found["tta"], contrary_found["guard"], contrary_found["tta"]) == (True, False, False, True)
    gear = read_json(PIPELINES / "container" / "flywheel.json")
    words = shlex.split(gear["command"])
    assert f"/flywheel/v0/input/{next(iter(gear['inputs']))}" in words
    parse(words[2:])


def slicer(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SLICER), *words], capture_output=True, text=True, **options)


def test_slicer_reads_a_description_whose_parameters_are_options_of_ours() -> None:
    module = ElementTree.fromstring(slicer("--xml", check=True).stdout.encode())
    assert module.tag == "executable" and module.findtext("version") == __version__
    images = {int(image.findtext("index")): image for image in module.iter("image")}
    assert [images[place].findtext("channel") for place in (0, 1)] == ["input", "output"]
    assert all(image.get("fileExtensions") == ".nii.gz" for image in images.values())  # Slicer's own choice is NRRD
    words = ["in.nii.gz", "out.nii.gz"]
    for parameter in module.iter():
        if parameter.tag == "boolean":
            assert parameter.findtext("default") == "false"
            parse(["denoise", *words, parameter.findtext("longflag")])
        elif flag := parameter.findtext("longflag"):
            for value in [parameter.findtext("default"), *(element.text for element in parameter.findall("element"))]:
                parse(["denoise", *words, flag, value])


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script")
def test_slicer_starts_the_program_without_its_own_python(tmp_path: Path) -> None:
    recorder(tmp_path, code=1)
    words = ["--strength", "0.5", "in.nii.gz", "out.nii.gz"]
    own = environment(tmp_path, PYTHONHOME=sys.base_prefix)
    assert slicer(*words, env=own).returncode == 1
    assert calls(tmp_path) == [["denoise", *words, "--overwrite"]]
    assert notes(tmp_path)[0]["environment"] == {}
    lost = slicer(*words, env={**os.environ, "PATH": str(tmp_path / "no"), "MRI_DENOISE": ""})
    assert lost.returncode == 2 and "set MRI_DENOISE" in lost.stderr
