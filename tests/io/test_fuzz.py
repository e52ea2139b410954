"""Damaged files of every format: one line, no hang, no more memory than the image is worth."""

from __future__ import annotations

import base64
import io
import random
import time
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from mri_denoise.errors import InputError
from mri_denoise.io import discover, read
from tests.io.dicom.frames_phantom import enhanced, frames, mosaic
from tests.io.dicom.phantom import Phantom, series, set_stored
from tests.io.dicom.test_jpeg import EXTENDED, JPEG_LS, LOSSLESS_FIRST_ORDER, PATTERN, SMOOTH

SECONDS = 10.0
MIB = 1 << 20
SPARE = 48 * MIB  # what libraries take whatever the image: tables, buffers of packers, modules that are loaded
TOTAL = 5000


def nifti(ending: str) -> bytes:
    image = nib.Nifti1Image(np.arange(16 * 16 * 8, dtype=np.int16).reshape(16, 16, 8), np.eye(4))
    made = nib.MGHImage.from_image(image) if ending == ".mgh" else image
    raw: bytes = made.to_bytes()
    return raw


def picture(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray((np.arange(32 * 32) % 251).astype(np.uint8).reshape(32, 32)).save(stream, kind)
    return stream.getvalue()


def dicom(syntax: str = "", stream: str = "", pixels: np.ndarray = PATTERN) -> bytes:
    (ds,) = series(Phantom(slices=1))
    set_stored(ds, pixels)
    if stream:
        ds.file_meta.TransferSyntaxUID = syntax
        ds.PixelData = encapsulate([base64.b64decode(stream)])
        ds["PixelData"].VR = "OB"
    elif syntax in (JPEG2000Lossless, RLELossless):
        set_stored(ds, np.tile(pixels, (4, 4)))
        ds.compress(syntax, generate_instance_uid=False)
    elif syntax:
        ds.file_meta.TransferSyntaxUID = syntax
    return saved(ds, big=syntax == ExplicitVRBigEndian)


def saved(ds: object, *, big: bool = False) -> bytes:
    stream = io.BytesIO()
    if big:
        ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()  # type: ignore[attr-defined]
    ds.save_as(stream, enforce_file_format=True, little_endian=not big or None)  # type: ignore[attr-defined]
    return stream.getvalue()


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/IM1", dicom())
        archive.writestr("b.nii", nifti(".nii"))
    return stream.getvalue()


SEEDS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "nifti": (".nii", lambda: nifti(".nii")),
    "mgh": (".mgh", lambda: nifti(".mgh")),
    "png": (".png", lambda: picture("PNG")),
    "jpeg": (".jpg", lambda: picture("JPEG")),
    "tiff": (".tif", lambda: picture("TIFF")),
    "bmp": (".bmp", lambda: picture("BMP")),
    "zip": (".zip", zipped),
    "dicom": ("", dicom),
    "dicom implicit": ("", lambda: dicom(ImplicitVRLittleEndian)),
    "dicom big endian": ("", lambda: dicom(ExplicitVRBigEndian)),
    "dicom rle": ("", lambda: dicom(RLELossless)),
    "dicom jpeg 2000": ("", lambda: dicom(JPEG2000Lossless)),
    "dicom jpeg-ls": ("", lambda: dicom(JPEGLSLossless, JPEG_LS)),
    "dicom jpeg lossless": ("", lambda: dicom(JPEGLosslessSV1, LOSSLESS_FIRST_ORDER)),
    "dicom jpeg extended": ("", lambda: dicom(JPEGExtended12Bit, EXTENDED, SMOOTH)),
    "dicom enhanced": ("", lambda: saved(enhanced(frames()))),
    "dicom mosaic": ("", lambda: saved(mosaic(np.ones((7, 10, 12), np.uint16)))),
}


def mutated(raw: bytes, rng: random.Random) -> bytes:
    """Bytes changed at random places, most near the beginning, where headers are, or cut off or doubled."""
    found = bytearray(raw)
    for _ in range(rng.choice([1, 2, 4, 16, 64])):
        end = len(found) if rng.random() < 0.4 else min(len(found), 400)
        found[rng.randrange(end)] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
    if rng.random() < 0.1:
        del found[rng.randrange(len(found)) :]
    if rng.random() < 0.05:
        found += found[rng.randrange(len(found) or 1) :]
    return bytes(found)


def peak_and_seconds(path: Path) -> tuple[int, float]:
    """Find and read the images of a file; the most memory above four times its voxels, and the processor's time."""
    tracemalloc.reset_peak()
    before, start = tracemalloc.get_traced_memory()[0], time.process_time()
    honest = 0
    try:
        cases, _ = discover(path)
        for case in cases:
            try:
                honest = max(honest, read(case).array.nbytes)
            except InputError as error:
                assert "\n" not in str(error)
    except InputError as error:
        assert "\n" not in str(error) and "Traceback" not in str(error)
    return tracemalloc.get_traced_memory()[1] - before - 4 * honest, time.process_time() - start


def fuzz(kind: str, folder: Path, seeds: range) -> None:
    ending, make = SEEDS[kind]
    raw = make()
    path = folder / f"image{ending}"
    path.write_bytes(raw)
    for case in discover(path)[0]:
        read(case)  # loads what the format needs
    tracemalloc.start()
    try:
        for seed in seeds:
            path.write_bytes(mutated(raw, random.Random(f"{kind} {seed}")))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                peak, seconds = peak_and_seconds(path)
            assert seconds < SECONDS, f"{kind}, seed {seed}: {seconds:.1f} s"
            assert peak < SPARE + 4 * len(raw), f"{kind}, seed {seed}: {peak / MIB:.0f} MiB"
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", SEEDS)
def test_a_few_damaged_files_of_each_kind(tmp_path: Path, kind: str) -> None:
    fuzz(kind, tmp_path, range(8))


@pytest.mark.slow
@pytest.mark.parametrize("kind", SEEDS)
def test_many_damaged_files_of_each_kind(tmp_path: Path, kind: str) -> None:
    fuzz(kind, tmp_path, range(8, 8 + TOTAL // len(SEEDS) + 1))
