"""JPEG and JPEG-LS pixel data that other programs encoded: DCMTK's dcmcjpeg and CharLS."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless

from mri_denoise.io import read
from mri_denoise.io.dicom.discover import discover
from mri_denoise.io.dicom.pixels import decode, open_image
from mri_denoise.io.writing import write
from tests.io.derivation import DERIVATION
from tests.io.dicom.phantom import Phantom, series, set_stored

# 16 x 16 pixels of 12 bits: a pattern that leaps, and for lossy JPEG a smooth one
Y, X = np.mgrid[:16, :16]
PATTERN = (17 * X + 23 * Y) % 256 * 8
SMOOTH = (4 * X + 8 * Y) * 8
LOSSLESS_FIRST_ORDER = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/wwALEAAQABABAREA/8QAFgABAQEAAAAAAAAAAAAAAAAACAsQ/9oACAEBAAEAAMiEQiEQiEQi"
    "EQiEQiEQiEQiFwiEQiEQiEQiEQiEQiEQiIQ6IXCIRCIRCIRCIRCIRCIREIdEIhcIhEIhEIhEIhEIhEQh0QiEQiFwiEQiEQiEQiEQ"
    "iIQ6IRCIRCIXCIRCIRCIRCIREIdEIhEIhEIhcIhEIhEIhEQh0QiEQiEQiEQiFwiEQiEQiIQ6IRCIRCIRCIRCIXCIRCIREIdEIhEI"
    "hEIhEIhEIhcIhEQh0QiEQiEQiEQiEQiEQiFwiIQ6IRCIRCIRCIRCIRCIRCIXEIdEIhEIhEIhEIhEIhEIhEIiFuiEQiEQiEQiEQiE"
    "QiEQiIQ6IXCIRCIRCIRCIRCIRCIREIdEIhcIhEIhEIhEIhEIhEIiEOiEQiFwiEQiEQiEQiEQiIQ6IRCIRCI////Z"
)
LOSSLESS = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/wwALEAAQABABAREA/8QAGAABAQEBAQAAAAAAAAAAAAAABwsIChD/2gAIAQEABgAA9ojRGiNE"
    "aI0RojRGiNEaI0RojRGiNcLi4uLi4uLi4uLi4uLkFvhb1wuLi4uLi4uLi4uLi5BbouLmuFxcXFxcXFxcXFyC3wt0XFxc1wuLi4uL"
    "i4uLi5BbouLi4uLmuFxcXFxcXFxcgt0XFxcXFxc1wuLi4uLi5Bb4W6Li4uLi4uLmuFxcXFxcgt0XFxcXFxcXFxc1wuLi4uQW6Li4"
    "uLi4uLi4uLmuFxcgt8LdFxcXFxcXFxcXFxc1wuQW6Li4uLi4uLi4uLi4uLmuILdFxcXFxcXFxcXFxcXFxchb0XFxcXFxcXFxcXFx"
    "cXILfC3rhcXFxcXFxcXFxcXFyC3RcXNcLi4uLi4uLi4uLi5BbouLi5rhcXFxcXFxcXFyC3wt0XFxcXP//9k="
)
EXTENDED = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMU"
    "FRUVDA8XGBYUGBIUFRT/wQALDAAQABABAREA/8QAFQABAQAAAAAAAAAAAAAAAAAACg3/xAAbEAAABwEAAAAAAAAAAAAAAAAACQom"
    "NUNS4f/aAAgBAQAAPwCcVFtpuItrZo4FVFtpuItrZo4FVltpuItrZo4FVltpuItrZo4P///Z"
)
JPEG_LS = (
    "/9j/9wALDAAQABABAREA/9oACAEBAAAAAIJ4TyNCeRpFkSQ5CkGQL/fr7fIOAUCOIwiiIIYhCCIB/Px9PgAAAACJgKx9vp8vh7vZ"
    "6vR5vJ4vAAAAAAD3eDgFBPu52ux1up0uhzuZygABN4B3cojko43E4XA3283W42w3ctm02WwIxDtZqtRptJotBnndi1ZzNZjLEV9M"
    "lkMdjMViAABeYFoxGGwmCwBEd6+Xq8Xa6O6lmuVwt1stVosxDcSxWCvVx3QslarFWqlS0M7MIRVZGMAAAAAu4Fio1GolCoVAn0+n"
    "hBZydO5lgnE4m02tLSysrKwriARjuRXqqopqakpKSioqCgoH86CVyenp6cnJycmpqampgAAAABzwK1NTU1NTExMS0tLS0o7gVh+e"
    "klJSUlJSUlJSUlJO3lWkn15SVKlSpUqVKkAAAAAD/ZBVJSUfAP/Z"
)
JPEG_LS_NEAR = (
    "/9j/9wALDAAQABABAREA/9oACAEBAAMAAIqXKlypVKlSo0qNGjRihgsWTJkyRMkSJEiQAAEsOWLJiRIkSJAiQIEAAAAAASFCy75B"
    "8g+++8+8AABXBp8WVeeedededdEiaddcFk3HHHHHG2xImm222iZFtppppoAADWGmmWmWSZBllhlgSJllhdhhdcm8uuusJA0susss"
    "qsqTcWVAAA/jKqqqqiqiqhNxQSJlRRRRNRRNRNQkUJEyta1qWpalLUSEUZUpalKUlSlKAAAAAAVhlSlJUpSVJUkSBgkQpKUqSlSU"
    "pEeZSSIUlKkpSpIAAAAABkSMIqIg/9k="
)


@pytest.mark.parametrize(
    ("syntax", "stream", "pixels", "error"),
    [
        (JPEGLosslessSV1, LOSSLESS_FIRST_ORDER, PATTERN, 0),
        (JPEGLossless, LOSSLESS, PATTERN, 0),
        (JPEGExtended12Bit, EXTENDED, SMOOTH, 2),
        (JPEGLSLossless, JPEG_LS, PATTERN, 0),
        (JPEGLSNearLossless, JPEG_LS_NEAR, PATTERN, 3),
    ],
)
def test_decoded_pixels(tmp_path: Path, syntax: str, stream: str, pixels: np.ndarray, error: int) -> None:
    path = compressed(syntax, stream, pixels, tmp_path)
    found = decode(open_image(path), path).astype(int)
    assert np.abs(found - pixels).max() <= error


@pytest.mark.parametrize(
    ("syntax", "stream", "method"),
    [(JPEGExtended12Bit, EXTENDED, "ISO_10918_1"), (JPEGLSNearLossless, JPEG_LS_NEAR, "ISO_14495_1")],
)
def test_lossy_compression_is_not_forgotten_when_pixels_are_unpacked(
    tmp_path: Path, syntax: str, stream: str, method: str
) -> None:
    path = compressed(syntax, stream, SMOOTH, tmp_path)
    assert "LossyImageCompression" not in dcmread(path)
    (case,), _ = discover([path], tmp_path)
    (result,) = write(case, read(case).array, tmp_path / "out", DERIVATION)
    ds = dcmread(result)
    assert ds.LossyImageCompression == "01" and ds.LossyImageCompressionMethod == method
    assert float(ds.LossyImageCompressionRatio) == pytest.approx(16 * 16 * 2 / len(dcmread(path).PixelData), rel=0.01)


def compressed(syntax: str, stream: str, pixels: np.ndarray, folder: Path) -> Path:
    (ds,) = series(Phantom(slices=1))
    set_stored(ds, pixels)
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = encapsulate([base64.b64decode(stream)])
    ds["PixelData"].VR = "OB"
    ds.save_as(folder / "a.dcm", enforce_file_format=True)
    return folder / "a.dcm"
