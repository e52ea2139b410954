"""A bundle's ``inference.yaml``, parsed: its network, and the steps that it lists under ``denoise``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mri_denoise._monai import import_monai
from mri_denoise.bundles.registry import Bundle
from mri_denoise.errors import InputError, find_error, reason
from mri_denoise.runtime import ToldToEnd
from mri_denoise.settings import DEFAULTS, Settings

Item = dict[str, Any]  # what MONAI's dictionary transforms hand on
Step = Callable[[Mapping[str, Any]], Item]
INFER = "infer"  # the step that stands for the network through the inferer
ESTIMATE = "estimate"


@dataclass(frozen=True, kw_only=True)
class Chain:
    """A bundle's steps for some choices.

    Args:
        early: up to the estimate of the noise.
        late: after it, the network among them.
        settings: what is recorded of the choices.
    """

    early: list[Step]
    late: list[Step]
    settings: Mapping[str, str | float | int | None]


class ParsedBundle:
    """The network and the steps of a bundle.

    Args:
        bundle: what to parse.
        files: its ``inference.yaml``, and configs to merge on top.
        device: as PyTorch names it.
        precision: ``"float32"``, ``"bfloat16"``, ``"float16"`` or ``"int8"``; the bundle chooses by default.
        progress: whether slices are counted on a bar on standard error.

    Attributes:
        network: with its weights, on the device.
        weights: path of the weights.

    Raises:
        InputError: if a config is damaged or lacks something, or the weights are missing, altered or another network's.
    """

    def __init__(
        self, bundle: Bundle, files: list[Path], *, device: str, precision: str | None = None, progress: bool = False
    ) -> None:
        self._bundle, self._device = bundle, device
        self._lock = threading.Lock()  # one thread measures while another one finishes
        self._last: tuple[Settings, Chain] | None = None
        import_monai(everything=not bundle.shipped)
        from monai.bundle import ConfigParser

        self._parser = ConfigParser()
        try:
            self._parser.read_config([str(file) for file in files])
            self._names = self._step_names()
            self._parser["bundle_root"] = str(bundle.folder)
            self._parser["device"] = f"$torch.device('{device}')"
            if precision is not None:
                self._parser["precision"] = precision
            if progress:
                self._parser["inferer"]["progress"] = True
            self.network: torch.nn.Module = self._parser.get_parsed_content("network")
            if not isinstance(self.network, torch.nn.Module):
                raise InputError(f"{bundle.folder}: its network is none of PyTorch's; correct network in its config.")
            self.weights = Path(self._parser.get_parsed_content("ckpt_path"))
            self._extra_keys: dict[str, str] = dict(self._parser.get_parsed_content("extra_keys"))
            self.chain(DEFAULTS)  # what is wrong with a step shows before the first image
        except ToldToEnd:
            raise
        except (Exception, SystemExit) as error:  # a config may call exit()
            raise find_error(error) or InputError(f"{bundle.folder}: cannot be used ({reason(error)}).") from error

    def chain(self, settings: Settings) -> Chain:
        """Give the steps for these choices; those of the last choices are kept."""
        with self._lock:
            if self._last is None or self._last[0] != settings:
                for name, value in settings.choices(self._bundle.options).items():
                    self._parser[name] = value
                steps = [self._step(name) for name in self._names]
                early = self._names.index(ESTIMATE) + 1 if ESTIMATE in self._names else 0
                recorded = dict(self._parser.get_parsed_content("settings"))
                self._last = settings, Chain(early=steps[:early], late=steps[early:], settings=recorded)
            return self._last[1]

    def _step_names(self) -> list[str]:
        """Read which steps there are.

        Raises:
            InputError: if the config does not name them.
        """
        needed = ["denoise", "network", "inferer", "ckpt_path", "extra_keys", "settings"]
        missing = [name for name in needed if name not in self._parser]
        names = [] if missing else self._parser["denoise"]
        missing += [name for name in names if name != INFER and name not in self._parser]
        if missing or INFER not in names:
            lacks = ", ".join(missing) or f'the step "{INFER}" in "denoise"'
            raise InputError(
                f"{self._bundle.folder}: its inference.yaml lacks {lacks}; add it as in the shipped bundles, or run "
                "the bundle with python -m monai.bundle run."
            )
        return list(names)

    def _step(self, name: str) -> Step:
        if name != INFER:
            return self._parser.get_parsed_content(name)
        return self._inference(self._parser.get_parsed_content("inferer"))

    def _inference(self, inferer: Callable[..., torch.Tensor]) -> Step:
        """Make a step from ``image`` to ``pred`` of the network."""

        def infer(item: Mapping[str, Any]) -> Item:
            from monai.data import MetaTensor

            image = item["image"]
            extra = {name: item[key] for name, key in self._extra_keys.items()}
            extra = {k: v[None].to(self._device) if isinstance(v, torch.Tensor) else v for k, v in extra.items()}
            with torch.no_grad():
                pred = inferer(image[None].to(self._device), self.network, **extra)[0].cpu()
            return {**item, "pred": MetaTensor(pred, meta=image.meta)}

        return infer
