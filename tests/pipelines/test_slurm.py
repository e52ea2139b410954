"""The array of a SLURM cluster, with a stand-in for ``sbatch``, and on SLURM itself."""

from __future__ import annotations

import csv
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bids.datasets import put_image, put_json
from tests.commands import cli
from tests.node.servers import until
from tests.pipelines.slurm import WAIT, Cluster, cluster
from tests.pipelines.stand_in import ROOT, calls, environment, notes, real_program, recorder

SCRIPT = ROOT / "pipelines" / "slurm" / "array.sh"
OPTIONS = ("--suffix", "T1w", "--device", "cpu", "--report")
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
    quoted = str(dataset).replace(" ", r"\ ")
    assert group[-1] == f"mri-denoise bids {quoted} {tmp_path / 'out'} group --suffix T1w "
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


def heads(root: Path, count: int) -> Path:
    put_json(root / "dataset_description.json", {"Name": "heads", "BIDSVersion": "1.10.0"})
    put_image(root / "sub-01" / "anat" / "sub-01_T2w.nii.gz")  # not selected, so not missing
    for number in range(1, count + 1):
        put_image(root / f"sub-{number:02d}" / "anat" / f"sub-{number:02d}_T1w.nii.gz", seed=number)
    return root


def results(folder: Path) -> dict[str, bytes]:
    """The denoised images by name; each is there once, and nothing is half-written."""
    assert not [path for path in folder.rglob("*") if path.name.startswith(".")]
    found = sorted(folder.rglob("*_desc-denoised_T1w.nii.gz"))
    assert len({path.name for path in found}) == len(found)
    return {path.name: path.read_bytes() for path in found}


def submit(slurm: Cluster, cwd: Path, *words: object) -> str:
    """Submit the array; the number of the job."""
    command = ["bash", str(SCRIPT), *map(str, words)]
    more = {"MAX_TASKS": "4", "SBATCH_ARGS": "--cpus-per-task=2 --mem=4G"}
    done = subprocess.run(command, cwd=cwd, env={**slurm.environment, **more}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[1].rstrip(":")


def states(slurm: Cluster, job: str) -> list[str]:
    return [slurm.field(f"{job}_{task}", "JobState") for task in (1, 2, 3, 4)]


@pytest.mark.slow
def test_on_slurm_a_task_is_killed_and_another_put_back_into_the_queue(tmp_path: Path) -> None:
    """Seven participants in four tasks; what the killed one owes comes with the same line again."""
    source, out = heads(tmp_path / "data set", 7), tmp_path / "out"
    cli("bids", source, tmp_path / "alone", "participant", "--device", "cpu")
    wanted = results(tmp_path / "alone")
    real_program(tmp_path / "bin")
    with cluster(tmp_path / "slurm", tmp_path / "bin") as slurm:
        job = submit(slurm, tmp_path, "data set", "out", *OPTIONS)
        victim = until(lambda: slurm.process(2), WAIT, "the second task")
        victim.send_signal(signal.SIGKILL)
        until(lambda: slurm.process(3), WAIT, "the third task")
        slurm.ask("scontrol", "requeue", f"{job}_3")
        until(lambda: slurm.field(f"{job}_3", "JobState") == "PENDING", WAIT, "the third task in the queue again")
        slurm.ask("scontrol", "update", f"JobId={job}_3", "StartTime=now")  # by itself it waits for two minutes
        slurm.until_done()
        assert slurm.field(f"{job}_3", "Restarts") == "1"
        assert states(slurm, job) == ["COMPLETED", "FAILED", "COMPLETED", "COMPLETED"]
        first = results(out)
        assert first == {name: image for name, image in wanted.items() if name[:6] not in ("sub-03", "sub-04")}
        times = {path: path.stat().st_mtime_ns for path in out.rglob("*.nii.gz")}

        again = submit(slurm, tmp_path, "data set", "out", *OPTIONS)
        slurm.until_done()
        assert states(slurm, again) == ["COMPLETED"] * 4
    assert results(out) == wanted
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    with open(out / "logs" / "group.tsv", encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    assert [row["participant_id"] for row in rows] == [f"sub-{number:02d}" for number in range(1, 8)]
    page = (out / "logs" / "mri-denoise-report.html").read_text(encoding="utf-8")
    assert all(f'href="{row["participant_id"]}/anat/' in page for row in rows)
