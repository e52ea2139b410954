"""Where cases are denoised: one by one, side by side, or on a cluster; imports neither torch nor Dask."""

from __future__ import annotations

from dataclasses import dataclass

from mri_denoise.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Parallel:
    """How many cases at a time, and where.

    Args:
        jobs: cases side by side on this computer.
        cores: processor cores that they share; None for all that this process may use.
        memory_mb: megabytes that they share; None for all that this computer has.
        scheduler: address of a Dask scheduler (``tcp://host:8786``) whose workers do the work instead.

    Raises:
        InputError: for choices that do not go together.
    """

    jobs: int = 1
    cores: int | None = None
    memory_mb: int | None = None
    scheduler: str | None = None

    def __post_init__(self) -> None:
        if self.scheduler is not None and (self.jobs > 1 or self.cores is not None):
            option = "--jobs" if self.jobs > 1 else "--n-cpus"
            raise InputError(
                f"{option}: is for this computer, not for the workers of --scheduler; leave one of both out."
            )

    def on_cluster(self, cases: int) -> bool:
        """Whether so many cases are denoised by the workers of a cluster."""
        return self.scheduler is not None or (self.jobs > 1 and cases > 1)
