"""Errors in one line that a user can act on: which file, what is wrong, what to do."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input, in one line that a user can act on: which file, what is wrong with it, what to do."""


class OutputError(InputError):
    """A result that cannot be written, in one line: which file, why, what to do."""


class WeightsError(InputError):
    """Weights that are missing, altered or of another network, in one line."""


def find_error(error: BaseException) -> InputError | None:
    """The InputError behind the layers that transforms, engines and configs wrap around it, if there is one."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, InputError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def as_input_error(label: str, error: Exception) -> InputError:
    """One line for whatever went wrong with an image, so that the others go on.

    Args:
        label: how messages name the image.
        error: what was raised.
    """
    if isinstance(error, MemoryError):
        return InputError(f"{label}: too large for this computer's memory; cut it into parts.")
    unexpected = InputError(f"{label}: cannot be denoised ({reason(error)}); this is a bug, please report it.")
    return find_error(error) or unexpected


def reason(error: BaseException) -> str:
    """The type and the first line of the error at the root of others."""
    while error.__cause__ is not None:
        error = error.__cause__
    words = str(error).strip().splitlines()
    return f"{type(error).__name__}: {words[0]}" if words else type(error).__name__
