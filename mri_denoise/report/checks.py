"""Checks of a denoised image, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mri_denoise.noise.cautions import SENTENCES
from mri_denoise.report.html import number
from mri_denoise.report.residual import Residual
from mri_denoise.report.scan import Scan

Status = Literal["good", "note", "warning"]
_AXES = ("left to right", "back to front", "bottom to top")
_PICTURE_AXES = ("down", "across", "through")
_CLIPPED = 1e-4
_MASKED = 0.1
_SMALL = 32  # voxels in a plane


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check.

    Args:
        title: what was looked at.
        status: ``"good"``, ``"note"`` (look) or ``"warning"`` (look before the result is used).
        text: what was found and what it means.
        value: the number behind it, as text; empty if there is none.
        voxel: the place to look at in the turned array, if there is one.
    """

    title: str
    status: Status
    text: str
    value: str = ""
    voxel: tuple[int, int, int] | None = None


def check_residual(found: Residual, *, picture: bool = False) -> list[Check]:
    """Tell whether what was removed looks like noise.

    The limits were set on head phantoms and scans: pure noise and the shipped models pass them, a Gaussian or median
    filter, or a level three times too high, fails one at least.

    Args:
        found: the numbers.
        picture: whether axes are those of a picture.
    """
    if found.changed == 0:
        text = "Nothing was removed: in the tissue the result equals the input."
        return [Check(title="Amount removed", status="note", text=text)]
    if found.ratio is None:
        return [_changed(found), _neighbours(found, picture)]
    return [_amount(found.ratio), _image(found), _edges(found), _neighbours(found, picture), _spots(found)]


def check_input(scan: Scan, found: Residual) -> list[Check]:
    """Tell whether the input is within what the model was made for.

    Args:
        scan: the images.
        found: the numbers of its residual.
    """
    checks = [*_values(scan), *_shape(scan), *_cautions(scan)]
    if not checks:
        what = "Values and size" if found.snr_before is None else "Values, size and noise"
        text = f"{what} are within what the model was trained for."
        checks.append(Check(title="Input", status="good", text=text))
    return checks


def verdict(checks: Sequence[Check], found: Residual) -> tuple[Status, str]:
    """Sum up the checks of the residual: the worst status, and one sentence."""
    if found.changed == 0:
        return "note", "Nothing was removed from the tissue."
    states = {check.status for check in checks}
    if "warning" in states:
        return "warning", "What was removed is not only noise. Look before you use the result."
    if "note" in states:
        return "note", "What was removed looks mostly like noise. See the notes."
    return "good", "What was removed looks like noise."


def _share(part: float) -> str:
    """A part of 1 in percent, with two or three digits that count."""
    return f"{number(100 * part, 2)} %"


def _grade(value: float, good: float, fair: float) -> Status:
    return "good" if value <= good else "note" if value <= fair else "warning"


def _amount(ratio: float) -> Check:
    status = _grade(ratio, 1.05, 1.15)
    value = f"{100 * ratio:.0f} % of the noise level"
    if ratio < 0.3:
        status = "note"
        text = (
            "Much less was removed than the noise level explains. Either the noise is shared by neighbours or fine "
            "texture hides it, so that it was left alone."
        )
    elif status == "good":
        text = "No more was removed than noise of this level explains."
    else:
        text = "More was removed than noise of this level explains. The rest is anatomy, or the level is too low."
    return Check(title="Amount removed", status=status, text=text, value=value)


def _changed(found: Residual) -> Check:
    """For impulse noise, which has no level: it takes whole voxels, and its sign follows the image."""
    text = "No noise level is known, so that the amount and its place cannot be judged: look at what was removed."
    value = f"{_share(found.changed)} of the voxels differ"
    return Check(title="Amount removed", status="note", text=text, value=value)


def _image(found: Residual) -> Check:
    status = _grade(abs(found.image), 0.25, 0.4)
    texts: dict[Status, str] = {
        "good": "What was removed does not follow the image's brightness.",
        "note": "What was removed follows the image's brightness a little.",
        "warning": "What was removed follows the image: contrast was removed.",
    }
    return Check(title="Correlation with the image", status=status, text=texts[status], value=f"{found.image:+.2f}")


def _edges(found: Residual) -> Check:
    status = _grade(found.edges, 0.1, 0.2)
    texts: dict[Status, str] = {
        "good": "No more was removed at edges than elsewhere.",
        "note": "A little more was removed at edges than elsewhere.",
        "warning": "More was removed at edges than elsewhere: they were smoothed.",
    }
    return Check(title="Edges", status=status, text=texts[status], value=f"{found.edges:+.2f}")


def _neighbours(found: Residual, picture: bool) -> Check:
    excess = np.subtract(found.neighbours, found.noise_neighbours)
    worst = int(np.argmax(excess))
    status = _grade(float(excess[worst]), 0.1, 0.25)
    axis = (_PICTURE_AXES if picture else _AXES)[worst]
    texts: dict[Status, str] = {
        "good": "Neighbouring voxels are no more alike than in the input's noise.",
        "note": f"Neighbours are a little more alike ({axis}) than in the input's noise.",
        "warning": f"Neighbours are alike ({axis}), as in structure and not as in noise.",
    }
    value = " / ".join(f"{one:+.2f}" for one in found.neighbours[: 2 if picture else 3])
    return Check(title="Correlation of neighbours", status=status, text=texts[status], value=value)


def _spots(found: Residual) -> Check:
    status = _grade(found.standing_out, 1e-5, 1e-3)
    texts: dict[Status, str] = {
        "good": "Nothing stands out of the removed noise after smoothing.",
        "note": "A few places stand out of the removed noise after smoothing.",
        "warning": "Structure stands out of the removed noise after smoothing.",
    }
    value, voxel = f"{_share(found.standing_out)} of the tissue", None
    if found.spot is not None:
        value, voxel = f"{value}, highest {found.spot.height:.1f} SD", found.spot.voxel
    return Check(title="What stands out", status=status, text=texts[status], value=value, voxel=voxel)


def _values(scan: Scan) -> list[Check]:
    checks = []
    if scan.not_finite:
        text = "Voxels that are not a number, or infinite, were left as they are and taken for no signal."
        checks.append(Check(title="Missing values", status="note", text=text, value=f"{scan.not_finite} voxels"))
    negative = float(np.mean((scan.counted(scan.before) if scan.counts_from_air else scan.before) < 0))
    if negative > 0:
        text = "Magnitudes are never negative. This may be a phase image, a map, or filtered: the noise differs then."
        checks.append(Check(title="Negative values", status="warning", text=text, value=_share(negative)))
    top = scan.before.max()
    clipped = float(np.mean(scan.before == top)) if top > scan.before.min() and not scan.picture else 0.0
    if clipped > _CLIPPED:
        text = "Many voxels share the highest value: the image was clipped, and its noise with it."
        checks.append(Check(title="Clipped values", status="note", text=text, value=_share(clipped)))
    empty = float(np.mean(scan.before == 0)) if not scan.picture else 0.0
    if empty > _MASKED:
        text = "The air was set to 0 before. The noise level rests on the tissue alone."
        checks.append(Check(title="Masked background", status="note", text=text, value=f"{100 * empty:.0f} %"))
    return checks


def _cautions(scan: Scan) -> list[Check]:
    """What the run found unusual about the noise; a record of another version may name what is not known here."""
    found = scan.record.cautions or []
    return [Check(title=name.capitalize(), status="note", text=SENTENCES.get(name, "")) for name in found]


def _shape(scan: Scan) -> list[Check]:
    shape = scan.before.shape
    if sorted(shape)[1] >= _SMALL:
        return []
    text = "The image is so small that the noise level is uncertain."
    return [Check(title="Size", status="note", text=text, value=" x ".join(map(str, shape)))]
