"""Settings of a node: which series are denoised, how, when and within which limits; `endpoints` has the network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydicom.datadict import tag_for_keyword

from mri_denoise.bundles.registry import find_bundle
from mri_denoise.errors import InputError
from mri_denoise.node.endpoints import Destination, Listen, Peer, is_loopback
from mri_denoise.node.section import FilePath, List, Section, validate, wrong_key
from mri_denoise.settings import DEFAULTS, Quality, Sigma


class Series(Section):
    """When a series is complete, and what happens to one that is not denoised.

    Args:
        quiet_seconds: how long to wait for more images after its association was released.
        quiet_after_abort_seconds: the same after its association was aborted or the node was stopped.
        not_eligible: ``keep`` what is not denoised in the queue, or ``forward`` it unchanged.
    """

    quiet_seconds: float = Field(default=10.0, ge=0.0, le=86400.0)
    quiet_after_abort_seconds: float = Field(default=120.0, ge=0.0, le=86400.0)
    not_eligible: Literal["keep", "forward"] = "keep"


class Limits(Section):
    """Limits that no peer can make the node exceed.

    Args:
        pdu_bytes: length of a PDU of data.
        file_mb: size of an image in MB.
        queue_gb: size of all files of the queue in GB.
        free_gb: space in GB that stays free on the disk.
        associations: number of associations at the same time.
        associations_per_address: the same for one IP address, so that there is room for others.
        timeout_seconds: time for a PDU or an answer, and how long an association may be idle.
        denoise_minutes: time to denoise a series.
    """

    pdu_bytes: int = Field(default=131072, ge=4096, le=1 << 24)
    file_mb: float = Field(default=1024.0, ge=0.001, le=1e5)
    queue_gb: float = Field(default=50.0, ge=1e-6, le=1e6)
    free_gb: float = Field(default=1.0, ge=0.0, le=1e6)
    associations: int = Field(default=25, ge=1, le=1000)
    associations_per_address: int = Field(default=20, ge=1, le=1000)
    timeout_seconds: float = Field(default=30.0, ge=0.1, le=3600.0)
    denoise_minutes: float = Field(default=120.0, ge=0.01, le=10000.0)


class Retry(Section):
    """When sending is tried again.

    Args:
        first_seconds: pause after the first attempt; each further pause is twice as long.
        longest_seconds: longest pause.
        give_up_hours: time after the first attempt after which a series fails.
    """

    first_seconds: float = Field(default=5.0, ge=0.01, le=3600.0)
    longest_seconds: float = Field(default=300.0, ge=0.01, le=86400.0)
    give_up_hours: float = Field(default=72.0, ge=0.0, le=10000.0)


def _check_patterns(match: dict[str, str]) -> dict[str, str]:
    for keyword, pattern in match.items():
        if tag_for_keyword(keyword) is None:
            raise wrong_key(keyword, "no such DICOM keyword")
        try:
            re.compile(pattern)
        except re.error as error:
            raise wrong_key(keyword, f"not a regular expression ({error})") from error
    return match


def _check_model(name: str) -> str:
    find_bundle(name)
    return name


def _check_device(name: str) -> str:
    if re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name) is None:
        raise ValueError(f"must be auto, cpu, cuda or mps, not {name!r}")
    return name


def _to_text(value: object) -> object:
    """YAML reads 12.5 as a number, which needs no quotes here."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _check_sigma(text: str) -> str:
    try:
        known = Sigma.parse(text).kind != "map"
    except InputError:
        known = False
    if not known:
        raise ValueError(f"must be auto, map (measured at each voxel) or a number from 0 on, not {text!r}")
    return text


class Rule(Section):
    """What to do with a series whose header matches; see `rules.choose`.

    Args:
        match: a regular expression by DICOM keyword; all must be found in the header, case is ignored.
        skip: do not denoise.
        model: ``rician``, ``salt-pepper`` or the folder of a MONAI bundle.
        strength: 0 to 1.
        sigma: ``auto``, ``map`` (measured at each voxel) or the noise level in the image's units.
        quality: ``fast``, ``balanced`` or ``best``.
        keep_vendor_headers: keep private blocks that describe the old pixels.
    """

    match: Annotated[dict[str, str], AfterValidator(_check_patterns)] = Field(default_factory=dict)
    skip: bool = False
    model: Annotated[str, AfterValidator(_check_model)] = "rician"
    strength: float = Field(default=DEFAULTS.strength, ge=0.0, le=1.0)
    sigma: Annotated[str, BeforeValidator(_to_text), AfterValidator(_check_sigma)] = str(DEFAULTS.sigma)
    quality: Quality = DEFAULTS.quality
    keep_vendor_headers: bool = DEFAULTS.keep_vendor_headers


class NodeSettings(Section):
    """All settings of a node.

    Args:
        spool: the folder of the queue, which this node alone uses.
        destination: where derived series go.
        listen: the receiving side.
        peers: who may send. If there are none, every AE title may, but the node must listen at a loopback address.
        series: when a series is complete.
        limits: limits that no peer can make the node exceed.
        retry: when sending is tried again.
        rules: the first that matches applies; if none does, the defaults of `Rule` do.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        keep_days: how long a finished series stays in the queue, and a repeated image is recognised.
    """

    spool: FilePath
    destination: Destination
    listen: Listen = Listen()
    peers: List[Peer] = ()
    series: Series = Series()
    limits: Limits = Limits()
    retry: Retry = Retry()
    rules: List[Rule] = ()
    device: Annotated[str, AfterValidator(_check_device)] = "auto"
    keep_days: float = Field(default=1.0, ge=0.0, le=10000.0)

    @model_validator(mode="after")
    def _knows_its_peers(self) -> NodeSettings:
        if not self.peers and not is_loopback(self.listen.host):
            raise wrong_key("peers", "must say who may send, since listen.host is not a loopback address")
        return self


def load(path: Path | None, changes: Mapping[str, object] | None = None) -> NodeSettings:
    """Read the settings of a node.

    Args:
        path: a YAML file, or None for `changes` alone.
        changes: values by dotted key (``listen.port``) that replace those of the file.

    Raises:
        InputError: in one line that names the key.

    Examples:
        >>> destination = {"dicom": {"ae_title": "ARCHIVE", "host": "127.0.0.1"}}
        >>> load(None, {"spool": "queue", "destination": destination, "listen.port": 104}).listen.port
        104
    """
    data = {} if path is None else _read(path)
    for key, value in (changes or {}).items():
        data = _changed(data, key, value)
    return validate(NodeSettings, data)


def _read(path: Path) -> Mapping[str, object]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML ({' '.join(str(error).split())[:160]})") from error
    if not isinstance(data, dict):
        raise InputError(f"{path}: must be a mapping of keys to values")
    return data


def _changed(data: Mapping[str, object], key: str, value: object, where: str = "") -> Mapping[str, object]:
    """Copy a mapping, with another value at a dotted key."""
    first, _, rest = key.partition(".")
    if rest:
        where = f"{where}.{first}".removeprefix(".")
        inner = data.get(first, {})
        if not isinstance(inner, Mapping):
            raise InputError(f"settings: {where}: must be a mapping of keys to values, not {inner!r}")
        value = _changed(inner, rest, value, where)
    return {**data, first: value}
