"""Pictures: same format, depth and size, grey pixels, one line for what cannot be read."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mri_denoise.errors import InputError, OutputError
from mri_denoise.io import pictures
from mri_denoise.io.case import Case

HEIGHT, WIDTH = 13, 21
GENERATOR = np.random.default_rng(1)
EIGHT = GENERATOR.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
SIXTEEN = GENERATOR.integers(0, 65536, (HEIGHT, WIDTH), dtype=np.uint16)
COLOUR = GENERATOR.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def case_of(path: Path) -> Case:
    return Case(kind="picture", sources=(path,), output=Path(f"denoised_{path.name}"), label=path.name)


def save(path: Path, pixels: np.ndarray, mode: str | None = None, **options: object) -> Path:
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def pixels_of(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


def luma(colour: np.ndarray) -> np.ndarray:
    """ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B."""
    return colour[..., :3] @ np.array([0.299, 0.587, 0.114])


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.tiff"])
def test_eight_bit_grey(tmp_path: Path, name: str) -> None:
    source = save(tmp_path / name, EIGHT)
    volume = pictures.read(case_of(source))
    assert volume.array.shape == (1, HEIGHT, WIDTH, 1) and volume.array.dtype == np.float32
    assert volume.white_level == 255.0
    np.testing.assert_array_equal(volume.affine, np.eye(4))
    np.testing.assert_array_equal(volume.array[0, :, :, 0], EIGHT)
    out = pictures.write(case_of(source), volume.array, tmp_path / "sub" / f"denoised_{name}")
    assert out == [tmp_path / "sub" / f"denoised_{name}"]
    np.testing.assert_array_equal(pixels_of(out[0]), EIGHT)

    asked = volume.array * 2 - 100.4
    pictures.write(case_of(source), asked, out[0])
    with Image.open(out[0]) as result:
        assert result.mode == "L" and result.format == {".png": "PNG", ".bmp": "BMP"}.get(out[0].suffix, "TIFF")
        np.testing.assert_array_equal(np.array(result), np.clip(np.rint(asked[0, :, :, 0]), 0, 255))


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bit_grey(tmp_path: Path, name: str) -> None:
    source = save(tmp_path / name, SIXTEEN)
    volume = pictures.read(case_of(source))
    assert volume.white_level is None
    np.testing.assert_array_equal(volume.array[0, :, :, 0], SIXTEEN)
    (out,) = pictures.write(case_of(source), volume.array + 1000, tmp_path / f"out_{name}")
    with Image.open(out) as result:
        assert result.mode == "I;16"
        np.testing.assert_array_equal(np.array(result), np.minimum(SIXTEEN.astype(int) + 1000, 65535))
    with pytest.raises(OutputError, match="16"):
        pictures.write(case_of(source), volume.array, tmp_path / "out.jpg")
    assert not (tmp_path / "out.jpg").exists()


@pytest.mark.parametrize(("order", "photometric"), [("<", 1), (">", 1), ("<", 0)])
def test_sixteen_bit_tiff_of_either_order_and_polarity(tmp_path: Path, order: str, photometric: int) -> None:
    source = tmp_path / "in.tif"
    source.write_bytes(bare_tiff(SIXTEEN, order, photometric))
    array = pictures.read(case_of(source)).array[0, :, :, 0]
    np.testing.assert_array_equal(array, SIXTEEN if photometric else 65535 - SIXTEEN)


def bare_tiff(pixels: np.ndarray, order: str, photometric: int) -> bytes:
    """TIFF 6.0 with one strip, laid out by hand."""
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    bits = pixels.dtype.itemsize * 8
    height, width = pixels.shape
    entries = {
        256: width,
        257: height,
        258: bits,
        259: 1,
        262: photometric,
        273: 8,
        277: 1,
        278: height,
        279: len(data),
    }
    directory = struct.pack(f"{order}H", len(entries))
    for tag, value in entries.items():
        directory += struct.pack(f"{order}HHII", tag, 4, 1, value)
    mark = b"II" if order == "<" else b"MM"
    return mark + struct.pack(f"{order}HI", 42, 8 + len(data)) + data + directory + bytes(4)


def test_colour_becomes_luma(tmp_path: Path) -> None:
    alpha = np.dstack([COLOUR, GENERATOR.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)])
    for name, pixels in (("rgb.png", COLOUR), ("rgba.png", alpha), ("rgb.bmp", COLOUR), ("rgb.tif", COLOUR)):
        source = save(tmp_path / name, pixels)
        array = pictures.read(case_of(source)).array[0, :, :, 0]
        np.testing.assert_allclose(array, luma(COLOUR), atol=0.51)
        (out,) = pictures.write(case_of(source), array[None, :, :, None] * np.float32(0.5), tmp_path / f"out_{name}")
        with Image.open(out) as result:
            assert result.mode == "L" and result.size == (WIDTH, HEIGHT)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_equal_channels_keep_their_value(tmp_path: Path, mode: str) -> None:
    source = save(tmp_path / "a.png", EIGHT, mode)
    np.testing.assert_array_equal(pictures.read(case_of(source)).array[0, :, :, 0], EIGHT)


def test_palette_and_one_bit(tmp_path: Path) -> None:
    palette = Image.fromarray(COLOUR).quantize(16)
    palette.save(tmp_path / "a.png")
    expected = luma(np.array(palette.convert("RGB")))
    np.testing.assert_allclose(pictures.read(case_of(tmp_path / "a.png")).array[0, :, :, 0], expected, atol=0.51)
    source = save(tmp_path / "b.png", EIGHT > 127)
    np.testing.assert_array_equal(pictures.read(case_of(source)).array[0, :, :, 0], np.where(EIGHT > 127, 255, 0))


def test_jpeg(tmp_path: Path) -> None:
    smooth = np.add.outer(np.arange(64) * 2, np.arange(48) * 2).astype(np.uint8)
    source = save(tmp_path / "a.jpg", smooth, quality=60)
    array = pictures.read(case_of(source)).array
    np.testing.assert_array_equal(array[0, :, :, 0], pixels_of(source))
    (out,) = pictures.write(case_of(source), array, tmp_path / "same.jpg")
    assert out.read_bytes() == source.read_bytes()
    (out,) = pictures.write(case_of(source), array + 5, tmp_path / "out.jpg")
    with Image.open(out) as result:
        assert result.format == "JPEG" and result.mode == "L"
        assert np.abs(np.array(result) - (array[0, :, :, 0] + 5)).max() <= 3
    (out,) = pictures.write(case_of(source), array, tmp_path / "lossless.png")
    np.testing.assert_array_equal(pixels_of(out), array[0, :, :, 0])


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    source = save(tmp_path / "really_png.jpg", EIGHT, format="PNG")
    array = pictures.read(case_of(source)).array
    (out,) = pictures.write(case_of(source), 255 - array, tmp_path / "out.jpg")
    with Image.open(out) as result:
        assert result.format == "PNG"
        np.testing.assert_array_equal(np.array(result), 255 - EIGHT)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.bmp"])
def test_resolution_is_kept(tmp_path: Path, name: str) -> None:
    source = save(tmp_path / name, EIGHT, dpi=(120, 120))
    (out,) = pictures.write(case_of(source), pictures.read(case_of(source)).array + 9, tmp_path / f"out_{name}")
    with Image.open(out) as result:
        assert result.info["dpi"] == pytest.approx((120, 120), abs=0.5)


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_exif_and_grey_profile_are_kept(tmp_path: Path, name: str) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a maker"
    grey, colour = bytes(16) + b"GRAY" + bytes(108), bytes(16) + b"RGB " + bytes(108)
    for profile, kept in ((grey, grey), (colour, None)):
        source = save(tmp_path / name, EIGHT, exif=exif, icc_profile=profile)
        volume = pictures.read(case_of(source))
        assert volume.array.shape == (1, HEIGHT, WIDTH, 1)  # as stored, not turned
        (out,) = pictures.write(case_of(source), volume.array * np.float32(0.5), tmp_path / f"out_{name}")
        with Image.open(out) as result:
            assert result.size == (WIDTH, HEIGHT)
            assert dict(result.getexif()) == dict(exif)
            assert result.info.get("icc_profile") == kept


def test_other_size_may_be_written(tmp_path: Path) -> None:
    source = save(tmp_path / "a.png", EIGHT)
    (out,) = pictures.write(case_of(source), np.full((1, 256, 250, 1), 7.4, np.float32), tmp_path / "out.png")
    np.testing.assert_array_equal(pixels_of(out), np.full((256, 250), 7))


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bare_png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """PNG of given size, depth and colour type, laid out by hand."""
    size = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = png_chunk(b"IHDR", size) + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def in_memory(pixels: np.ndarray, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


def swollen_jpeg() -> bytes:
    """A few bytes that claim 65,000 x 65,000 pixels."""
    small = in_memory(EIGHT, "JPEG")
    size = small.index(b"\xff\xc0") + 5  # after the marker, the length and the precision
    return small[:size] + (65_000).to_bytes(2, "big") * 2 + small[size + 4 :]


PAGES = in_memory(EIGHT, "TIFF", save_all=True, append_images=[Image.fromarray(EIGHT)])
BAD = {
    "empty": (b"", "not a PNG"),
    "text": (b"not a picture", "not a PNG"),
    "cut png": (in_memory(EIGHT, "PNG")[:150], "truncated or damaged"),
    "cut jpeg": (in_memory(np.tile(EIGHT, (20, 20)), "JPEG")[:9000], "truncated or damaged"),
    "cut bmp": (in_memory(EIGHT, "BMP")[:-50], "truncated or damaged"),
    "cut tiff": (in_memory(EIGHT, "TIFF")[:-50], "truncated or damaged"),
    "cut tiff directory": (bare_tiff(EIGHT, "<", 1)[:-60], "can be read"),
    "pages": (PAGES, "2 pages"),
    "16-bit colour": (bare_png(2, 2, 16, 2, bytes(2 * 13)), "16-bit colour"),
    "16-bit alpha": (bare_png(2, 2, 16, 4, bytes(2 * 9)), "16-bit colour"),
    "float": (in_memory(EIGHT.astype(np.float32), "TIFF"), "more than 16 bits"),
    "32 bits": (in_memory(EIGHT.astype(np.int32), "TIFF"), "more than 16 bits"),
    "bomb": (bare_png(60_000, 60_000, 8, 0, b""), "pixels; cut"),
    "jpeg bomb": (swollen_jpeg(), "pixels; cut"),
    "half a bomb": (bare_png(10_000, 10_000, 8, 0, b""), "pixels; cut"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_get_one_line(tmp_path: Path, name: str) -> None:
    content, message = BAD[name]
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        pictures.read(case_of(path))
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_refused_results(tmp_path: Path) -> None:
    source = save(tmp_path / "a.png", EIGHT)
    content = source.read_bytes()
    array = pictures.read(case_of(source)).array
    with pytest.raises(OutputError, match="is an input"):
        pictures.write(case_of(source), array + 1, source)
    with pytest.raises(OutputError, match="NaN"):
        pictures.write(case_of(source), array * np.float32(np.nan), tmp_path / "out.png")
    with pytest.raises(InputError, match="no such file"):
        pictures.read(case_of(tmp_path / "none.png"))
    assert source.read_bytes() == content and [path.name for path in tmp_path.iterdir()] == ["a.png"]
