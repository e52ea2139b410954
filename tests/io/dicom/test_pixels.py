"""Stored values to real-world values and back."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL

from mri_denoise.io.dicom.pixels import (
    PixelFormat,
    decode,
    open_image,
    pixel_format,
    real_values,
    replaced,
    stored_values,
)
from tests.io.dicom.phantom import Phantom, series, set_stored

SHAPE = (4, 5)
# 16 x 16 pixels, (17 x + 23 y) mod 256 times 8, as high-throughput JPEG 2000 (OpenHTJ2K)
HIGH_THROUGHPUT = base64.b64decode(
    "/0//UQApQAAAAAAQAAAAEAAAAAAAAAAAAAAAEAAAABAAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB/1wAEyCI"
    "kJCQkJCQkJCQkJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAVsAAf+TwAAmpfgFB3QAAMAAEsAAEsAAEwCg"
    "Agd0AEQCB3QAnfIDh3QAwAAVMAAFVAABVCpURbb7AIKUALeRVCQa+wDBlAAPMF2ztIoA4pQAwAAW1AABbcAAFuB/ZsT8NLx9iMOb"
    "TydSSxcLFBn+KOxIECBXAL/IwJEFpnVWLR/ozDjUphmRWmQNKlnGMDBXAP9xDD7ys5t+/ZO/+8O9P/CHd73jxwJ2iEAgVwDAAC7i"
    "AAF3MAALqv9++/e/Qw7564//ev9vf38OHf7z/1//fu+PP/8OOvzn3z/86f8fhw7INEQyB3DJhdg/AxhAG1AB/3CPv/7xT3/48+d/"
    "/3rHv/7zz5//eg9/+Ie/bt26deu2fzza/0f869bIAEKrpQWJe+oZDZBgE1AB/3u//3zPf/7jP/97P/97/3z/b/9/+/9//cowizYg"
    "XEFOuYE0NkGA/1EB/9k="
)


def layout(bits: int, signed: bool, slope: float = 1.0, intercept: float = 0.0, **more: object) -> PixelFormat:
    return PixelFormat(
        shape=SHAPE,
        allocated=16,
        stored=bits,
        signed=signed,
        slope=slope,
        intercept=intercept,
        padding=more.get("padding"),  # type: ignore[arg-type]
    )


@st.composite
def formats(draw: st.DrawFn) -> PixelFormat:
    slope = draw(st.floats(1e-4, 1e4)) * draw(st.sampled_from([1, -1]))
    # An offset far beyond the range of the values cannot come back through float32.
    intercept = draw(st.floats(-1000, 1000)) * abs(slope)
    return layout(draw(st.sampled_from([8, 10, 12, 15, 16])), draw(st.booleans()), slope, intercept)


@given(formats(), st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_unchanged_values_copy_every_bit_and_new_values_come_back(form: PixelFormat, seed: int) -> None:
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 2**16, SHAPE).astype(np.uint16)
    real = real_values(stored_values(words, form), form)
    np.testing.assert_array_equal(replaced(words, form, real), words)
    low, high = form.limits
    new = rng.integers(low, high + 1, SHAPE)
    written = replaced(words, form, real_values(new, form))
    np.testing.assert_array_equal(stored_values(written, form), new)
    mask = np.uint16((1 << form.stored) - 1)
    kept = written & ~mask == words & ~mask
    if not kept.all():  # only where the bits above hold nothing but the sign
        np.testing.assert_array_equal(stored_values(words, form).astype(np.uint16), words)


def test_values_are_rounded_and_clipped_to_the_stored_bits() -> None:
    form = layout(12, signed=True, slope=0.5)
    words = np.zeros(SHAPE, np.uint16)
    array = np.full(SHAPE, 7.3, np.float32)
    array[0, :3] = 1e9, -1e9, np.nan
    written = stored_values(replaced(words, form, array), form)
    assert written[0, :3].tolist() == [2047, -2048, 0]
    assert (written[1:] == 15).all()


def test_padding_stays_as_stored() -> None:
    form = layout(16, signed=True, padding=(-32768, -32000))
    words = np.array([[-32768, -32000, -31999, 5]], np.int16).view(np.uint16)
    array = np.full((1, 4), 9.0, np.float32)
    assert stored_values(replaced(words, form, array), form).tolist() == [[-32768, -32000, 9, 9]]


def test_a_range_of_padding_that_holds_the_whole_slice_is_none() -> None:
    form = layout(12, signed=False, padding=(0, 4095))  # else nothing of the result would be written
    words = np.array([[0, 40, 1067]], np.uint16)
    assert stored_values(replaced(words, form, np.array([[0, 44, 1060]], np.float32)), form).tolist() == [[0, 44, 1060]]


@pytest.mark.parametrize(("signed", "value", "expected"), [(0, 0, 0), (1, 63536, -2000), (1, -2000, -2000)])
def test_padding_value_with_the_vr_of_the_wrong_sign(signed: int, value: int, expected: int) -> None:
    ds = Dataset()
    ds.Rows = ds.Columns = 4
    ds.BitsAllocated = ds.BitsStored = 16
    ds.PixelRepresentation = signed
    ds.add_new(0x00280120, "SS" if value < 0 else "US", value)
    assert pixel_format(ds).padding == (expected, expected)


@pytest.mark.parametrize("syntax", [HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K])
def test_high_throughput_jpeg_2000(tmp_path: Path, syntax: str) -> None:
    y, x = np.mgrid[:16, :16]
    expected = (17 * x + 23 * y) % 256 * 8
    (ds,) = series(Phantom(slices=1))
    set_stored(ds, expected)
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = encapsulate([HIGH_THROUGHPUT])
    ds["PixelData"].VR = "OB"
    ds.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    np.testing.assert_array_equal(decode(open_image(tmp_path / "a.dcm"), tmp_path / "a.dcm"), expected)
