"""A bundle as a function: a volume in, a denoised volume out, no files.

The steps are those that the bundle's ``inference.yaml`` lists under ``denoise``. ``python -m monai.bundle run`` goes
through the same steps between reading and writing, so both give the same bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from mri_denoise.bundles.item import Level, check_volume, found_in, item_of, split_level
from mri_denoise.bundles.parsed import Item, ParsedBundle
from mri_denoise.bundles.registry import Bundle, Model, find_bundle
from mri_denoise.bundles.trust import require_trust
from mri_denoise.bundles.weights import sha256
from mri_denoise.host import usual_torch
from mri_denoise.inference.flips import TURNED, average, axes_to_flip, mirror, mirror_images
from mri_denoise.runtime import choose_device, end_if_told
from mri_denoise.settings import DEFAULTS, Quality, Settings
from mri_denoise.volume import Volume


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A volume whose noise is known: what :meth:`Denoiser.measure` hands to :meth:`Denoiser.finish`.

    Args:
        item: the bundle's item after its first steps.
        settings: the choices it was measured with.
        volume: what was given.
    """

    item: Item
    settings: Settings
    volume: Volume


@dataclass(frozen=True, kw_only=True)
class Denoised:
    """A result with what is known of it.

    Args:
        volume: the result, in the unit of the input. Where the input is NaN or infinite it is what ``raw`` is there.
        raw: the input on the grid of the result, NaN and infinity replaced
            (:func:`~mri_denoise.inference.limits.without_missing`): float32 (T, X, Y, Z), if asked for.
        sigma: noise level of each volume, shape (T,), or of each voxel, (T, X, Y, Z), in the unit of the input; None
            where the model does not use it.
        variation: high by low sigma over the image for each of the T volumes, where it was measured.
        zero: the value that counts as no signal in each of the T volumes, where it was looked for.
        returned: voxels of each volume whose result differs by removed signal that came back, shape (T,), where the
            model looks for it; 0 where the result is the input, or has vanished.
        cautions: flags of :class:`~mri_denoise.noise.cautions.Caution` for each volume, shape (T,), where the noise is
            looked at.
        changed: whether each of the T volumes differs from its input.
        uncertainty: standard deviation over the mirror images that were averaged, float32 (T, X, Y, Z) in the unit of
            the input; None unless ``tta`` was chosen.
        guard_map: 1 where something that was removed came back, 0 elsewhere, float32 (T, X, Y, Z); of mirror images
            the mean. None unless it was asked for.
        settings: everything that shaped the result, by name, for the record.
        device: where the network ran.
    """

    volume: Volume
    raw: np.ndarray | None
    sigma: np.ndarray | None
    variation: np.ndarray | None
    zero: np.ndarray | None
    returned: np.ndarray | None
    cautions: np.ndarray | None
    changed: list[bool]
    uncertainty: np.ndarray | None
    guard_map: np.ndarray | None
    settings: Mapping[str, str | float | int | None]
    device: str


class Denoiser:
    """A bundle as a function from a volume to a volume.

    A bundle is code. Made of a ``Bundle``, a denoiser runs it as it is: who makes one has asked
    :func:`~mri_denoise.bundles.trust.require_trust` before, as :meth:`load` does, and so
    :func:`mri_denoise.images.denoise` and all commands. That looks at the configs, at metadata that MONAI would
    evaluate, and at what Python could import from the bundle's folder. Weights are read without running code, and
    compared with ``SHA256SUMS``, whenever they are loaded. Other processes are given only bundles that were checked.

    Args:
        bundle: what to run.
        overlay: another config of the bundle that is merged on top, as ``dncnn.yaml``.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        precision: ``"float32"``, ``"bfloat16"``, ``"float16"`` or ``"int8"``; the bundle chooses by default.
        progress: whether slices are counted on a bar on standard error.

    Raises:
        InputError: if the bundle lacks ``denoise``, its weights are missing, altered or of another network, or the
            device is not here.

    Examples:
        >>> denoiser = Denoiser.load("rician", device="cpu")
        >>> noisy = Volume(array=np.random.default_rng(0).rayleigh(20, (1, 32, 32, 8)).astype("f4"), affine=np.eye(4))
        >>> denoiser(noisy, strength=0.5).array.shape
        (1, 32, 32, 8)
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        overlay: str | None = None,
        device: str = DEFAULTS.device,
        precision: str | None = None,
        progress: bool = False,
    ) -> None:
        self._again = partial(Denoiser, bundle, overlay=overlay, device=device, precision=precision, progress=progress)
        files = [bundle.config("inference.yaml"), *([bundle.config(overlay)] if overlay else [])]
        self.bundle, self.device = bundle, choose_device(device)
        self.uses_sigma = "sigma" in bundle.options
        self.config_sha256 = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
        with usual_torch():
            self._parsed = ParsedBundle(bundle, files, device=self.device, precision=precision, progress=progress)
        self.model = Model(name=bundle.name, version=bundle.version, weights_sha256=sha256(self._parsed.weights))

    def __reduce__(self) -> tuple[Callable[[], Denoiser], tuple[()]]:
        """Pickle as what it was made of: another process loads the bundle again, from the same folder."""
        return self._again, ()

    @property
    def network(self) -> torch.nn.Module:
        """The network with its weights, on the device."""
        return self._parsed.network

    @classmethod
    def load(
        cls,
        model: str = "rician",
        *,
        device: str = DEFAULTS.device,
        precision: str | None = None,
        progress: bool = False,
        trust: bool = False,
    ) -> Denoiser:
        """Load the denoiser of a model.

        Args:
            model: ``"rician"``, ``"salt-pepper"``, or the folder of a bundle.
            device: as for :class:`Denoiser`.
            precision: as for :class:`Denoiser`.
            progress: as for :class:`Denoiser`.
            trust: whether a bundle runs that is neither shipped nor trained here: its configs are code.

        Raises:
            InputError: if there is no such model, it cannot be used, or it is not trusted.
        """
        bundle = find_bundle(model)
        require_trust(bundle, given=trust)
        return cls(bundle, device=device, precision=precision, progress=progress)

    def __call__(
        self,
        volume: Volume,
        *,
        sigma: Level = DEFAULTS.sigma,
        strength: float = DEFAULTS.strength,
        quality: Quality = DEFAULTS.quality,
        guard: bool = DEFAULTS.guard,
        tta: bool = DEFAULTS.tta,
    ) -> Volume:
        """Denoise a volume or a series.

        Args:
            volume: float32, shape (T, X, Y, Z), in any unit; it is not changed.
            sigma: ``"auto"``, ``"map"``, a number in the volume's unit, the path of a map, or a map as an array of
                shape (X, Y, Z), or (T, X, Y, Z).
            strength: from 0, which gives the input back, to 1.
            quality: ``"fast"``, ``"balanced"`` or ``"best"`` (:class:`~mri_denoise.settings.Settings`).
            guard: whether what was removed and noise does not explain comes back.
            tta: whether the results of all mirror images are averaged.

        Returns:
            the result, in the same unit; NaN and infinity stay where they were.

        Raises:
            InputError: for something else than a volume, a choice out of its range, or a map that does not fit.
        """
        check_volume(volume)
        level, noise_map = split_level(sigma, volume.array.shape)
        settings = Settings(sigma=level, strength=strength, quality=quality, guard=guard, tta=tta)
        result = self.finish(self.measure(volume, settings, noise_map=noise_map)).volume
        array = result.array.copy() if np.may_share_memory(result.array, volume.array) else result.array
        odd = ~np.isfinite(volume.array)
        if odd.any():
            array[odd] = volume.array[odd]
        return replace(result, array=array)

    @usual_torch()
    def measure(
        self,
        volume: Volume,
        settings: Settings,
        part: tuple[int, int, int] | None = None,
        *,
        noise_map: torch.Tensor | None = None,
    ) -> Measured:
        """Do the first steps, up to the estimate of the noise: what may be done while the network is busy elsewhere.

        Args:
            volume: as for :meth:`__call__`.
            settings: the user's choices.
            part: which volumes of a series these are: the first one, the one after the last, and how many the series
                has; all of them by default.
            noise_map: the level at each voxel, in place of that of the settings: float32, (T or 1, X, Y, Z).

        Raises:
            InputError: if the noise level that was given does not fit.
        """
        item = item_of(volume)
        if part is not None:
            item["volumes"] = part
        if noise_map is not None and self.uses_sigma:
            item["noise_map"] = noise_map
        if settings.tta:  # noise and rounding are those of one image, however it was mirrored
            turned = axes_to_flip(item["image"])
            item = {**mirror(item, turned), TURNED: turned}
        for step in self._parsed.chain(settings).early:
            item = step(item)
        return Measured(item=item, settings=settings, volume=volume)

    @usual_torch()
    def finish(self, measured: Measured, *, with_raw: bool = False) -> Denoised:
        """Do the other steps, the network among them.

        Args:
            measured: of :meth:`measure`.
            with_raw: whether the input is needed beside the result.

        Raises:
            InputError: if the image cannot be denoised.
        """
        chain, item = self._parsed.chain(measured.settings), measured.item
        if "guard-map" in measured.settings.extras:
            item = {**item, "guard_map": None}

        def denoise(item: Item) -> Item:
            for step in chain.late:
                end_if_told()
                item = step(item)
            return item

        if measured.settings.tta:
            shape, axis, together = item["image"].shape, item["slice_axis"], item["contiguous"]
            item = average(item, mirror_images(shape, axis, contiguous=together), denoise)
            item = mirror(item, item[TURNED])
        else:
            item = denoise(item)
        return Denoised(
            volume=replace(measured.volume, array=item["pred"].as_tensor().numpy()),
            raw=item["raw"].as_tensor().numpy() if with_raw else None,
            **found_in(item, item["pred"], item["raw"]),
            uncertainty=item["uncertainty"].numpy() if measured.settings.tta else None,
            settings={**chain.settings, **({"tta": True} if measured.settings.tta else {})},
            device=self.device,
        )
