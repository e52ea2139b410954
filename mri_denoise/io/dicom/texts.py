"""Text attributes whose bytes are kept, also where the declared character set (PS3.3 C.12.1.1.2) cannot decode them.

pydicom replaces what it cannot decode, so that text that was read as a string and written again is lost.
"""

from __future__ import annotations

from pydicom.charset import decode_bytes, encode_string
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.valuerep import TEXT_VR_DELIMS, PersonName

_TEXT_VRS = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")
_ESCAPE = "\x1b"


def append_text(ds: Dataset, keyword: str, suffix: str, longest: int) -> None:
    """Append ASCII to a text attribute; shorten what was there where the whole would be too long.

    Args:
        ds: the data set, whose attribute has not been converted to a string yet where its bytes are to be kept.
        keyword: an attribute with VR LO, SH, ST or LT and one value.
        suffix: what is appended.
        longest: characters that the VR allows.

    Examples:
        >>> ds = Dataset()
        >>> ds.SeriesDescription = "T1w"
        >>> append_text(ds, "SeriesDescription", " (denoised)", 64)
        >>> ds.SeriesDescription
        'T1w (denoised)'
    """
    tag = Tag(keyword)
    encodings = _encodings(ds)
    found = ds.get_item(tag)
    vr = str(getattr(found, "VR", None) or dictionary_VR(tag))
    before = text_bytes(ds, keyword)
    words = decode_bytes(before, encodings, TEXT_VR_DELIMS)
    if len(words) + len(suffix) > longest:
        before = _shortened(before, words, max(longest - len(suffix), 0), encodings)
    new = (before + suffix.encode("ascii", "replace")).lstrip(b" ")
    new += b" " * (len(new) % 2)
    if isinstance(found, RawDataElement):
        ds[tag] = found._replace(VR=vr, length=len(new), value=new)
    elif isinstance(getattr(found, "value", None), bytes):  # by `keep_bytes`
        ds[tag] = DataElement(tag, vr, new, already_converted=True)
    else:
        ds[tag] = DataElement(tag, vr, decode_bytes(new, encodings, TEXT_VR_DELIMS).rstrip(" "))


def text_bytes(ds: Dataset, keyword: str) -> bytes:
    """The bytes of a text attribute without padding, as they are in the file unless it has been changed."""
    found = getattr(ds.get_item(Tag(keyword)), "value", None) or ""
    raw = found if isinstance(found, bytes) else encode_string(str(found), _encodings(ds))
    return raw.rstrip(b" \0")


def keep_bytes(ds: Dataset) -> None:
    """Fix the bytes of all text that has not been converted yet, in place, before a data set is encoded anew."""
    for tag in list(ds.keys()):
        element = ds.get_item(tag)
        if not isinstance(element, RawDataElement):
            vr = element.VR if element is not None else ""
        elif element.VR is None or element.VR == "UN":
            try:
                vr = dictionary_VR(tag)
            except KeyError:
                vr = "UN"
        else:
            vr = element.VR
        if vr == "SQ":
            for item in ds[tag].value or ():
                keep_bytes(item)
        elif vr in _TEXT_VRS and isinstance(element, RawDataElement) and element.value:
            value = _name(element.value) if vr == "PN" else element.value
            ds[tag] = DataElement(tag, vr, value, already_converted=True)


def _name(raw: bytes) -> PersonName:
    """A person's name that is written as these bytes, whatever the character set."""
    name = PersonName(raw)
    name.original_string, name.encodings = raw, None
    return name


def _encodings(ds: Dataset) -> list[str]:
    found = ds._character_set
    return [found] if isinstance(found, str) else list(found)


def _shortened(raw: bytes, words: str, room: int, encodings: list[str]) -> bytes:
    """The first characters of a text, as the bytes they were where these can be counted."""
    if _ESCAPE.encode() in raw:  # ISO 2022: shifts between character sets
        return encode_string(words[:room], encodings)
    return raw.decode(encodings[0], "surrogateescape")[:room].encode(encodings[0], "surrogateescape")
