"""Compressed pixels: refused where they contradict their header; what crashes or swells costs its own image alone."""

from __future__ import annotations

import base64
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless

from mri_denoise.errors import InputError
from mri_denoise.io.dicom.codestream import read_codestream
from mri_denoise.io.dicom.decoder import Decoder, DecodingError
from mri_denoise.io.dicom.pixels import decode, open_image
from tests.io.dicom.phantom import Phantom, series, set_stored
from tests.io.dicom.test_jpeg import JPEG_LS, LOSSLESS_FIRST_ORDER


def pattern(size: int) -> np.ndarray:
    y, x = np.mgrid[:size, :size]
    values: np.ndarray = (17 * x + 23 * y) % 256 * 8
    return values


def with_stream(folder: Path, syntax: str, stream: bytes) -> Path:
    """A file whose header describes a square image of 12 bits, and a codestream that may say otherwise."""
    (ds,) = series(Phantom(slices=1))
    set_stored(ds, pattern(64 if syntax == JPEG2000Lossless else 16))
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = encapsulate([stream])
    ds["PixelData"].VR = "OB"
    ds.save_as(folder / "a.dcm", enforce_file_format=True)
    return folder / "a.dcm"


def jpeg2000(size: int = 64) -> bytes:
    (ds,) = series(Phantom(slices=1))
    set_stored(ds, pattern(size))
    ds.compress(JPEG2000Lossless, generate_instance_uid=False)
    stream: bytes = get_frame(ds.PixelData, 0, number_of_frames=1)
    return stream


def changed(stream: bytes, marker: bytes, offset: int, new: bytes) -> bytes:
    place = stream.index(marker) + offset
    return stream[:place] + new + stream[place + len(new) :]


@pytest.mark.parametrize(
    ("syntax", "offset", "new"),
    [
        (JPEGLSLossless, 5, struct.pack(">H", 4096)),  # rows
        (JPEGLSLossless, 7, struct.pack(">H", 8)),  # columns
        (JPEGLSLossless, 9, b"\3"),  # samples
        (JPEGLSLossless, 4, b"\x20"),  # bits
        (JPEGLosslessSV1, 5, struct.pack(">H", 65535)),
        (JPEGLosslessSV1, 9, b"\4"),
        (JPEG2000Lossless, 6, struct.pack(">I", 2**31)),  # width
        (JPEG2000Lossless, 10, struct.pack(">I", 17)),  # height
        (JPEG2000Lossless, 38, struct.pack(">H", 3)),
        (JPEG2000Lossless, 40, b"\x1f"),
        (JPEG2000Lossless, 41, b"\2"),  # subsampling
    ],
)
def test_a_codestream_that_contradicts_its_header_is_refused(
    tmp_path: Path, syntax: str, offset: int, new: bytes
) -> None:
    marker = {JPEGLSLossless: b"\xff\xf7", JPEGLosslessSV1: b"\xff\xc3", JPEG2000Lossless: b"\xff\x51"}[syntax]
    stream = {
        JPEGLSLossless: lambda: base64.b64decode(JPEG_LS),
        JPEGLosslessSV1: lambda: base64.b64decode(LOSSLESS_FIRST_ORDER),
        JPEG2000Lossless: lambda: jpeg2000(),
    }[syntax]()
    path = with_stream(tmp_path, syntax, changed(stream, marker, offset, new))
    with pytest.raises(InputError, match=r"its codestream has .* its header (16 x 16|64 x 64)"):
        decode(open_image(path), path)


@pytest.mark.parametrize(
    "stream", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\x4f\xff\x51\0", b"GIF89a", b"\xff\xd8\0\0"]
)
def test_no_codestream_is_one_line(stream: bytes) -> None:
    with pytest.raises(ValueError, match="compressed pixel data"):
        read_codestream(stream)


def test_the_header_of_a_codestream() -> None:
    found = read_codestream(jpeg2000(72))
    assert (found.rows, found.columns, found.samples, found.bits, found.whole) == (72, 72, 1, 12, True)
    assert read_codestream(base64.b64decode(LOSSLESS_FIRST_ORDER)).rows == 16


def test_a_decoder_that_dies_costs_one_image(tmp_path: Path) -> None:
    good = with_stream(tmp_path, JPEGLSLossless, base64.b64decode(JPEG_LS))
    decoder = Decoder()
    try:
        first = decoder.decode(good, 0, pixels=256, itemsize=2)
        assert decoder._process is not None
        decoder._process.kill()
        decoder._process.wait()
        np.testing.assert_array_equal(decoder.decode(good, 0, pixels=256, itemsize=2), first)
        with pytest.raises(DecodingError):
            decoder.decode(good, 7, pixels=256, itemsize=2)
        np.testing.assert_array_equal(decoder.decode(good, 0, pixels=256, itemsize=2), first)
    finally:
        decoder.close()


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are those of Linux")
def test_many_tiles_meet_the_limits(tmp_path: Path) -> None:
    (ds,) = series(Phantom(slices=1))
    set_stored(ds, pattern(1024))
    ds.compress(JPEG2000Lossless, generate_instance_uid=False)
    stream = get_frame(ds.PixelData, 0, number_of_frames=1)
    ds.PixelData = encapsulate([changed(stream, b"\xff\x51", 22, struct.pack(">II", 1, 1))])
    ds["PixelData"].VR = "OB"
    ds.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    start = time.monotonic()
    with pytest.raises(InputError, match="cannot be decoded"):
        decode(open_image(tmp_path / "a.dcm"), tmp_path / "a.dcm")
    assert time.monotonic() - start < 30


def test_the_decoder_ends_with_the_program(tmp_path: Path) -> None:
    path = with_stream(tmp_path, JPEGLSLossless, base64.b64decode(JPEG_LS))
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from mri_denoise.io.dicom import decoder\n"
        f"decoder.decode_apart(Path({str(path)!r}), 0, pixels=256, itemsize=2)\n"
        "print(decoder._decoder._process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    child = int(ended.stdout)
    for _ in range(100):
        if not _alive(child):
            return
        time.sleep(0.1)
    pytest.fail("the decoder outlives its program")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")


def test_pydicom_agrees_with_the_decoder(tmp_path: Path) -> None:
    path = with_stream(tmp_path, JPEG2000Lossless, jpeg2000())
    np.testing.assert_array_equal(decode(open_image(path), path), pydicom.dcmread(path).pixel_array)
