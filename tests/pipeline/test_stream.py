"""The pipeline: what is done beforehand and behind, in which order, and that it changes nothing."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from monai.transforms import Compose

from mri_denoise.bundles.registry import Bundle, find_bundle
from mri_denoise.errors import InputError
from mri_denoise.io import Case, discover
from mri_denoise.pipeline.batch import denoise
from mri_denoise.pipeline.stream import ReadAhead
from mri_denoise.pipeline.workflow import DenoiseWorkflow, Settings
from mri_denoise.transforms import EstimateNoised, LoadVolumed, ScaleIntensityRobustd
from tests.commands import make_bundle

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


class Slow(LoadVolumed):
    """Notes which case is read, and by which thread."""

    def __init__(self, cases: list[Case]) -> None:
        super().__init__("image", cases)
        self.seen: list[tuple[int, str]] = []
        self.begun = threading.Condition()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        with self.begun:
            self.seen.append((int(data["case"]), threading.current_thread().name))
            self.begun.notify_all()
        time.sleep(0.05)
        return super().__call__(data)

    def wait_for(self, count: int) -> bool:
        with self.begun:
            return self.begun.wait_for(lambda: len(self.seen) >= count, timeout=20)


def test_the_next_item_is_read_before_it_is_asked_for(tmp_path: Path) -> None:
    cases = [discover(save(tmp_path / f"{n}.nii", n))[0][0] for n in range(3)]
    load = Slow(cases)
    chain = Compose([load, EstimateNoised("image", 5), ScaleIntensityRobustd("image")])
    items = [{"case": n, "volumes": (0, 1, 1)} for n in range(3)]
    with ThreadPoolExecutor(1, thread_name_prefix="files") as background:
        ahead = ReadAhead(chain, background)
        ahead.plan(items)
        for n, item in enumerate(items):
            found = ahead(item)
            assert load.wait_for(min(n + 2, 3))  # while nobody asks for anything
            assert time.monotonic() - found["started"] >= 0.05  # what it took to read counts, too
            wanted = Compose([LoadVolumed("image", cases), ScaleIntensityRobustd("image")])(item)
            np.testing.assert_array_equal(found["image"], wanted["image"])
            np.testing.assert_array_equal(found["raw"], wanted["raw"])
            assert found["sigma"].tolist() == [5]
            back = chain.transforms[-1].inverse({"image": found["image"].clone()})["image"]
            np.testing.assert_allclose(back, found["raw"], rtol=1e-6)
    assert [number for number, _ in load.seen] == [0, 1, 2]
    assert {name.partition("_")[0] for _, name in load.seen} == {"files"}


def test_an_error_comes_when_its_item_is_asked_for(tmp_path: Path) -> None:
    good = discover(save(tmp_path / "good.nii", 0))[0][0]
    cases = [good, Case("nifti", (tmp_path / "none.nii",), Path("none.nii"), "none.nii"), good]
    items = [{"case": n, "volumes": (0, 1, 1)} for n in range(3)]
    with ThreadPoolExecutor(1) as background:
        ahead = ReadAhead(Compose([LoadVolumed("image", cases)]), background)
        ahead.plan(items)
        assert ahead(items[0])["image"].shape == (1, *SHAPE)
        with pytest.raises((InputError, RuntimeError)):
            ahead(items[1])
        assert ahead(items[2])["image"].shape == (1, *SHAPE)
        ahead.abandon()


def test_the_pipeline_gives_what_one_case_after_another_gives(tmp_path: Path, folder: Path, bundle: Bundle) -> None:
    cases, _ = discover(folder)
    settings = Settings(device="cpu", extras=("residual", "noise-map"))
    events: list[tuple[str, bool]] = []
    records, failed = denoise(
        bundle, cases, tmp_path / "together", settings, lambda c, record, error: events.append((c.label, error is None))
    )
    assert events == [("a.nii.gz", True), ("b.nii", False), ("c.nii.gz", True), ("d.nii.gz", True)]
    assert [r["case"] for r in records] == ["a.nii.gz", "c.nii.gz", "d.nii.gz"]
    assert [(c.label, "truncated" in why) for c, why in failed] == [("b.nii", True)]
    workflow = DenoiseWorkflow(bundle, cases, tmp_path / "alone", settings)
    for case in cases:
        if case.label != "b.nii":
            workflow.run(case)
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
    records, failed = denoise(bundle, cases, tmp_path / "out", Settings(device="cpu"))
    assert [case.label for case, _ in failed] == ["a.nii.gz", "b.nii"]
    assert "cannot be written" in failed[0][1]
    assert [r["case"] for r in records] == ["c.nii.gz", "d.nii.gz"]
    assert not [p for p in (tmp_path / "out").iterdir() if p.name.startswith(".")]


def test_an_error_in_the_callback_ends_the_run(tmp_path: Path, folder: Path, bundle: Bundle) -> None:
    def on_case(case: Case, record: dict[str, Any] | None, error: str | None) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        denoise(bundle, discover(folder)[0], tmp_path / "out", Settings(device="cpu"), on_case)
    assert not [t for t in threading.enumerate() if t.name.startswith("files")]
