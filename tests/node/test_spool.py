"""The queue: ended at any step it loses nothing and sends nothing twice; late, repeated and too many images."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset

from mri_denoise.errors import InputError
from mri_denoise.node.destinations import Image, QueryError, SendError
from mri_denoise.node.incoming import Complete, Incoming
from mri_denoise.node.ledger import Ledger
from mri_denoise.node.lock import is_running, locked
from mri_denoise.node.log import logging_to
from mri_denoise.node.records import Job
from mri_denoise.node.sender import Sender
from mri_denoise.node.settings import NodeSettings, load
from mri_denoise.node.spool import STATES, Spool, is_uid
from tests.node.servers import tiny_series

STEPS = ("replace", "fsync", "mkdir", "write", "unlink", "utime", "rmdir")
Sources = dict[str, list[tuple[str, bytes]]]


class PowerCut(BaseException):
    """The end of the process, at a step on disk."""


class Archive:
    """A destination that keeps count; what it has survives every power cut of the node."""

    def __init__(self, *, answers: bool = True) -> None:
        self.deliveries: Counter[str] = Counter()
        self._answers = answers

    def held(self, study: str, series: str) -> set[str]:
        if not self._answers:
            raise QueryError("no")
        return set(self.deliveries)

    def send(self, images: Sequence[Image], acknowledge: Callable[[str, str], None]) -> list[str]:
        for image in images:
            self.deliveries[image.instance] += 1
            acknowledge(image.instance, "0000")
        return []


@contextmanager
def power_cut_at(step: int) -> Iterator[list[int]]:
    """Let the step of this number happen, and raise after it and before all others."""
    count = [0]
    original = {name: getattr(os, name) for name in STEPS}

    def broken(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            count[0] += 1
            if count[0] > step + 1:
                raise PowerCut
            result = None if name == "fsync" else original[name](*arguments, **options)
            if count[0] == step + 1:
                raise PowerCut
            return result

        return call

    try:
        for name in STEPS:
            setattr(os, name, broken(name))
        yield count
    finally:
        for name in STEPS:
            setattr(os, name, original[name])


def make_settings(root: Path) -> NodeSettings:
    destination = {"dicom": {"ae_title": "A", "host": "127.0.0.1"}}
    return load(None, {"spool": str(root), "destination": destination, "retry.first_seconds": 0.01})


def encoded(ds: Dataset) -> bytes:
    file = BytesIO()
    ds.save_as(file, enforce_file_format=True)
    return file.getvalue()


@pytest.fixture(scope="module")
def two_series() -> Sources:
    found: Sources = {}
    for name, slices in (("a", 2), ("b", 1)):
        images = tiny_series(name, slices)
        found[images[0].SeriesInstanceUID] = [(str(ds.SOPInstanceUID), encoded(ds)) for ds in images]
    return found


@pytest.fixture(scope="module")
def memory() -> Iterator[Path]:
    """A folder in memory, where there is one: the tests below make and remove hundreds of queues."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None) as folder:
        yield Path(folder)


def receive(incoming: Incoming, sources: Sources, acknowledged: set[str]) -> None:
    """What a scanner does: send again whatever was not acknowledged, then release."""
    for series, images in sources.items():
        for uid, content in images:
            if uid not in acknowledged:
                partial = incoming.new_partial()
                partial.write_bytes(content)
                incoming.store(partial, series, uid, "association")
                acknowledged.add(uid)
    incoming.closed("association", released=True)


def derive(spool: Spool, series: str) -> None:
    """In the place of denoising: the same images."""
    names = []
    for path in spool.sources("working", series):
        target = spool.folder("working", series) / "derived" / path.name
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, target)
        names.append(f"derived/{path.name}")
    spool.finish(series, "working", "outgoing", Job(send=tuple(names)))


def live(root: Path, archive: Archive, sources: Sources, acknowledged: set[str]) -> None:
    """A node from start to the point where nothing is left to do."""
    spool = Spool(root)
    spool.recover()
    incoming = Incoming(spool)
    receive(incoming, sources, acknowledged)
    sender = Sender(make_settings(root), spool, archive)
    while incoming.promote(0.0, 0.0):
        pass
    while (series := spool.claim()) is not None:
        derive(spool, series)
    while sender.step():
        pass


def everything(root: Path) -> set[str]:
    return {path.stem for state in STATES for path in (root / state).glob("*/source/*.dcm")}


def test_ended_at_any_step_nothing_is_lost_and_nothing_sent_twice(memory: Path, two_series: Sources) -> None:
    uids = {uid for images in two_series.values() for uid, _ in images}
    step, finished = 0, False
    while not finished:
        root, archive, acknowledged = Path(tempfile.mkdtemp(dir=memory)), Archive(), set[str]()
        with power_cut_at(step) as count:
            with suppress(PowerCut):
                live(root, archive, two_series, acknowledged)
            finished = count[0] <= step
        assert acknowledged <= everything(root), f"lost when ended at step {step}"
        live(root, archive, two_series, acknowledged)
        assert archive.deliveries == dict.fromkeys(uids, 1), f"ended at step {step}"
        left = {state: Spool(root).series(state) for state in STATES}
        assert left == {state: [] for state in STATES} | {"done": left["done"]} and len(left["done"]) == 2
        assert [path for path in root.rglob("*") if path.suffix == ".part" or path.name.startswith(".")] == []
        shutil.rmtree(root)
        step += 1
    assert step > 40


def test_ended_while_late_images_join_those_that_are_done(memory: Path, two_series: Sources) -> None:
    [series] = [uid for uid, images in two_series.items() if len(images) == 2]
    first, late = two_series[series]
    step, finished = 0, False
    while not finished:
        root, archive, acknowledged = Path(tempfile.mkdtemp(dir=memory)), Archive(), set[str]()
        live(root, archive, {series: [first]}, acknowledged)
        with power_cut_at(step) as count:
            with suppress(PowerCut):
                live(root, archive, {series: [late]}, acknowledged)
            finished = count[0] <= step
        live(root, archive, {series: [late]}, acknowledged)
        assert archive.deliveries == {first[0]: 1, late[0]: 1}, f"ended at step {step}"
        # the second round had both images, so that each had its neighbour
        assert len(list((root / "done" / series / "derived").iterdir())) == 2
        assert everything(root) == {first[0], late[0]}
        shutil.rmtree(root)
        step += 1
    assert step > 30


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, 70), max_size=6))
def test_ended_several_times_in_a_row(memory: Path, two_series: Sources, cuts: list[int]) -> None:
    root, archive, acknowledged = Path(tempfile.mkdtemp(dir=memory)), Archive(), set[str]()
    for step in cuts:
        with suppress(PowerCut), power_cut_at(step):
            live(root, archive, two_series, acknowledged)
        assert acknowledged <= everything(root)
    live(root, archive, two_series, acknowledged)
    assert set(archive.deliveries.values()) == {1} and len(archive.deliveries) == 3


def test_a_destination_that_does_not_answer_gets_the_same_uids_again(memory: Path, two_series: Sources) -> None:
    most = 0
    for step in range(0, 120, 6):
        root, archive, acknowledged = Path(tempfile.mkdtemp(dir=memory)), Archive(answers=False), set[str]()
        with suppress(PowerCut), power_cut_at(step):
            live(root, archive, two_series, acknowledged)
        live(root, archive, two_series, acknowledged)
        assert set(archive.deliveries) == {uid for images in two_series.values() for uid, _ in images}
        assert sum(archive.deliveries.values()) <= len(archive.deliveries) + 1
        most = max(most, *archive.deliveries.values())
    assert most <= 2


def test_killed_processes_leave_a_queue_that_goes_on(tmp_path: Path, two_series: Sources) -> None:
    """SIGKILL instead of an exception, at points in time instead of steps."""
    images = {uid: content for found in two_series.values() for uid, content in found}
    for uid, content in images.items():
        (tmp_path / f"{uid}.in").write_bytes(content)
    program = (
        "import sys\nfrom pathlib import Path\nfrom mri_denoise.node.incoming import Incoming\n"
        "from mri_denoise.node.records import Job\nfrom mri_denoise.node.spool import Spool\n"
        "root, there = Path(sys.argv[1]), Path(sys.argv[2])\n"
        "spool = Spool(root)\nincoming = Incoming(spool)\nspool.recover()\nprint('up', flush=True)\n"
        "while True:\n"
        "    for k, path in enumerate(sorted(there.glob('*.in'))):\n"
        "        partial = incoming.new_partial()\n        partial.write_bytes(path.read_bytes())\n"
        "        incoming.store(partial, f'1.2.{k}', path.stem, 'a')\n        print(path.stem, flush=True)\n"
        "    incoming.closed('a', released=True)\n    incoming.promote(0, 0)\n"
        "    while series := spool.claim():\n        spool.finish(series, 'working', 'outgoing', Job())\n"
        "        spool.finish(series, 'outgoing', 'done', Job())\n"
    )
    root, said = tmp_path / "spool", set[str]()
    root.mkdir()
    for pause, lines in ((0.0, 0), (0.013, 0), (0.05, 1), (0.0, len(images))):
        with subprocess.Popen(
            [sys.executable, "-c", program, str(root), str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None and process.stdout.readline() == "up\n"
            said |= {process.stdout.readline().strip() for _ in range(lines)}
            time.sleep(pause)
            process.kill()
            said |= {line.strip() for line in process.stdout.read().split("\n")[:-1]}
        assert said <= everything(root)
    assert said == set(images)


def test_a_torn_last_line_of_the_ledger_counts_for_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.begin()
    ledger.acknowledge("1.2.3", "0000", series="1.2", source="1.3")
    with ledger.path.open("a") as file:
        file.write("sent 1.2.4 0000 1.2 1.")
    again = Ledger(tmp_path)
    assert again.acknowledged == {("1.2", "1.3")} and again.in_doubt
    again.acknowledge("1.2.5", "B007", series="1.2", source="1.5")
    again.end()
    last = Ledger(tmp_path)
    assert last.acknowledged == {("1.2", "1.3"), ("1.2", "1.5")} and not last.in_doubt
    assert last.path.stat().st_mode & 0o777 == 0o600


def test_the_same_images_again_are_not_sent_again(tmp_path: Path, two_series: Sources) -> None:
    archive = Archive()
    live(tmp_path, archive, two_series, set())
    live(tmp_path, archive, two_series, set())
    assert set(archive.deliveries.values()) == {1}
    assert Spool(tmp_path).series("incoming") == []
    assert Spool(tmp_path).forget(keep_days=1.0) == []
    assert len(Spool(tmp_path).forget(keep_days=0.0)) == 2 and everything(tmp_path) == set()
    live(tmp_path, archive, two_series, set())
    assert set(archive.deliveries.values()) == {2}, "what was forgotten is news"


def test_a_series_that_failed_starts_anew_when_it_is_sent_again(tmp_path: Path, two_series: Sources) -> None:
    spool = Spool(tmp_path)
    incoming = Incoming(spool)
    receive(incoming, two_series, set())
    incoming.promote(0.0, 0.0)
    while (series := spool.claim()) is not None:
        spool.finish(series, "working", "failed", Job(failed=("why",)))
    archive = Archive()
    live(tmp_path, archive, two_series, set())
    assert set(archive.deliveries.values()) == {1} and spool.series("failed") == []


def test_quiet_times_are_counted_from_the_last_image_and_longer_after_an_abort(
    tmp_path: Path, two_series: Sources
) -> None:
    incoming = Incoming(Spool(tmp_path))
    series, images = next(iter(two_series.items()))
    for released in (False, True):
        partial = incoming.new_partial()
        partial.write_bytes(images[0][1])
        incoming.store(partial, series, images[0][0], "association")
        assert incoming.promote(0.0, 0.0) == [], "its association is open"
        incoming.closed("association", released=released)
        assert incoming.promote(1000.0 if released else 0.0, 0.0 if released else 1000.0) == []
    restarted = Incoming(Spool(tmp_path))
    assert restarted.promote(1000.0, 0.0) == []
    assert restarted.promote(0.0, 1000.0) == [Complete(series=series, images=1)]


def test_limits_of_queue_and_disk(tmp_path: Path, two_series: Sources) -> None:
    spool = Spool(tmp_path)
    assert Incoming(spool, queue_gb=1.0).is_full() is None
    assert Incoming(spool, free_gb=1e6).is_full() == "disk is full"
    incoming = Incoming(spool, queue_gb=1e-6)
    assert incoming.is_full() is None
    receive(incoming, two_series, set())
    assert incoming.is_full() == "queue is full"


@pytest.mark.parametrize("name", ["", ".", "..", "1..2", "1.2/../3", "1.2\n", "1.2.", "²", "1" * 65, "a.1", "-1"])
def test_nothing_but_a_uid_becomes_the_name_of_a_file(tmp_path: Path, name: str) -> None:
    assert not is_uid(name)
    incoming = Incoming(Spool(tmp_path))
    partial = incoming.new_partial()
    partial.write_bytes(b"x")
    for series, instance in ((name, "1.2"), ("1.2", name)):
        with pytest.raises(ValueError, match="not a UID"):
            incoming.store(partial, series, instance, "a")


def test_a_queue_belongs_to_one_node_and_to_nobody_else(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with locked(spool.root):
        assert is_running(spool.root)
        with pytest.raises(InputError, match="in use by another node"), locked(spool.root, wait_seconds=0.0):
            pass
    assert not is_running(spool.root)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "spool").iterdir() if path.is_dir()} == {0o700}
    with pytest.raises(InputError, match="cannot hold the queue"):
        Spool(tmp_path / "missing" / "spool")


def test_sending_is_tried_again_and_given_up(tmp_path: Path, two_series: Sources) -> None:
    class Broken(Archive):
        def send(self, images: Sequence[Image], acknowledge: Callable[[str, str], None]) -> list[str]:
            raise SendError("cannot be reached")

    spool, said = Spool(tmp_path), StringIO()
    incoming = Incoming(spool)
    receive(incoming, two_series, set())
    incoming.promote(0.0, 0.0)
    while (series := spool.claim()) is not None:
        derive(spool, series)
    sender = Sender(make_settings(tmp_path), spool, Broken())
    with logging_to(said):
        assert sender.step() and sender.step() and len(spool.series("outgoing")) == 2
    assert "cannot be reached" in said.getvalue() and "again_in_seconds" in said.getvalue()
    impatient = load(
        None,
        {"spool": str(tmp_path), "destination": {"dicomweb": {"url": "http://localhost"}}, "retry.give_up_hours": 0},
    )
    sender = Sender(impatient, spool, Broken())
    assert sender.step() and sender.step()
    assert len(spool.series("failed")) == 2 and len(everything(tmp_path)) == 3
    job = spool.job("failed", spool.series("failed")[0])
    assert job is not None and job.failed == ("cannot be reached",)


def test_late_images_alone_are_sent_though_denoising_anew_changes_the_others(tmp_path: Path) -> None:
    """Another level of noise gives other pixels, and so other UIDs; the destination must not get those slices twice."""
    images = tiny_series("late", 3)
    sources = [(str(ds.SOPInstanceUID), encoded(ds)) for ds in images]
    series, archive = images[0].SeriesInstanceUID, Archive()
    live(tmp_path, archive, {series: sources[:2]}, set())

    spool = Spool(tmp_path)
    incoming = Incoming(spool)
    receive(incoming, {series: sources[2:]}, set())
    incoming.promote(0.0, 0.0)
    assert spool.claim() == series
    derive(spool, series)
    for number, path in enumerate(sorted(spool.folder("outgoing", series).glob("derived/*"))):
        ds = dcmread(path)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.{number}"
        ds.save_as(path)
    assert Sender(make_settings(tmp_path), spool, archive).step()
    new = {f"1.2.{number}" for number in range(3)}
    assert len(archive.deliveries) == 3 and len(new & set(archive.deliveries)) == 1


def test_a_corrected_image_replaces_the_one_before(tmp_path: Path) -> None:
    images, said, archive = tiny_series("corrected", 2), StringIO(), Archive()
    series = images[0].SeriesInstanceUID
    wrong = {series: [(str(ds.SOPInstanceUID), encoded(ds)) for ds in images]}
    for ds in images:
        ds.PatientName = "Right^Name"
    right = {series: [(str(ds.SOPInstanceUID), encoded(ds)) for ds in images]}
    with logging_to(said):
        live(tmp_path, archive, wrong, set())
        live(tmp_path, archive, right, set())
        live(tmp_path, archive, right, set())
    assert said.getvalue().count(" corrected series=") == 1
    assert set(archive.deliveries.values()) == {2}, "sent again once"
    assert {str(dcmread(path).PatientName) for path in tmp_path.glob("done/*/derived/*")} == {"Right^Name"}
    incoming = Incoming(Spool(tmp_path))
    with logging_to(said):  # while the series is still arriving
        receive(incoming, wrong, set())
        receive(incoming, right, set())
    assert said.getvalue().count(" replaced series=") == 2
    assert {str(dcmread(path).PatientName) for path in tmp_path.glob("incoming/*/source/*")} == {"Right^Name"}
