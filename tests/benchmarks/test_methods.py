"""Which methods a benchmark compares: what is there, what is wanted, what is missing."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from mri_denoise.benchmarks.accuracy.methods import candidates
from mri_denoise.benchmarks.baselines import BASELINES, Method
from mri_denoise.benchmarks.methods import Candidate, baseline_candidates, load_methods
from mri_denoise.bundles.registry import find_bundle
from mri_denoise.errors import InputError

LOADED: list[str] = []


def load(name: str) -> Method:
    LOADED.append(name)
    return replace(BASELINES["median"], name=name)


def fail(name: str) -> Method:
    raise InputError("its weights are altered.")


def network(name: str = "net", **options: object) -> Candidate:
    variants = {f"{name}-{planes}": f"{planes} planes" for planes in (3, 1)}
    return Candidate(**({"name": name, "label": name.upper(), "variants": variants, "load": load} | options))


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (None, ["noisy", "gaussian", "median", "net-3", "net-1"]),
        (["net"], ["noisy", "net-3", "net-1"]),
        (["net-1", "gaussian"], ["noisy", "gaussian", "net-1"]),
        (["noisy"], ["noisy"]),
    ],
)
def test_only_what_is_wanted_is_loaded(wanted: list[str] | None, names: list[str]) -> None:
    LOADED.clear()
    methods = load_methods([*baseline_candidates(["gaussian", "median"]), network()], wanted)
    assert [method.name for method in methods.found] == names and methods.absent == {}
    assert [name for name in names if name.startswith("net")] == LOADED


def test_a_name_that_nothing_has_is_told_with_those_that_there_are() -> None:
    message = re.escape("method gausian: not known; choose among gaussian, net, net-1, net-3, noisy.")
    with pytest.raises(InputError, match=message):
        load_methods([*baseline_candidates(["gaussian"]), network()], ["gausian"])


def test_what_is_missing_is_listed_with_what_to_do_and_only_if_it_is_wanted() -> None:
    missing = network("rare", available=False, hint="install it")
    rival = network("rival", load=fail, hint="train it", required=False)
    assert load_methods([missing, rival, network()]).absent == {"RARE": "install it", "RIVAL": "train it"}
    assert load_methods([missing, rival, network()], ["net", "rival-1"]).absent == {"RIVAL": "train it"}
    with pytest.raises(InputError, match="altered"):
        load_methods([network(load=fail)])


def test_two_methods_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="method net-1: two models have this name"):
        load_methods([network(), network()])


def test_accuracy_lists_each_bundle_with_its_variants() -> None:
    found = {c.name: c for c in candidates([find_bundle("rician")], "cpu")}
    assert list(found) == [
        "noisy", "gaussian", "wiener", "median", "tv", "wavelet", "nlmeans", "ants", "bm3d", "bm4d", "dncnn", "rician"
    ]  # fmt: skip
    assert list(found["rician"].variants) == [
        f"rician-{quality}{auto}" for quality in ("balanced", "best", "fast") for auto in ("", "-auto")
    ]
    assert found["rician"].variants["rician-best-auto"] == "HMAD-Net (rician), best, sigma estimated"
    assert (
        list(found["dncnn"].variants) == ["dncnn-balanced", "dncnn-best", "dncnn-fast"] and not found["dncnn"].required
    )
