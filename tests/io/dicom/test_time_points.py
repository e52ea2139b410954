"""Time points at repeated positions are never mixed; where nothing tells them apart, none is made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from mri_denoise.io.dicom.discover import discover
from mri_denoise.io.dicom.instance import Instance
from mri_denoise.io.dicom.time_points import divide_by_order
from tests.io.dicom.phantom import AXIAL, Phantom, save, series


def instance(number: int | None, place: int, time: int, **more: object) -> Instance:
    """A slice whose path tells its true time point."""
    facts: dict[str, object] = {
        "path": Path(f"{time}/{place}"),
        "plane": 0,
        "sop_uid": f"1.{time}.{place}",
        "series": ("p", "s", "u"),
        "series_number": 1,
        "description": "",
        "shape": (4, 4),
        "divider": (),
        "moment": (),
        "orientation": AXIAL,
        "position": (0.0, 0.0, 3.0 * place),
        "spacing": (1.0, 1.0),
        "scale": None,
        "thickness": 3.0,
        "number": number,
        "acquisition": 1,
        "timing": ("",) * 6,
        "what": "",
    }
    return Instance(**{**facts, **more})  # type: ignore[arg-type]


def truth(volumes: list[list[Instance]] | None) -> list[set[str]]:
    """The true time points of the images in each volume."""
    assert volumes is not None
    return [{one.path.parts[0] for one in volume} for volume in volumes]


@given(
    slices=st.integers(2, 7),
    times=st.integers(2, 7),
    slices_first=st.booleans(),
    start=st.integers(-3, 900),
    interleaved=st.booleans(),
    data=st.data(),
)
def test_any_two_counters_are_told_apart_even_where_an_image_is_missing(
    slices: int, times: int, slices_first: bool, start: int, interleaved: bool, data: st.DataObject
) -> None:
    order = [*range(0, slices, 2), *range(1, slices, 2)] if interleaved else list(range(slices))
    made = [
        instance(start + (t * slices + order.index(k) if slices_first else order.index(k) * times + t), k, t)
        for t in range(times)
        for k in range(slices)
    ]
    inside = [k for k, one in enumerate(made) if min(o.number or 0 for o in made) < (one.number or 0)]
    missing = data.draw(st.sampled_from([None, *inside]))
    kept = [one for k, one in enumerate(made) if k != missing]
    volumes = divide_by_order(data.draw(st.permutations(kept)))
    assert truth(volumes) == [{str(t)} for t in range(times)]


@given(st.permutations(range(12)))
def test_volumes_of_random_numbers_hold_each_place_once(numbers: list[int]) -> None:
    group = [instance(number, k % 4, k // 4) for k, number in enumerate(numbers)]
    for volume in divide_by_order(group) or []:
        places = [one.position for one in volume]
        assert len(set(places)) == len(places)


def test_gaps_in_the_numbers_do_not_matter() -> None:
    group = [instance(1000 * t + 7 * k, k, t) for t in range(3) for k in range(5)]
    assert truth(divide_by_order(group)) == [{"0"}, {"1"}, {"2"}]
    group = [instance(1000 * k + 7 * t, k, t) for t in range(2) for k in range(5)]
    assert truth(divide_by_order(group)) == [{"0"}, {"1"}]


def test_acquisition_time_of_each_slice_serves_where_numbers_are_random() -> None:
    numbers = np.random.default_rng(3).permutation(12).tolist()
    group = [
        instance(numbers[6 * t + k], k, t, timing=("",) * 5 + (f"1011{20 + 4 * t}.{k}",))
        for t in range(2)
        for k in range(6)
    ]
    assert truth(divide_by_order(group)) == [{"0"}, {"1"}]


def repeats(slices: int = 5) -> list[list[Dataset]]:
    made = [series(Phantom(slices=slices)) for _ in range(2)]
    for t, point in enumerate(made):
        for k, ds in enumerate(point):
            ds.SOPInstanceUID = generate_uid(entropy_srcs=[str(t), str(k)])
            ds.InstanceNumber = 2 * k + t + 1
    return made


@pytest.mark.parametrize("times", ["", "one of each slice"])
def test_two_repeats_of_which_time_runs_faster(tmp_path: Path, times: str) -> None:
    points = repeats()
    for t, point in enumerate(points):
        for k, ds in enumerate(point):
            ds.AcquisitionTime = f"1011{20 + 4 * t}.{k}" if times else "101112"
    paths = [save(point, tmp_path) for point in points]
    cases, _ = discover(sorted(tmp_path.iterdir()), tmp_path)
    assert [list(case.sources) for case in cases] == paths
    assert all(case.details.contiguous for case in cases)


def test_acquisition_numbers_that_count_images_do_not_tear_repeats(tmp_path: Path) -> None:
    points = repeats()
    for t, point in enumerate(points):
        for k, ds in enumerate(point):
            ds.AcquisitionNumber, ds.InstanceNumber = 1 + 5 * t + k, None
    paths = [save(point, tmp_path) for point in points]
    cases, _ = discover(sorted(tmp_path.iterdir()), tmp_path)
    assert [list(case.sources) for case in cases] == paths


def test_images_that_nothing_tells_apart_stay_alone_and_say_so(tmp_path: Path) -> None:
    for point in repeats(slices=3):
        for ds in point:
            ds.InstanceNumber = 1
        save(point, tmp_path)
    cases, _ = discover(sorted(tmp_path.iterdir()), tmp_path)
    assert len(cases) == 6
    assert all("nothing tells time points apart" in case.notes[0] for case in cases)
