"""The array of a SLURM cluster, with a stand-in for ``sbatch``."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipelines.stand_in import ROOT, calls, environment, notes, recorder

SCRIPT = ROOT / "pipelines" / "slurm" / "array.sh"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="SLURM and GNU's tools")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    for number in range(1, 6):
        (tmp_path / "data set" / f"sub-{number:02d}").mkdir(parents=True)
    (tmp_path / "data set" / "sub-99.txt").touch()
    return tmp_path / "data set"


def bash(programs: Path, cwd: Path, *words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(SCRIPT), *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=environment(programs, **variables), capture_output=True, text=True)


def test_it_is_bash() -> None:
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)
    if program := shutil.which("shellcheck"):
        subprocess.run([program, str(SCRIPT)], check=True)


def test_all_participants_are_submitted_and_each_task_denoises_its_own(dataset: Path, tmp_path: Path) -> None:
    recorder(tmp_path / "bin", "sbatch", says="17;cluster\n")
    recorder(tmp_path / "node")
    done = bash(
        tmp_path / "bin", tmp_path, "data set", "out", "--suffix", "T1w", MAX_TASKS="3", SBATCH_ARGS="--account=me"
    )
    assert done.returncode == 0, done.stderr
    assert "job 17: 5 participants in 3 tasks" in done.stdout
    array, group = calls(tmp_path / "bin")
    assert array[:4] == ["--parsable", "--export=ALL", "--array=1-3", "--account=me"]
    assert array[4:] == [str(SCRIPT), str(dataset), str(tmp_path / "out"), "--suffix", "T1w"]
    assert "--dependency=afterany:17" in group
    assert group[-1] == f"mri-denoise bids {str(dataset).replace(' ', chr(92) + ' ')} {tmp_path / 'out'} group "
    exported = notes(tmp_path / "bin")[0]["environment"]
    for task in ("1", "2", "3"):
        more = {"SLURM_ARRAY_TASK_ID": task, "SLURM_CPUS_PER_TASK": "4", "SLURM_MEM_PER_NODE": "8192", **exported}
        assert bash(tmp_path / "node", tmp_path, *array[5:], **more).returncode == 0
    tail = ["--n-cpus", "4", "--mem-mb", "8192", "--suffix", "T1w"]
    start = ["bids", str(dataset), str(tmp_path / "out"), "participant", "--participant-label"]
    assert calls(tmp_path / "node") == [
        [*start, *labels, *tail] for labels in (["sub-01", "sub-02"], ["sub-03", "sub-04"], ["sub-05"])
    ]


def test_a_container_may_be_the_program_and_a_task_has_its_exit_code(dataset: Path, tmp_path: Path) -> None:
    recorder(tmp_path / "bin", "apptainer", code=1)
    (tmp_path / "list").write_text("sub-01\nsub-02\n")
    more = {"LIST": str(tmp_path / "list"), "PER_TASK": "1", "SLURM_ARRAY_TASK_ID": "2"}
    done = bash(tmp_path / "bin", tmp_path, dataset, "out", MRI_DENOISE="apptainer run --cleanenv x.sif", **more)
    assert done.returncode == 1
    [words] = calls(tmp_path / "bin")
    assert words[:4] == ["run", "--cleanenv", "x.sif", "bids"] and "sub-02" in words and "sub-01" not in words


def test_no_participant_and_no_argument_are_told(tmp_path: Path) -> None:
    recorder(tmp_path / "bin", "sbatch")
    (tmp_path / "empty").mkdir()
    assert bash(tmp_path / "bin", tmp_path, "empty").returncode == 2
    done = bash(tmp_path / "bin", tmp_path, "empty", "out")
    assert done.returncode == 1 and "holds no folder sub-LABEL" in done.stderr and not calls(tmp_path / "bin")
