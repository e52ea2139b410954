"""Cohorts on workers of Dask that are killed, told to end, starved: each result is there once, with the same bits."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import nibabel as nib
import numpy as np
import psutil
import pytest
from distributed import Client, LocalCluster

from mri_denoise import __version__
from mri_denoise.bundles.registry import find_bundle
from mri_denoise.io.discover import discover
from mri_denoise.pipeline import cluster
from mri_denoise.pipeline.on_worker import Done, Order, denoise_here, fingerprint
from mri_denoise.settings import Settings
from mri_denoise.simulation import phantom_affine
from tests.commands import cli
from tests.phantoms import head

ROOT = Path(__file__).parents[2]
SHAPE = (24, 24, 6)
LONG = 1800  # seconds: the computer may be busy


def make_scans(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    clean = 900 * head((*SHAPE[:2], 8))[:, :, : SHAPE[2]]
    for number in range(count):
        rng = np.random.default_rng(number)
        noisy = np.hypot(clean + rng.normal(0, 30, SHAPE), rng.normal(0, 30, SHAPE)).astype(np.int16)
        nib.save(nib.Nifti1Image(noisy, phantom_affine(SHAPE)), folder / f"scan-{number:03d}.nii.gz")
    return folder


def start(*arguments: object, errors: int | IO[str] = subprocess.PIPE) -> subprocess.Popen[str]:
    """The command in a Python of its own."""
    words = [sys.executable, "-m", "mri_denoise.cli.main", *map(str, arguments), "--device", "cpu"]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True)


def finish(process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    """What it said; it ended with ``code`` and no traceback."""
    said, errors = process.communicate(timeout=LONG)
    assert process.returncode == code, said + errors
    assert "Traceback" not in errors, errors
    return said, errors


def run(*arguments: object, code: int = 0) -> tuple[str, str]:
    return finish(start(*arguments), code)


def rows(out: Path) -> list[dict[str, str]]:
    """The rows of all tables of runs."""
    found = []
    for path in sorted(out.glob("mri-denoise-*.tsv")):
        with open(path, encoding="utf-8", newline="") as file:
            found += list(csv.DictReader(file, delimiter="\t"))
    return found


def until(true: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for something while a command runs."""
    end = time.monotonic() + LONG
    while not true():
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.05)


def workers(process: psutil.Process | subprocess.Popen[str]) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.Error):  # it has ended meanwhile
            if any("spawn_main" in word for word in child.cmdline()):
                found.append(child)
    return found


def hidden(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.startswith(".")]


def same_images(one: Path, other: Path) -> int:
    """Hold the images of two folders equal byte for byte; how many there are."""
    names = sorted(path.name for path in one.glob("*.nii.gz"))
    assert names == sorted(path.name for path in other.glob("*.nii.gz"))
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    return len(names)


def test_a_run_whose_worker_is_killed_and_that_ends_early_loses_nothing(tmp_path: Path) -> None:
    """Fifteen scans and a damaged one, two workers; then the rest on workers that are there already."""
    source, alone, out = make_scans(tmp_path / "in", 16), tmp_path / "alone", tmp_path / "out"
    packed = (source / "scan-000.nii.gz").read_bytes()
    (source / "scan-000.nii.gz").write_bytes(packed[: len(packed) // 2])
    cli("denoise", source, alone, "--device", "cpu", code=1)

    said = tmp_path / "said"
    with said.open("w") as errors:
        told = start("denoise", source, out, "--jobs", 2, errors=errors)
    until(lambda: len(rows(out)) >= 2, told)
    killed, _ = workers(told)
    killed.suspend()
    until(lambda: len(rows(out)) >= 4, told)  # the other one has done two more, so that this one has a scan for sure
    killed.kill()

    def made_up_for() -> bool:
        """Whether the scan of the killed worker is done, and another one takes its place."""
        [scan] = re.findall("process ended with (scan-[0-9]+)", said.read_text()) or [""]
        done = [Path(row["input"]).name for row in rows(out) if row["status"] == "done"]
        return f"{scan}.nii.gz" in done and len([one for one in workers(told) if one != killed]) == 2

    until(made_up_for, told)
    their = workers(told)
    for process in their:  # as Ctrl-C does, which all processes of a terminal get: the command decides
        process.send_signal(signal.SIGINT)
    told.send_signal(signal.SIGTERM)  # who runs the tests may ignore SIGINT, as in the background of a shell
    told.communicate(timeout=LONG)
    assert told.returncode == 128 + signal.SIGTERM and not any(process.is_running() for process in their)
    assert not hidden(out)
    before = len(list(out.glob("*.nii.gz")))
    assert 1 <= before < 15

    with LocalCluster(n_workers=2, processes=False, protocol="tcp://", dashboard_address=":0") as two:
        words = ("denoise", source, out, "--scheduler", two.scheduler_address, "--device", "cpu", "--json")
        again = cli(*words, code=1)
    report = json.loads(again.stdout)
    assert [failed["case"] for failed in report["failed"]] == ["scan-000.nii.gz"] and "truncated" in again.stderr
    assert len(report["done_before"]) == before
    names = [record["case"] for record in report["done"]]
    assert names == sorted(names) and len(names) == 15 - before
    assert same_images(alone, out) == 15
    assert not hidden(out)
    table = rows(out)
    done = [row["input"] for row in table if row["status"] == "done"]
    assert len(set(done)) == len(done) and 15 - len(done) in (0, 1, 2)  # those on their way when it was told to end
    assert all(Path(row["output"]).is_file() and row["worker"] != "n/a" for row in table if row["status"] == "done")
    assert {row["message"].split(": ")[1] for row in table if row["status"] == "failed"} == {
        "truncated; copy or download it again"
    }


def test_what_a_worker_had_published_when_it_died_is_no_obstacle(tmp_path: Path) -> None:
    """The image has its final name, its record has not: the scan comes to another worker."""
    source, out = make_scans(tmp_path / "in", 1), tmp_path / "out"
    bundle, [case] = find_bundle("rician"), discover(source)[0]
    settings = Settings(device="cpu")
    order = Order(run="a", model="rician", fingerprint=fingerprint(bundle), output_dir=out, settings=settings)
    image, record = out / "scan-000.nii.gz", out / "scan-000.mri-denoise.json"
    with LocalCluster(n_workers=1, processes=False, dashboard_address=":0") as one, Client(one) as client:

        def again() -> Done:
            return client.submit(denoise_here, order, case, pure=False).result()

        first = again()
        record.unlink()
        assert "exists" in str(again().error)  # somebody else's, as far as one can tell
        staged = out / ".mri-denoise-0123456789abcdef"  # what a killed process leaves
        staged.mkdir()
        os.link(image, staged / image.name)
        last = again()
    assert first.record is not None and last.record is not None and last.record.outputs == first.record.outputs
    assert record.is_file() and not hidden(out)


def test_options_that_do_not_go_together_are_wrong_usage(tmp_path: Path) -> None:
    source = make_scans(tmp_path / "in", 1)
    words = ("denoise", source, tmp_path / "out", "--scheduler", "tcp://127.0.0.1:1")
    assert "--jobs: is for this computer" in cli(*words, "--jobs", 2, code=2).stderr


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nowhere", "ftp://127.0.0.1:1"])
def test_a_scheduler_that_does_not_answer_is_told(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "ANSWER_SECONDS", 0.5)
    source = make_scans(tmp_path / "in", 1)
    said = cli("denoise", source, tmp_path / "out", "--scheduler", address, code=2).stderr
    assert f"--scheduler {address}: no Dask scheduler answers there" in said and len(said.splitlines()) == 1


@contextmanager
def program(folder: Path, *words: object, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Something that runs until the end of the block."""
    command = [sys.executable, "-m", *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    process = subprocess.Popen(command, env=environment, cwd=folder, stderr=subprocess.DEVNULL, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def scheduler(folder: Path, **variables: str) -> Iterator[str]:
    file = folder / "scheduler.json"
    words = ("--host", "127.0.0.1", "--port", 0, "--no-dashboard", "--scheduler-file", file)
    with program(folder, "distributed.cli.dask_scheduler", *words, **variables) as process:
        until(lambda: file.is_file() and file.stat().st_size > 0, process)
        yield json.loads(file.read_text())["address"]


def some_workers(address: str, folder: Path, *options: object, **variables: str):  # type: ignore[no-untyped-def]
    scratch = ("--no-dashboard", "--local-directory", folder / "scratch", "--nthreads", 1)
    return program(folder, "distributed.cli.dask_worker", address, *scratch, *options, **variables)


@pytest.mark.slow
def test_four_workers_of_a_cluster_one_killed_two_hundred_scans(tmp_path: Path) -> None:
    source, alone, out = make_scans(tmp_path / "in", 200), tmp_path / "alone", tmp_path / "out"
    run("denoise", source, alone)
    with scheduler(tmp_path) as address, some_workers(address, tmp_path, "--nworkers", 4) as nannies:
        going = start("denoise", source, out, "--scheduler", address)
        until(lambda: len(rows(out)) >= 100, going)
        workers(nannies)[1].kill()
        said, errors = finish(going)
        assert "200 denoised" in said and "process ended with scan-" in errors
    assert same_images(alone, out) == 200
    table = rows(out)
    assert len(table) == 200 and {row["status"] for row in table} == {"done"}
    assert sorted(row["input"] for row in table) == sorted(str(path) for path in source.iterdir())
    assert len({row["worker"] for row in table}) in (4, 5)  # with the one that took the place
    assert not hidden(out)


@pytest.mark.slow
def test_workers_that_do_not_fit_and_scans_that_do_not_fit_into_memory(tmp_path: Path) -> None:
    """A worker with other weights and one of another version are left out; a scan that is too large fails alone."""
    source, out = make_scans(tmp_path / "in", 4), tmp_path / "out"
    small = np.asarray(nib.load(source / "scan-000.nii.gz").dataobj)
    nib.save(nib.Nifti1Image(np.tile(small, (16, 16, 64)), phantom_affine(SHAPE)), source / "large.nii")
    for name in ("weights", "version"):
        shutil.copytree(ROOT / "mri_denoise", tmp_path / name / "mri_denoise")
        shutil.copytree(ROOT / "bundles", tmp_path / name / "bundles")
    with open(tmp_path / "weights" / "bundles" / "hmad_rician" / "models" / "model.pt", "ab") as file:
        file.write(b"more")
    init = tmp_path / "version" / "mri_denoise" / "__init__.py"
    init.write_text(init.read_text().replace(__version__, "0.0.1"))
    with (
        scheduler(tmp_path, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="1") as address,
        some_workers(address, tmp_path, "--memory-limit", "0.9GB"),
        some_workers(address, tmp_path, PYTHONPATH=str(tmp_path / "weights")),
        some_workers(address, tmp_path, PYTHONPATH=str(tmp_path / "version")),
    ):
        with Client(address) as client:
            client.wait_for_workers(3, timeout=LONG)
        said, errors = run("denoise", source, out, "--scheduler", address, code=1)
    assert "4 denoised" in said and "1 failed" in said
    assert "is not used: has other weights" in errors and "is not used: has mri-denoise 0.0.1" in errors
    [failed] = [row for row in rows(out) if row["status"] == "failed"]
    assert "takes more memory than a worker has" in failed["message"] and failed["message"] in errors
    assert not hidden(out)


@pytest.mark.slow
def test_a_scheduler_that_ends_ends_the_run_with_what_is_missing(tmp_path: Path) -> None:
    source, out = make_scans(tmp_path / "in", 40), tmp_path / "out"
    with scheduler(tmp_path) as address, some_workers(address, tmp_path) as nanny:
        going = start("denoise", source, out, "--scheduler", address)
        until(lambda: len(rows(out)) >= 3, going)
        nanny.kill()
    _, errors = finish(going, code=1)
    assert "run again for what is missing" in errors
    assert len(rows(out)) == 40
