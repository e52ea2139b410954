"""Volumes in a page, unpacked again as its script does."""

from __future__ import annotations

import base64
import gzip

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mri_denoise.report.embed import Embedded, embed, embed_later


def unpack(found: Embedded) -> tuple[np.ndarray, np.ndarray]:
    """The result and what was removed, in the file's unit."""
    meta = found.meta
    shape = meta["shape"]
    after, removed = (
        np.frombuffer(gzip.decompress(base64.b64decode(text)), dtype=np.uint8).reshape(shape, order="F")
        for text in (found.after, found.removed)
    )
    levels = np.cumsum(after, axis=0, dtype=np.uint8)
    values = meta["low"] + levels / 255 * (meta["high"] - meta["low"])
    return values, (removed.astype(float) - meta["steps"] - 1) / meta["steps"] * meta["span"]


shapes = st.tuples(*[st.integers(1, 9)] * 3)


@given(shape=shapes, low=st.floats(-50, 50), sigma=st.floats(0.5, 20), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_what_a_page_holds_is_the_images(shape: tuple[int, int, int], low: float, sigma: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    after = rng.uniform(low, low + 1000, shape).astype(np.float32)
    before = after + rng.normal(0, sigma, shape).astype(np.float32)
    found = embed(before, after, np.ones(shape, bool), None, scale=sigma)
    values, removed = unpack(found)
    meta = found.meta
    step = (meta["high"] - meta["low"]) / 255
    np.testing.assert_allclose(values, after.clip(meta["low"], meta["high"]), atol=step / 2 + 0.01)
    span = 5 * sigma
    np.testing.assert_allclose(removed, (before - after).clip(-span, span), atol=span / 31 / 2 + 0.01)
    assert (meta["origin"], meta["step"], found.note, found.noise) == ([0, 0, 0], [1, 1, 1], "", "")


def test_what_is_too_large_is_cropped_then_thinned_and_says_so() -> None:
    rng = np.random.default_rng(0)
    after = rng.uniform(0, 1000, (40, 44, 30)).astype(np.float32)
    before = after + rng.normal(0, 10, after.shape).astype(np.float32)
    tissue = np.zeros(after.shape, bool)
    tissue[15:25, 14:30, 10:20] = True
    cropped = embed(before, after, tissue, None, scale=10.0, budget=45_000)
    assert cropped.meta["origin"] == [9, 8, 4] and cropped.meta["step"] == [1, 1, 1] and "cropped" in cropped.note
    np.testing.assert_allclose(unpack(cropped)[0], after[9:31, 8:36, 4:26], atol=4)
    thinned = embed(before, after, tissue, after, scale=10.0, budget=9_000)
    x, y, z = thinned.meta["step"]
    assert x * y * z > 1 and f"{x} x {y} x {z} voxels" in thinned.note
    assert sum(len(base64.b64decode(t)) for t in (thinned.after, thinned.removed, thinned.noise)) <= 9_000
    np.testing.assert_allclose(unpack(thinned)[0], after[9:31:x, 8:36:y, 4:26:z], atol=4)


def test_later_volumes_fit_into_what_the_first_one_leaves() -> None:
    rng = np.random.default_rng(0)
    after = rng.uniform(0, 1000, (5, 12, 11, 10)).astype(np.float32)
    before = after + rng.normal(0, 10, after.shape).astype(np.float32)
    first = embed(before[0], after[0], np.ones(after.shape[1:], bool), None, scale=10.0)
    later = {number: (before[number], after[number], None) for number in range(1, 5)}
    for room, expected in ((9, [1, 2, 3, 4]), (3.2, [2, 4]), (2.2, [4]), (1.1, [])):
        found = embed_later(first, later, scale=10.0, budget=int(room * first.size))
        assert list(found) == expected
        for number, volume in found.items():
            np.testing.assert_allclose(unpack(volume)[0], after[number], atol=4)
    cropped = embed(before[0], after[0], np.ones(after.shape[1:], bool), None, scale=10.0, budget=900)
    assert cropped.note and embed_later(cropped, later, scale=10.0) == {}
