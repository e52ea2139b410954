"""What a node does: what is denoised how, when, within which limits; its ends on the network are in `endpoints`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from pydicom.datadict import tag_for_keyword

from mri_denoise.bundles.registry import find_bundle
from mri_denoise.errors import InputError
from mri_denoise.node.endpoints import Destination, Listen, Peer, is_loopback
from mri_denoise.node.parse import build, limited


@dataclass(frozen=True)
class Series:
    """When a series is complete, and what happens to one that is not denoised.

    Args:
        quiet_seconds: after its association was released, wait so long for more.
        quiet_after_abort_seconds: the same after an association was aborted or the node stopped.
        not_eligible: ``keep`` what is not denoised in the queue, or ``forward`` it unchanged.
    """

    quiet_seconds: float = limited(10.0, 0.0, 86400.0)
    quiet_after_abort_seconds: float = limited(120.0, 0.0, 86400.0)
    not_eligible: Literal["keep", "forward"] = "keep"


@dataclass(frozen=True)
class Limits:
    """What nobody can make the node exceed.

    Args:
        pdu_bytes: longest PDU of data that is offered to peers.
        file_mb: largest image in MB.
        queue_gb: all files of the queue in GB.
        free_gb: space in GB left free on the disk.
        associations: at the same time.
        timeout_seconds: for one PDU, one answer, one idle association.
        denoise_minutes: for one series.
    """

    pdu_bytes: int = limited(131072, 4096, 1 << 24)
    file_mb: float = limited(1024.0, 0.001, 1e5)
    queue_gb: float = limited(50.0, 1e-6, 1e6)
    free_gb: float = limited(1.0, 0.0, 1e6)
    associations: int = limited(25, 1, 1000)
    timeout_seconds: float = limited(30.0, 0.1, 3600.0)
    denoise_minutes: float = limited(120.0, 0.01, 10000.0)


@dataclass(frozen=True)
class Retry:
    """How sending is tried again: pauses double from first to longest; given up after so many hours."""

    first_seconds: float = limited(5.0, 0.01, 3600.0)
    longest_seconds: float = limited(300.0, 0.01, 86400.0)
    give_up_hours: float = limited(72.0, 0.0, 10000.0)


@dataclass(frozen=True)
class Rule:
    """What to do with a series whose header matches; see `rules.choose`.

    Args:
        match: regular expression for each of some DICOM keywords, all of which must be found, case ignored.
        skip: do not denoise.
        model: ``rician``, ``salt-pepper`` or the folder of a MONAI bundle.
        strength: 0 to 1.
        sigma: ``auto`` or the noise level in the image's units.
        planes: ``auto``, 1 or 3.
        keep_vendor_headers: keep private blocks that describe the old pixels.
    """

    match: dict[str, str] = field(default_factory=dict)
    skip: bool = False
    model: str = "rician"
    strength: float = limited(1.0, 0.0, 1.0)
    sigma: str = "auto"
    planes: Literal["auto", 1, 3] = "auto"
    keep_vendor_headers: bool = False

    def __post_init__(self) -> None:
        for keyword, pattern in self.match.items():
            if tag_for_keyword(keyword) is None:
                raise ValueError(f"match.{keyword}: no such DICOM keyword")
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"match.{keyword}: no regular expression ({error})") from error
        try:
            find_bundle(self.model)
        except InputError as error:
            raise ValueError(f"model: {error}") from error
        try:
            wrong = self.sigma != "auto" and not 0 <= float(self.sigma) < float("inf")
        except ValueError:
            wrong = True
        if wrong:
            raise ValueError(f"sigma: must be auto or a number from 0 on (as text), not {self.sigma!r}")


@dataclass(frozen=True)
class NodeSettings:
    """All of a node.

    Args:
        spool: the folder of the queue, used by this node alone.
        destination: where derived series go.
        listen: the receiving side.
        peers: who may send. None listed: any AE title, but only if the node listens at a loopback address.
        series: when a series is complete.
        limits: what nobody can make the node exceed.
        retry: how sending is tried again.
        rules: the first that matches holds; none: denoise with the defaults of `Rule`.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        keep_days: how long what is done stays in the queue; a repeated image is known for so long.
    """

    spool: Path
    destination: Destination
    listen: Listen = field(default_factory=Listen)
    peers: tuple[Peer, ...] = ()
    series: Series = field(default_factory=Series)
    limits: Limits = field(default_factory=Limits)
    retry: Retry = field(default_factory=Retry)
    rules: tuple[Rule, ...] = ()
    device: str = "auto"
    keep_days: float = limited(1.0, 0.0, 10000.0)

    def __post_init__(self) -> None:
        if not self.peers and not is_loopback(self.listen.host):
            raise ValueError("peers: must say who may send, since listen.host is not a loopback address")


def load(path: Path | None, changes: dict[str, Any] | None = None) -> NodeSettings:
    """Read settings.

    Args:
        path: a YAML file, or None for `changes` alone.
        changes: values by dotted key (``listen.port``) that replace those of the file.

    Raises:
        InputError: in one line that names the key.
    """
    data: Any = {}
    if path is not None:
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: not YAML ({' '.join(str(error).split())[:160]})") from error
    if not isinstance(data, dict):
        raise InputError(f"{path}: must be a mapping of keys to values")
    for key, value in (changes or {}).items():
        *parents, last = key.split(".")
        place = data
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise InputError(f"settings: {parent}: must be a mapping of keys to values")
        place[last] = value
    return build(NodeSettings, data)
