"""What compressed pixel data say of themselves: the frame header of JPEG and JPEG-LS, the SIZ marker of JPEG 2000.

ITU-T T.81 (JPEG) B.2.2, T.87 (JPEG-LS) C.2.2, T.800 (JPEG 2000) A.5.1. Decoders in C trust these numbers; some end the
whole process where they contradict the DICOM header that the memory was reserved by.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_SOI, _SOC, _SIZ = b"\xff\xd8", b"\xff\x4f", b"\xff\x51"
_NO_FRAME_HEADER = (0xC4, 0xC8, 0xCC)  # within the range of those that are: Huffman tables, reserved, arithmetic coding
_JPEG_LS_FRAME = 0xF7
_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD9))
_START_OF_SCAN = 0xDA


@dataclass(frozen=True, kw_only=True)
class Codestream:
    """The size of a compressed frame.

    Args:
        rows: its height in pixels.
        columns: its width in pixels.
        samples: components of a pixel.
        bits: precision of a sample.
        whole: whether each sample covers one pixel (no subsampling).
    """

    rows: int
    columns: int
    samples: int
    bits: int
    whole: bool = True


def read_codestream(frame: bytes) -> Codestream:
    """Read the header of a compressed frame.

    Args:
        frame: JPEG, JPEG-LS or JPEG 2000, the fragments of one frame put together.

    Raises:
        ValueError: It has no such header.

    Examples:
        >>> read_codestream(bytes.fromhex("ffd8 fff7 000b 0c 0040 0030 01 01 11 00"))
        Codestream(rows=64, columns=48, samples=1, bits=12, whole=True)
    """
    try:
        if frame.startswith(_SOC + _SIZ):
            return _jpeg2000(frame)
        if frame.startswith(_SOI):
            return _jpeg(frame)
    except (struct.error, IndexError) as error:
        raise ValueError("compressed pixel data end within their header") from error
    raise ValueError("compressed pixel data do not begin like JPEG, JPEG-LS or JPEG 2000")


def contradiction(found: Codestream, *, rows: int, columns: int, allocated: int) -> str | None:
    """Say how a codestream contradicts a DICOM header of grey images.

    Fewer bits than Bits Allocated are no contradiction, whatever Bits Stored says: encoders differ in that.

    Args:
        found: from `read_codestream`.
        rows: Rows.
        columns: Columns.
        allocated: Bits Allocated.

    Returns:
        The reason in a few words, or None.
    """
    wanted = (columns, rows, 1)
    if (found.columns, found.rows, found.samples) == wanted and found.bits <= allocated and found.whole:
        return None
    kind = "samples" if found.whole else "subsampled samples"
    return (
        f"its codestream has {found.columns} x {found.rows} pixels of {found.samples} {kind} of {found.bits} bits, "
        f"its header {columns} x {rows} of 1 of {allocated}"
    )


def _jpeg(frame: bytes) -> Codestream:
    place = 2
    while True:
        if frame[place] != 0xFF:
            raise ValueError("compressed pixel data have a damaged header")
        marker = frame[place + 1]
        place += 2
        if marker == 0xFF:  # fill byte
            place -= 1
        elif marker == _START_OF_SCAN:
            raise ValueError("compressed pixel data have no frame header")
        elif (0xC0 <= marker <= 0xCF and marker not in _NO_FRAME_HEADER) or marker == _JPEG_LS_FRAME:
            bits, rows, columns, samples = struct.unpack_from(">BHHB", frame, place + 2)
            return Codestream(rows=rows, columns=columns, samples=samples, bits=bits)
        elif marker not in _WITHOUT_LENGTH:
            place += max(struct.unpack_from(">H", frame, place)[0], 2)


def _jpeg2000(frame: bytes) -> Codestream:
    right, bottom, left, top = struct.unpack_from(">4I", frame, 8)
    samples, depth, across, down = struct.unpack_from(">H3B", frame, 40)
    return Codestream(
        rows=bottom - top,
        columns=right - left,
        samples=samples,
        bits=(depth & 0x7F) + 1,
        whole=across == down == 1,
    )
