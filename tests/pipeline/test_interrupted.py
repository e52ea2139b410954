"""Commands that are killed at any moment: nothing broken under a final name, and the next run completes the result."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.misc import is_dicom

from tests.bids.datasets import put_image, put_json
from tests.commands import ROOT
from tests.io.dicom.phantom import Phantom, save, series

if sys.platform == "win32":
    pytest.skip("no signals, no fork", allow_module_level=True)

from tests.warm import Warm

SHAPE = (24, 24, 6)
KINDS = ("nifti", "dicom", "pictures", "zip", "bids")
EXTRAS = {"nifti": ("--residual", "--noise-map", "--report"), "dicom": ("--residual",), "bids": ("--figure",)}
OF_THE_MOMENT = ("time", "seconds")  # in records
MOMENTS = ("InstanceCreationDate", "InstanceCreationTime", "ContentDate", "ContentTime", "ContributionDateTime")


@dataclass(frozen=True)
class Work:
    """A command: its input, the result it must have, and how long it takes undisturbed."""

    words: tuple[object, ...]
    source: Path
    wanted: dict[str, str]
    seconds: float
    inputs: str

    def arguments(self, out: Path) -> tuple[object, ...]:
        return (self.words[0], self.source, out, *self.words[1:])


def put_nifti(path: Path, *shape: int, seed: int = 0) -> None:
    values = np.random.default_rng(seed).rayleigh(100, shape or SHAPE).astype(np.int16)
    path.parent.mkdir(exist_ok=True)
    nib.save(nib.Nifti1Image(values, np.diag([2.0, 2, 4, 1])), path)


def put_input(kind: str, folder: Path) -> Path:
    """A small input of a kind."""
    root = folder / kind
    root.mkdir()
    if kind == "nifti":
        put_nifti(root / "a.nii.gz")
        put_nifti(root / "b.nii", *SHAPE, 2, seed=1)
        nib.save(
            nib.Nifti1Pair(np.random.default_rng(2).rayleigh(9, SHAPE).astype(np.int16), np.eye(4)), root / "c.img"
        )
    elif kind in ("dicom", "zip"):
        for name in ("one", "two"):
            save(series(Phantom(slices=4, rows=24, columns=24, uid=name), SeriesDescription=name), root / name)
    elif kind == "pictures":
        for seed, name in enumerate(("a.png", "b.tif", "c.jpg")):
            grey = np.random.default_rng(seed).rayleigh(60, (40, 48)).clip(0, 255).astype(np.uint8)
            Image.fromarray(grey).save(root / name)
    else:
        put_json(root / "dataset_description.json", {"Name": "heads", "BIDSVersion": "1.10.0"})
        for label in ("01", "02"):
            put_image(root / f"sub-{label}/anat/sub-{label}_T1w.nii.gz", seed=int(label))
            put_json(root / f"sub-{label}/anat/sub-{label}_T1w.json", {"EchoTime": 0.003})
    if kind != "zip":
        return root
    with zipfile.ZipFile(folder / "study.zip", "w") as archive:
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            archive.write(path, path.relative_to(root))
    return folder / "study.zip"


def digest(path: Path) -> str:
    """What a file says, but for when it was made."""
    if path.suffix == ".html":
        return str(path.read_text().rstrip().endswith("</html>"))
    if path.suffix == ".json":
        found = json.loads(path.read_text())
        lasting = json.dumps({key: value for key, value in found.items() if key not in OF_THE_MOMENT}, sort_keys=True)
        return re.sub("mri-denoise-[0-9a-f]{16}", "UNPACKED", lasting)
    if is_dicom(path):
        ds = pydicom.dcmread(path)
        for part in (ds, *ds.get("ContributingEquipmentSequence", [])):
            for keyword in MOMENTS:
                part.pop(keyword, None)
        return hashlib.sha256(ds.to_json(bulk_data_threshold=1 << 30).encode()).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()


def contents(out: Path, source: Path) -> dict[str, str]:
    """The results under final names, as if all runs had the same folder. Tables are each run's own."""
    files = [p for p in out.rglob("*") if p.is_file() and not any(x.startswith(".") for x in p.relative_to(out).parts)]
    files = [p for p in files if not re.fullmatch(r"mri-denoise-\d{8}T\d{6}Z(-\d+)?\.tsv", p.name)]
    found = {p.relative_to(out).as_posix(): digest(p).replace(str(out), "OUT") for p in files}
    return {name: said.replace(os.path.relpath(source, out), "IN") for name, said in found.items()}


def litter(*folders: Path) -> list[Path]:
    """Hidden and temporary files, and empty folders."""
    found = [path for folder in folders for path in folder.rglob("*")]
    return [
        path
        for path in found
        if re.match(r"\.|mri-denoise-[0-9a-f]{16}", path.name) or (path.is_dir() and not any(path.iterdir()))
    ]


def hashes(source: Path) -> str:
    files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    folder = tmp_path_factory.mktemp("warm")
    put_nifti(folder / "in" / "a.nii")
    put_input("dicom", folder / "in")  # what it imports is not to be imported where memory runs out
    started = Warm(folder, ["denoise", str(folder / "in"), str(folder / "out"), *EXTRAS["nifti"]])
    yield started
    started.stop()


Works = Callable[[str], Work]


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory, warm: Warm) -> Works:
    """The undisturbed run of each kind, done once."""
    return cache(lambda kind: work(kind, tmp_path_factory.mktemp("work"), warm))


def work(kind: str, folder: Path, warm: Warm) -> Work:
    source = put_input(kind, folder)
    command = ("bids",) if kind == "bids" else ("denoise",)
    words = (*command, *(["participant"] if kind == "bids" else []), "--device", "cpu")
    made = Work((*words, *EXTRAS.get(kind, ())), source, {}, 0.0, hashes(source))
    out = folder / f"undisturbed-{kind}"
    ended = warm.run(*made.arguments(out))
    assert ended.code == 0, ended.said
    assert litter(out, warm.temporary) == []
    return Work(made.words, source, contents(out, source), ended.seconds, made.inputs)


def hold(done: Work, out: Path, *, killed: bool) -> None:
    """Hold a folder after a kill to what is promised: every file whole, every record beside its result."""
    found = contents(out, done.source)
    assert found.items() <= done.wanted.items(), "a file under a final name is not what it should be"
    if not killed:
        assert found == done.wanted
    for path in out.rglob("*mri-denoise.json"):
        if not any(part.startswith(".") for part in path.relative_to(out).parts):
            record = json.loads(path.read_text())
            assert all(Path(name).is_file() for name in record["outputs"] + record["companions"])


def interrupt(done: Work, out: Path, warm: Warm, number: int, after: float) -> bool:
    """Run, interrupt, run again; returns whether the signal came in time."""
    running = warm.start(*done.arguments(out))
    time.sleep(after)
    running.signal(number)
    ended = running.wait()
    assert ended.code in (0, -number, 128 + number), ended.said
    assert "Traceback" not in ended.said
    hold(done, out, killed=ended.code != 0)
    if ended.code == 128 + number:
        assert litter(out, warm.temporary) == [], "told to end, it has left something"
    complete(done, out, warm)
    return ended.code != 0


def complete(done: Work, out: Path, warm: Warm) -> None:
    again = warm.run(*done.arguments(out))
    assert again.code == 0, again.said
    hold(done, out, killed=False)
    assert litter(out, warm.temporary) == []
    assert hashes(done.source) == done.inputs


def moments(seed: int, count: int, seconds: float) -> list[tuple[int, float]]:
    """Signals, and seconds after the start of a command at which they come."""
    rng = random.Random(seed)
    return [
        (rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]), rng.uniform(0, seconds)) for _ in range(count)
    ]


def test_killed_a_few_times(tmp_path: Path, warm: Warm, works: Works) -> None:
    done = works("nifti")
    for k, (number, after) in enumerate(moments(0, 2, done.seconds)):
        interrupt(done, tmp_path / f"out{k}", warm, number, after)
    for k, step in enumerate((24, 32)):
        out = tmp_path / f"step{k}"
        assert warm.run(*done.arguments(out), signal_at=(signal.SIGKILL, step)).code == -signal.SIGKILL
        hold(done, out, killed=True)
        complete(done, out, warm)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_any_moment(tmp_path: Path, warm: Warm, works: Works, kind: str) -> None:
    done = works(kind)
    count = int(os.environ.get("KILLS", 18))
    in_time = [
        interrupt(done, tmp_path / f"out{k}", warm, number, after)
        for k, (number, after) in enumerate(moments(KINDS.index(kind), count, done.seconds))
    ]
    print(f"\n{kind}: {count} signals over {done.seconds:.1f} s, {sum(in_time)} before the end")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_each_step_on_disk(tmp_path: Path, warm: Warm, works: Works, kind: str) -> None:
    done, step, ended = works(kind), 0, -signal.SIGKILL
    while ended == -signal.SIGKILL:
        out = tmp_path / f"step{step}"
        ended = warm.run(*done.arguments(out), signal_at=(signal.SIGKILL, step)).code
        hold(done, out, killed=ended != 0)
        complete(done, out, warm)
        step += 1
    assert ended == 0
    print(f"\n{kind}: killed after each of {step - 1} steps on disk")


def one_line_each(said: str) -> list[str]:
    """The lines on what failed."""
    assert "Traceback" not in said and "bug" not in said, said
    return [line for line in said.splitlines() if line.startswith(("failed", "mri-denoise:"))]


@pytest.mark.parametrize(
    ("kind", "size"),
    [("nifti", 9000), ("nifti", 3000)]
    + [pytest.param(kind, size, marks=pytest.mark.slow) for kind in KINDS for size in (1000, 2500, 4000, 7000, 30000)],
)
def test_a_disk_that_takes_no_more(tmp_path: Path, warm: Warm, works: Works, kind: str, size: int) -> None:
    """A limit on the size of a file meets every writer, as a full disk does, and needs no rights."""
    done, out = works(kind), tmp_path / "out"
    ended = warm.run(*done.arguments(out), limits={"FSIZE": size})
    lines = one_line_each(ended.said)
    assert ended.code == 0 or (lines and all("File too large" in line for line in lines)), ended.said
    if out.exists():
        hold(done, out, killed=True)
        assert litter(out, warm.temporary) == []
    complete(done, out, warm)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_that_is_full(tmp_path: Path, warm: Warm, works: Works, kind: str) -> None:
    done, disk = works(kind), tmp_path / "disk"
    disk.mkdir()
    for size in (8, 16, 32, 64, 128):
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "none", disk], check=False).returncode:
            pytest.skip("needs the right to mount a file system")
        try:
            ended = warm.run(*done.arguments(disk))
            lines = one_line_each(ended.said)
            assert ended.code == 0 or all("No space left" in line for line in lines), ended.said
            hold(done, disk, killed=ended.code != 0)
            assert litter(disk, warm.temporary) == []
            subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True)
            complete(done, disk, warm)
        finally:
            subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("kind", ["nifti", *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS[1:])])
def test_a_folder_that_may_not_be_written_to(tmp_path: Path, warm: Warm, works: Works, kind: str) -> None:
    done, disk = works(kind), tmp_path / "disk"
    disk.mkdir()
    mounted = os.geteuid() == 0
    if mounted and subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", disk], check=False).returncode:
        pytest.skip("root may write anywhere, and has no right to mount a file system")
    disk.chmod(0o555) if not mounted else None
    try:
        for more in ((), ("--jobs", 2)):
            ended = warm.run(*done.arguments(disk / "out"), *more)
            [line] = one_line_each(ended.said)  # before the first image
            assert ended.code == 1 and ("Read-only" in line or "ermission" in line), ended.said
    finally:
        subprocess.run(["umount", disk], check=True) if mounted else disk.chmod(0o755)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nifti", "dicom", "pictures"])
def test_memory_that_runs_out(tmp_path: Path, warm: Warm, works: Works, kind: str) -> None:
    """At any size of what is left, an image is done or named in one line, and another run does it."""
    done, codes = works(kind), set()
    for megabytes in (1, 2, 4, 8, 12, 16, 24, 32, 64, 128):
        out = tmp_path / f"out{megabytes}"
        ended = warm.run(*done.arguments(out), limits={"AS": megabytes << 20})
        codes.add(ended.code)
        lines = one_line_each(ended.said)
        if ended.code >= 0:  # a library may crash where the last megabyte is missing
            assert ended.code == 0 or (lines and all("memory" in line for line in lines)), ended.said
        if out.exists():
            hold(done, out, killed=ended.code != 0)
        complete(done, out, warm)
    assert codes - {0}


@pytest.mark.parametrize("kind", ["nifti", *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS[1:])])
def test_two_processes_on_one_output(tmp_path: Path, warm: Warm, works: Works, kind: str) -> None:
    done, out = works(kind), tmp_path / "out"
    both = [warm.start(*done.arguments(out)) for _ in range(2)]
    ended = [one.wait() for one in both]
    for one in ended:
        assert one.code in (0, 1), one.said
        assert all("exists" in line for line in one_line_each(one.said)), one.said
    assert 0 in {one.code for one in ended} or contents(out, done.source) == done.wanted
    complete(done, out, warm)


def test_two_processes_with_other_settings_never_mix(tmp_path: Path, warm: Warm) -> None:
    source, out = tmp_path / "a.nii", tmp_path / "out"
    put_nifti(source)
    words = ("denoise", source, out, "--device", "cpu", "--residual")
    late = warm.start(*words, "--strength", 0.5, signal_at=(signal.SIGSTOP, 0))
    late.wait_stopped()
    assert warm.run(*words).code == 0
    first = contents(out, source)
    late.signal(signal.SIGCONT)
    ended = late.wait()
    assert ended.code == 1 and "a.nii: cannot be written (exists" in ended.said
    assert contents(out, source) == first and litter(out) == []


CHANGES = ("other voxels", "the same time", "another size", "a map", "a slice")


@pytest.mark.parametrize("change", CHANGES)
def test_an_input_that_changes_while_it_is_read(tmp_path: Path, warm: Warm, change: str) -> None:
    source, out, level = put_input("dicom" if change == "a slice" else "nifti", tmp_path), tmp_path / "out", ()
    changed = source = source / "b.nii" if change != "a slice" else source
    if change == "a slice":
        changed = sorted((source / "two").iterdir())[1]
    if change == "a map":
        changed = tmp_path / "level.nii"
        nib.save(nib.Nifti1Image(np.full(SHAPE, 30, np.float32), np.diag([2.0, 2, 4, 1])), changed)
        level = ("--sigma", changed)
    running = warm.start("denoise", source, out, *level, signal_at=(signal.SIGSTOP, 0))
    running.wait_stopped()
    before, content = changed.stat(), bytearray(changed.read_bytes())
    content[-20] ^= 1
    changed.write_bytes(content + b"more" if change == "another size" else content)
    if change == "the same time":
        os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))
    running.signal(signal.SIGCONT)
    ended = running.wait()
    [line] = one_line_each(ended.said)
    assert ended.code == 1 and f"{changed}: has changed while it was read" in line
    assert not list(out.rglob("b*")) and litter(out) == []


def side_by_side(done: Work, out: Path, warm: Warm) -> subprocess.Popen[str]:
    """The command with two jobs, in a process as a shell starts it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TMPDIR": str(warm.temporary)}
    words = [sys.executable, "-m", "mri_denoise.cli.main", *map(str, done.arguments(out)), "--jobs", "2"]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_jobs_make_the_same(tmp_path: Path, warm: Warm, works: Works, kind: str) -> None:
    done, out = works(kind), tmp_path / "out"
    _, said = (running := side_by_side(done, out, warm)).communicate()
    assert running.returncode == 0, said
    hold(done, out, killed=False)
    assert litter(out, warm.temporary) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nifti", "dicom"])
def test_jobs_on_a_disk_that_is_full(tmp_path: Path, warm: Warm, works: Works, kind: str) -> None:
    done, disk = works(kind), tmp_path / "disk"
    disk.mkdir()
    for size in (16, 64):
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "none", disk], check=False).returncode:
            pytest.skip("needs the right to mount a file system")
        try:
            _, said = (running := side_by_side(done, disk, warm)).communicate()
            lines = one_line_each(said)
            assert running.returncode == 1 and lines and all("No space left" in line for line in lines), said
            hold(done, disk, killed=True)
            assert litter(disk, warm.temporary) == []
            subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True)
            complete(done, disk, warm)
        finally:
            subprocess.run(["umount", disk], check=True)


@pytest.mark.slow
def test_jobs_killed_at_any_moment(tmp_path: Path, warm: Warm, works: Works) -> None:
    """Processes as a shell starts them; those that they start themselves must end, too."""
    done = works("nifti")
    begun = time.monotonic()
    _, said = (running := side_by_side(done, tmp_path / "undisturbed-jobs", warm)).communicate()
    assert running.returncode == 0, said
    assert contents(tmp_path / "undisturbed-jobs", done.source) == done.wanted, "not the same for any number of jobs"
    seconds, count = time.monotonic() - begun, int(os.environ.get("KILLS", 18)) // 2 + 1
    for k, (number, after) in enumerate(moments(9, count, seconds)):
        out = tmp_path / f"out{k}"
        process = side_by_side(done, out, warm)
        time.sleep(after)
        process.send_signal(number)
        process.communicate()
        _, said = (again := side_by_side(done, out, warm)).communicate()
        assert again.returncode == 0, said
        hold(done, out, killed=False)
        assert litter(out, warm.temporary) == []
        assert hashes(done.source) == done.inputs
    print(f"\n--jobs 2: {count} signals over {seconds:.1f} s")
