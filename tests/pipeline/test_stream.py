"""The pipeline: what is done beforehand and behind, in which order, and that it changes nothing."""

from __future__ import annotations

import gzip
import itertools
import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from mri_denoise.bundles.registry import Bundle, Model, find_bundle
from mri_denoise.denoiser import Denoised, Denoiser, Measured
from mri_denoise.errors import OutputError
from mri_denoise.io import discover
from mri_denoise.pipeline.batch import denoise_cases
from mri_denoise.pipeline.outcome import Listener, Outcome
from mri_denoise.pipeline.stream import denoise_case, denoise_stream
from mri_denoise.report.folder import report_record
from mri_denoise.report.scan_page import write_scan_page
from mri_denoise.runtime import ToldToEnd, ends_when
from mri_denoise.settings import Settings
from mri_denoise.volume import Volume
from tests.commands import make_bundle
from tests.threads import pytorch_threads

SHAPE = (24, 20, 6)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return find_bundle(str(make_bundle("hmad_rician", tmp_path_factory.mktemp("bundle") / "mine")))


def save(path: Path, seed: int, *more: int) -> Path:
    array = np.random.default_rng(seed).rayleigh(50, (*SHAPE, *more)).astype(np.int16)
    nib.save(nib.Nifti1Image(array, np.diag([1.0, 1, 4, 1])), path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two volumes, one that is cut off between them, and a series."""
    source = tmp_path / "in"
    source.mkdir()
    for seed, name in enumerate(("a.nii.gz", "b.nii", "c.nii.gz")):
        save(source / name, seed)
    save(source / "d.nii.gz", 9, 3)
    whole = (source / "b.nii").read_bytes()
    (source / "b.nii").write_bytes(whole[: len(whole) // 2])
    return source


@dataclass
class Watched:
    """A denoiser that notes in which thread which of its steps runs, and how many images it has begun to measure."""

    inner: Denoiser
    events: list[tuple[str, str]] = field(default_factory=list)
    begun: threading.Condition = field(default_factory=threading.Condition)

    @property
    def model(self) -> Model:
        return self.inner.model

    def measure(self, volume: Volume, settings: Settings, part: tuple[int, int, int] | None = None) -> Measured:
        self._note("measure")
        return self.inner.measure(volume, settings, part)

    def finish(self, measured: Measured, *, with_raw: bool = False) -> Denoised:
        count = sum(name == "finish" for name, _ in self.events)
        with self.begun:  # the next one is measured while nobody asks for it
            assert self.begun.wait_for(lambda: sum(n == "measure" for n, _ in self.events) >= min(count + 2, 3), 20)
        self._note("finish")
        return self.inner.finish(measured, with_raw=with_raw)

    def _note(self, name: str) -> None:
        with self.begun:
            self.events.append((name, threading.current_thread().name.partition("_")[0]))
            self.begun.notify_all()


def test_the_next_image_is_read_and_measured_while_the_network_is_at_work(tmp_path: Path, bundle: Bundle) -> None:
    cases = [discover(save(tmp_path / f"{n}.nii", n))[0][0] for n in range(3)]
    watched = Watched(Denoiser(bundle, device="cpu"))
    outcomes: list[Outcome] = []
    denoise_stream(watched, cases, tmp_path / "out", Settings(), outcomes.append)  # type: ignore[arg-type]
    assert [outcome.error for outcome in outcomes] == [None] * 3
    assert {name for name, thread in watched.events if thread == "files"} == {"measure"}
    assert [name for name, thread in watched.events if thread != "files"] == ["finish"] * 3


def test_the_pipeline_gives_what_one_case_after_another_gives(tmp_path: Path, folder: Path, bundle: Bundle) -> None:
    cases, _ = discover(folder)
    settings = Settings(device="cpu", extras=("residual", "noise-map"))
    reported: list[Outcome] = []
    outcomes = denoise_cases(bundle, cases, tmp_path / "together", settings, listener=Listener(report=reported.append))
    assert reported == outcomes
    done = [(outcome.case.label, outcome.error is None) for outcome in outcomes]
    assert done == [("a.nii.gz", True), ("b.nii", False), ("c.nii.gz", True), ("d.nii.gz", True)]
    assert [outcome.record and outcome.record.case for outcome in outcomes] == [
        "a.nii.gz",
        None,
        "c.nii.gz",
        "d.nii.gz",
    ]
    assert "truncated" in str(outcomes[1].error)
    denoiser = Denoiser(bundle, device="cpu")
    for case in cases:
        if case.label != "b.nii":
            denoise_case(denoiser, case, tmp_path / "alone", settings)
    together, alone = (sorted(p for p in (tmp_path / n).iterdir()) for n in ("together", "alone"))
    assert [p.name for p in together] == [p.name for p in alone]
    for one, two in zip(together, alone, strict=True):
        if one.suffix == ".json":
            first, second = (json.loads(p.read_text()) for p in (one, two))
            assert first["sigma"] == second["sigma"] and first["inputs"] == second["inputs"]
            assert 0 < first["seconds"] < 60
        else:
            assert one.read_bytes() == two.read_bytes()


def test_what_cannot_be_written_fails_its_case_alone(tmp_path: Path, folder: Path, bundle: Bundle) -> None:
    (tmp_path / "out" / "a.nii.gz").mkdir(parents=True)  # a folder in the result's place
    cases, _ = discover(folder)
    outcomes = denoise_cases(bundle, cases, tmp_path / "out", Settings(device="cpu"))
    assert [outcome.case.label for outcome in outcomes if outcome.error] == ["a.nii.gz", "b.nii"]
    assert "cannot be written" in str(outcomes[0].error)
    assert [outcome.record.case for outcome in outcomes if outcome.record] == ["c.nii.gz", "d.nii.gz"]
    assert not [p for p in (tmp_path / "out").iterdir() if p.name.startswith(".")]


def test_a_result_that_would_replace_its_input_leaves_the_record_beside_it(tmp_path: Path, bundle: Bundle) -> None:
    source, record = save(tmp_path / "a.nii.gz", 0), tmp_path / "a.mri-denoise.json"
    record.write_text("{}")  # as `simulate` writes it
    before = source.read_bytes()
    with pytest.raises(OutputError, match="is an input and is not overwritten"):
        denoise_case(Denoiser(bundle), discover(source)[0][0], tmp_path, Settings(overwrite=True))
    assert record.read_text() == "{}" and source.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [record, source]


def test_an_error_in_the_callback_ends_the_run(tmp_path: Path, folder: Path, bundle: Bundle) -> None:
    def report(outcome: Outcome) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        denoise_cases(
            bundle, discover(folder)[0], tmp_path / "out", Settings(device="cpu"), listener=Listener(report=report)
        )
    assert not [t for t in threading.enumerate() if t.name.startswith("files")]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_run_that_is_told_to_end_stops_between_two_steps(tmp_path: Path, bundle: Bundle, threads: int) -> None:
    """In a worker of a cluster, where no signal comes, the run asks: before, within and after the network."""
    case, denoiser, outcomes = discover(save(tmp_path / "a.nii", 0))[0][0], Denoiser(bundle, device="cpu"), []
    with pytorch_threads(threads):
        for patience in (0, 3, 5, 8):
            asked = itertools.count()
            with ends_when(lambda: next(asked) >= patience), pytest.raises(ToldToEnd):  # noqa: B023
                denoise_stream(denoiser, [case], tmp_path / "out", Settings(), outcomes.append)
            assert not outcomes and not list((tmp_path / "out").rglob("*"))
        assert denoise_case(denoiser, case, tmp_path / "out", Settings()).case == "a.nii"  # nothing of it lasts


def test_a_series_that_fails_in_its_middle_leaves_nothing_and_the_rest_goes_on(
    tmp_path: Path, folder: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mri_denoise.io.chunks.CHUNK_VOXELS", 1)
    series = folder / "d.nii.gz"
    packed = gzip.decompress(series.read_bytes())
    series.write_bytes(gzip.compress(packed[: len(packed) - 2 * 24 * 20 * 6]))  # the last of three volumes is missing
    (folder / "b.nii").unlink()
    save(folder / "e.nii", 5)
    outcomes = denoise_cases(bundle, discover(folder)[0], tmp_path / "out", Settings(device="cpu"))
    assert [outcome.case.label for outcome in outcomes if outcome.error] == ["d.nii.gz"]
    names = {path.name.partition(".")[0] for path in (tmp_path / "out").iterdir()}
    assert names == {"a", "c", "e"}


def test_nothing_has_its_name_while_the_page_is_made(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run that meets a result without its record takes it for somebody's file, and a page takes seconds."""
    seen: list[list[str]] = []

    def spy(*arguments: Any, **options: Any) -> object:
        seen.append([path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")])
        return write_scan_page(*arguments, **options)

    monkeypatch.setattr("mri_denoise.report.scan_page.write_scan_page", spy)
    (case,) = discover(save(tmp_path / "a.nii.gz", 0))[0]
    extras = ("residual", "noise-map", "report")
    for settings in (Settings(extras=extras, device="cpu"), Settings(extras=extras, device="cpu", overwrite=True)):
        denoise_case(Denoiser(bundle), case, tmp_path / "out", settings)
    names = ["a.mri-denoise.json", "a.nii.gz", "a_noise.nii.gz", "a_report.html", "a_residual.nii.gz"]
    assert [sorted(found) for found in seen] == [[], names]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert not report_record(tmp_path / "out" / names[0]).made, "the page is that of the record"
