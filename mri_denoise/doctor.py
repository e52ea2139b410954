"""What an installation needs to denoise, checked one by one: ``mri-denoise doctor``.

Libraries are imported inside the checks, so that a broken one is a line of the result and not the end of it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

from mri_denoise.errors import InputError, reason

Status = Literal["ok", "warning", "broken"]
LIBRARIES = ("numpy", "scipy", "torch", "monai", "nibabel", "pydicom", "PIL", "yaml")
# The self-test: a head of 32 x 36 x 12 voxels with Rician noise of 5 %, denoised with the noise level given.
SHAPE = (32, 36, 12)
LEVEL = 0.05
EXPECTED_PSNR = 29.04  # dB over the head with weights and filter of hmad_rician 0.8.3; noisy: 25.94
TOLERANCE = 0.2  # dB: the precision and the form of the filter change it by less than 0.01
_LEAST_FREE = 2**30
_GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Check:
    """The outcome of a check.

    Args:
        name: what was checked.
        status: ``"ok"``; ``"warning"`` for what works but slower or not for long; ``"broken"`` for what does not.
        found: what was found, in one line.
        advice: what to do, for all but ``"ok"``.
    """

    name: str
    status: Status
    found: str
    advice: str = ""


def examine() -> Iterator[Check]:
    """Check the installation, one thing after another: each outcome comes as soon as it is known.

    Yields:
        libraries, weights of each shipped model, device, collaborative filter, temporary folder, self-test.
    """
    checks: list[tuple[str, Callable[[], Check]]] = [
        ("libraries", check_libraries),
        *((f"weights {model}", _weights_of(model)) for model in ("rician", "salt-pepper", "noise_level")),
        ("device", check_device),
        ("collaborative filter", check_filter),
        ("temporary folder", check_temporary_folder),
        ("self-test", check_result),
    ]
    for name, check in checks:
        try:
            yield check()
        except InputError as error:
            yield Check(name=name, status="broken", found=str(error), advice="Install the package again.")
        except Exception as error:
            yield Check(name=name, status="broken", found=reason(error), advice="Install the package again.")


def check_libraries() -> Check:
    """Whether the required libraries can be imported, and their versions."""
    from mri_denoise.record import versions

    failed = {}
    for library in LIBRARIES:
        try:
            import_module(library)
        except Exception as error:  # a library may fail in any way while it is imported
            failed[library] = reason(error)
    if failed:
        found = "; ".join(f"{name}: {why}" for name, why in failed.items())
        return Check(name="libraries", status="broken", found=found, advice="Install the package again with pip.")
    found = ", ".join(f"{name} {version}" for name, version in versions().items())
    return Check(name="libraries", status="ok", found=found)


def _weights_of(model: str) -> Callable[[], Check]:
    return lambda: check_weights(model)


def check_weights(model: str) -> Check:
    """Whether the weights of a shipped model are those whose SHA-256 is recorded beside them.

    Args:
        model: name, or the folder of a bundle.
    """
    from mri_denoise.bundles.registry import find_bundle
    from mri_denoise.bundles.weights import SUMS, recorded_sha256, sha256

    bundle = find_bundle(model)
    name, again = f"weights {model}", "Install the package again."
    if not bundle.weights.is_file():
        return Check(name=name, status="broken", found=f"{bundle.weights}: no such file.", advice=again)
    digests = {weights: sha256(weights) for weights in sorted(bundle.weights.parent.glob("*.pt"))}
    for weights, digest in digests.items():
        if digest != (recorded := recorded_sha256(weights)):
            found = f"{weights}: SHA-256 {digest}, but {SUMS} has {recorded}"
            return Check(name=name, status="broken", found=found, advice=again)
    found = f"{bundle.name} {bundle.version}, SHA-256 {digests[bundle.weights]}, as recorded"
    return Check(name=name, status="ok", found=found)


def check_device() -> Check:
    """Device and precision that ``--device auto`` takes, cores and threads."""
    from mri_denoise.record import describe, machine
    from mri_denoise.runtime import choose_device, choose_precision

    device = choose_device("auto")
    found = f"{device}, {choose_precision(device, integers=True)}; {describe(machine())}"
    return Check(name="device", status="ok", found=found)


def check_filter() -> Check:
    """Which form of the collaborative filter runs."""
    from mri_denoise.inference import native

    found = native.description()
    if native.available():
        return Check(name="collaborative filter", status="ok", found=found)
    advice = (
        "Results are right, but take several times as long. Install a wheel for this system, or a C compiler first."
    )
    return Check(name="collaborative filter", status="warning", found=found, advice=advice)


def check_temporary_folder() -> Check:
    """Whether temporary files can be written, and the space for them."""
    folder = Path(tempfile.gettempdir())  # raises where no folder can be written
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"mri-denoise")
    free = shutil.disk_usage(folder).free
    found = f"{folder}, {free / _GIB:.1f} GiB free"
    if free < _LEAST_FREE:
        advice = "Make room, or name another folder with the environment variable TMPDIR."
        return Check(name="temporary folder", status="warning", found=found, advice=advice)
    return Check(name="temporary folder", status="ok", found=found)


def check_result(model: str = "rician") -> Check:
    """Denoise a small head, from file to file, and hold the result against the expected one.

    Args:
        model: what to denoise with; the expected result is that of the shipped weights.

    Raises:
        InputError: if the head cannot be denoised.
    """
    from mri_denoise.bundles.registry import find_bundle
    from mri_denoise.io import discover
    from mri_denoise.pipeline.batch import denoise_cases
    from mri_denoise.settings import Settings, Sigma
    from mri_denoise.simulation.files import NIFTI_SCALE

    with tempfile.TemporaryDirectory(prefix="mri-denoise-doctor-") as folder:
        source = Path(folder, "head.nii.gz")
        _write_noisy(source)
        settings = Settings(sigma=Sigma(kind="level", level=LEVEL * NIFTI_SCALE))
        [outcome] = denoise_cases(find_bundle(model), discover(source)[0], Path(folder, "denoised"), settings)
        if outcome.record is None:
            raise InputError(outcome.error)
        psnr, kept = _score(source, Path(outcome.record.outputs[0]))
    found = f"PSNR {psnr:.2f} dB, expected {EXPECTED_PSNR:.2f} +- {TOLERANCE:g} dB; {outcome.record.seconds:.1f} s"
    if abs(psnr - EXPECTED_PSNR) <= TOLERANCE and kept:
        return Check(name="self-test", status="ok", found=found)
    advice = "Results on this computer cannot be trusted: report this with the whole output."
    return Check(name="self-test", status="broken", found=found if kept else f"{found}; header changed", advice=advice)


def _write_noisy(path: Path) -> None:
    """The noisy head."""
    import numpy as np

    from mri_denoise.simulation import head_phantom, phantom_affine, write_phantom_nifti
    from mri_denoise.volume import voxel_sizes

    rng = np.random.default_rng(0)
    truth = head_phantom(SHAPE)
    real, imaginary = rng.normal(0, LEVEL, (2, *SHAPE))
    x, y, z = (float(edge) for edge in voxel_sizes(phantom_affine(SHAPE)))
    write_phantom_nifti(path, np.hypot(truth + real, imaginary).astype(np.float32), (x, y, z))


def _score(source: Path, result: Path) -> tuple[float, bool]:
    """PSNR of a result over the head in dB, with a peak of 1, and whether it has the header of its source."""
    import nibabel as nib
    import numpy as np

    from mri_denoise.simulation import head_phantom
    from mri_denoise.simulation.files import NIFTI_SCALE

    truth = head_phantom(SHAPE)
    before, after = nib.Nifti1Image.from_filename(str(source)), nib.Nifti1Image.from_filename(str(result))
    error = (np.asarray(after.dataobj, dtype=np.float64) / NIFTI_SCALE - truth)[truth > 0]
    return float(-10 * np.log10(np.mean(error**2))), bool(before.header == after.header)
