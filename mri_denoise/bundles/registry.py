"""The bundles that ship with the package, found without importing MONAI or torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from mri_denoise.errors import InputError

SHORT_NAMES = {"rician": "hmad_rician", "salt-pepper": "hmad_salt_pepper"}


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A MONAI bundle on disk.

    Args:
        folder: the bundle's root.
        name: from its metadata.
        version: from its metadata.
        task: what it is for, one line.
        options: what its ``inference.yaml`` lets a user choose (its top-level names).
    """

    folder: Path
    name: str
    version: str
    task: str
    options: frozenset[str]

    @property
    def weights(self) -> Path:
        """Where ``inference.yaml`` expects the weights."""
        return self.folder / "models" / "model.pt"

    @property
    def shipped(self) -> bool:
        """Whether it is one of the bundles that ship with the package."""
        return self.folder.parent == bundles_folder().resolve()

    @property
    def other_weights(self) -> dict[str, Path]:
        """All that shape the result beside :attr:`weights`, by the name under which a run records their SHA-256."""
        return {"refiner_sha256": self.weights.with_name("refine.pt"), "noise_level_sha256": noise_level_weights()}

    def config(self, name: str) -> Path:
        """Path of one of the bundle's configs, as ``inference.yaml``."""
        return self.folder / "configs" / name


@dataclass(frozen=True, kw_only=True)
class Model:
    """What is recorded of the bundle that denoised.

    Args:
        name: of the bundle.
        version: of the bundle.
        weights_sha256: SHA-256 of its weights in hexadecimal digits.
    """

    name: str
    version: str
    weights_sha256: str


def bundles_folder() -> Path:
    """Where the shipped bundles are.

    A wheel has them beside this file, in ``mri_denoise/bundles``. A source tree, and so an editable installation, has
    them in ``bundles`` at its top.
    """
    here = Path(__file__).resolve().parent
    return here if (here / "hmad_rician").is_dir() else here.parents[1] / "bundles"


def noise_level_weights() -> Path:
    """Where the weights of the network are that finds the level of the noise."""
    return bundles_folder() / "noise_level" / "models" / "model.pt"


def find_bundle(model: str) -> Bundle:
    """The bundle of a short name (``rician``, ``salt-pepper``), of its own name, or of a path.

    Args:
        model: name or path.

    Raises:
        InputError: if there is no such bundle.
    """
    folder = bundles_folder() / SHORT_NAMES.get(model, model)
    if not (folder / "configs" / "metadata.json").is_file():
        folder = Path(model)
    metadata = folder / "configs" / "metadata.json"
    if not metadata.is_file() or not (folder / "configs" / "inference.yaml").is_file():
        known = ", ".join(SHORT_NAMES)
        raise InputError(f"model {model}: neither a shipped model ({known}) nor the folder of a bundle with configs/.")
    try:
        meta = _mapping(json.loads(metadata.read_text(encoding="utf-8")), "metadata.json")
        options = _names_in((folder / "configs" / "inference.yaml").read_text(encoding="utf-8"))
        words = {
            "name": folder.name,
            "task": "",
            **{key: meta[key] for key in ("name", "task", "version") if key in meta},
        }
        for key in ("name", "task", "version"):
            if not isinstance(words.get(key), str) or not str(words[key]).isprintable():
                raise ValueError(f"metadata.json needs a text as its {key}")
        return Bundle(folder=folder.resolve(), options=options, **words)
    except (ValueError, TypeError, OSError, RecursionError, yaml.YAMLError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"{folder}: not a MONAI bundle, its configs cannot be used ({reason}).") from error


@lru_cache(maxsize=16)
def _names_in(text: str) -> frozenset[str]:
    """The top-level names of an ``inference.yaml``; a command asks several times, and reading YAML takes long."""
    return frozenset(_mapping(yaml.safe_load(text), "inference.yaml"))


def _mapping(content: Any, name: str) -> dict[str, Any]:
    """The content of a config, whose keys are texts."""
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ValueError(f"{name} holds no names with values")
    return content


def shipped() -> dict[str, Bundle]:
    """The shipped bundles by short name."""
    return {name: find_bundle(name) for name in SHORT_NAMES}
