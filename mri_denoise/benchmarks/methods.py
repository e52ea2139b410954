"""The selection of methods that every benchmark shares: which there are, which are wanted, which are missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from mri_denoise.benchmarks.baselines import BASELINES, NOISY, Method
from mri_denoise.benchmarks.baselines.base import INSTALL, Classical
from mri_denoise.errors import InputError

DNCNN_CITATION = (
    "Zhang et al., IEEE TIP 26(7), 3142-3155, 2017, doi:10.1109/TIP.2017.2662206; trained here on the same data"
)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A method, or several variants of one, before it is loaded.

    Args:
        name: what the command line calls all of its variants, as ``rician`` for ``rician-best`` and ``rician-fast``.
        label: how it is listed where it is absent.
        variants: the label of each variant in tables, by its name; a method without variants has its own name here.
        load: returns the variant of a name.
        hint: what to do to get the method where it is absent.
        available: whether what it needs is here.
        required: whether a variant that cannot be loaded is an error; otherwise the method is absent.
    """

    name: str
    label: str
    variants: Mapping[str, str]
    load: Callable[[str], Method]
    hint: str = ""
    available: bool = True
    required: bool = True

    @classmethod
    def of(cls, method: Classical) -> Candidate:
        """The candidate of a method that needs no loading."""
        return cls(
            name=method.name,
            label=method.label,
            variants={method.name: method.label},
            load=lambda name: method,
            hint=INSTALL,
            available=method.available(),
        )

    def chosen(self, wanted: Sequence[str] | None) -> list[str]:
        """The names of the variants that are wanted; all for None, or where the candidate itself is named."""
        return [name for name in self.variants if wanted is None or name in wanted or self.name in wanted]


@dataclass(frozen=True, kw_only=True)
class Methods:
    """What is compared.

    Args:
        found: the methods in the order of the tables.
        absent: what to do to get the methods that are missing, by label.
    """

    found: tuple[Method, ...]
    absent: Mapping[str, str]

    @property
    def by_name(self) -> dict[str, Method]:
        """The methods by their short names."""
        return {method.name: method for method in self.found}


def baseline_candidates(names: Iterable[str]) -> list[Candidate]:
    """The noisy image itself, and the classical methods of these names."""
    return [Candidate.of(NOISY), *(Candidate.of(BASELINES[name]) for name in names)]


def load_methods(candidates: Sequence[Candidate], wanted: Sequence[str] | None = None) -> Methods:
    """Load the methods that are wanted and available. The noisy image is always one of them.

    Args:
        candidates: what there is, in the order of the tables.
        wanted: names of candidates or of variants; all by default.

    Raises:
        InputError: for a name that no candidate has, a name that two methods share, or a method that is required and
            cannot be loaded.
    """
    if wanted is not None:
        known = {NOISY.name}.union(*({c.name, *c.variants} for c in candidates))
        unknown = [name for name in wanted if name not in known]
        if unknown:
            raise InputError(f"method {unknown[0]}: not known; choose among {', '.join(sorted(known))}.")
        wanted = [NOISY.name, *wanted]
    found: dict[str, Method] = {}
    absent: dict[str, str] = {}
    for candidate in candidates:
        names = candidate.chosen(wanted)
        if names and not candidate.available:
            absent[candidate.label] = candidate.hint
            continue
        twice = found.keys() & set(names)
        if twice:
            raise InputError(f"method {min(twice)}: two models have this name; rename the folder of one.")
        try:
            found |= {name: candidate.load(name) for name in names}
        except InputError:
            if candidate.required:
                raise
            absent[candidate.label] = candidate.hint
    return Methods(found=tuple(found.values()), absent=absent)
