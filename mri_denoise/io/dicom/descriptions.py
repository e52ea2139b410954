"""What people and scanners write into descriptions and comments of images that are no magnitude images.

Words are weak evidence: a magnitude image of a T2 mapping sequence may be called "T2 map", and "fa 10" is a flip angle.
A description alone names a map only if the image is derived or the words can mean nothing else; Image Comments
are written for one image and count by themselves.
"""

from __future__ import annotations

import re

from pydicom.dataset import Dataset

from mri_denoise.io.dicom.dataset import text

_LOCALIZER = re.compile(
    r"\b(\w*(locali[sz]|lokali[sz])\w*|\w*scout\w*|survey|smart ?brain|locator|s?loca?s?"
    r"|(3|three|tri)[- ]?pl(an|anes?)?|tri[- ]?pilot|plan ?scan|rep[eé]rage|scanogram|topogram|fastview)\b"
    r"|^pilot\b",
    re.IGNORECASE,
)
_MAP = re.compile(
    r"\b(e?ADC|apparent diffusion|fractional aniso\w*"
    r"|(T[12]\*?|T2 ?star|R[12]\*?|R2 ?star|B[01]\+?|PD|field|phase|flip ?angles?|FA|ADC|MD|SNR|perfusion) ?maps?)\b",
    re.IGNORECASE,
)
# of a derived image, words that are not those of a weighting, a phase of contrast, a number of a run or of a subject
_DERIVED = {
    "computed map": re.compile(
        r"\b(QSM|(susceptibility|chi|T1 ?rho) ?maps?|R2 ?(s|star)|PDFF|fat ?frac(tion)?|col(ou?r)? ?FA"
        r"|(r|rel)?(CBF|CBV|MTT)|TTP|Tmax|PBP|K ?trans)\b|\bR2\*(?!\w)",
        re.IGNORECASE,
    ),
    "phase image": re.compile(
        r"^\W*pha(se)?( images?)?\W*$|\b(swi|swan|filt(ered)?|unwrapped) pha(se)?( images?)?\b", re.IGNORECASE
    ),
    "projection": re.compile(r"\b(mIPs?|min ?IPs?|mnIPs?)\b", re.IGNORECASE),
    "subtraction": re.compile(r"\b(sub(?!-| ?\d{2,})|subtra[ck]t\w*)\b", re.IGNORECASE),
}
_MAGNITUDE = re.compile(r"\bmag(nitude)?\b", re.IGNORECASE)
# words that no series of magnitude images bears
_ALWAYS_MAP = re.compile(r"\b(flip ?angle ?maps?|(relative )?phase ?maps?|pha images?)\b", re.IGNORECASE)
_DIFFUSION = re.compile(r"diff|dti|dwi|dsi|tensor|tracew?|aniso", re.IGNORECASE)
_FA = re.compile(r"(?<![a-z0-9])FA(?![a-z]|[ =:]*\d)", re.IGNORECASE)
_FLIP_ANGLE = re.compile(r"\b(vibe|flash|fl[23]d|spgr|fspgr|ffe|gre|tfl|mprage|vfa|deg)\b", re.IGNORECASE)


def by_description(ds: Dataset, *, derived: bool) -> str | None:
    """Say what an image is, if its description or Image Comments say that it is no magnitude image.

    The description is Series Description, or Protocol Name where that is empty.

    Args:
        ds: the header of a slice.
        derived: whether Image Type value 1 is DERIVED.

    Returns:
        The reason in a few words, or None.

    Examples:
        >>> ds = Dataset()
        >>> ds.SeriesDescription = "AAHead_Scout_64ch"
        >>> by_description(ds, derived=False)
        "localizer (description says 'Scout')"
        >>> ds.SeriesDescription = "t1_vibe_fa_10"
        >>> by_description(ds, derived=True)
    """
    description = (text(ds, "SeriesDescription") or text(ds, "ProtocolName")).replace("_", " ")
    comments = text(ds, "ImageComments").replace("_", " ")
    both = f"{description} {comments}".strip()
    if match := _LOCALIZER.search(both):
        return f"localizer (description says {match.group(0)!r})"
    if match := _ALWAYS_MAP.search(both) or _MAP.search(comments):
        return f"map or phase image (description says {match.group(0)!r})"
    if derived and (match := _MAP.search(description) or _fractional_anisotropy(both)):
        return f"computed map (description says {match.group(0)!r})"
    derived = derived and not _MAGNITUDE.search(description)
    found = ((kind, words.search(description)) for kind, words in _DERIVED.items() if derived)
    return next((f"{kind} (description says {match.group(0)!r})" for kind, match in found if match), None)


def _fractional_anisotropy(words: str) -> re.Match[str] | None:
    """Find FA where it is no flip angle: the words speak of diffusion, or of nothing that has a flip angle."""
    match = _FA.search(words)
    return match if match and (_DIFFUSION.search(words) or not _FLIP_ANGLE.search(words)) else None
