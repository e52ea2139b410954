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
    return find_error(error) or _unexpected(label, error)


def _unexpected(label: str, error: BaseException) -> InputError:
    """One line for an error that nothing foresaw."""
    while error.__cause__ is not None:
        error = error.__cause__
    return InputError(f"{label}: cannot be denoised ({in_one_line(error)}); this is a bug, please report it.")


def in_one_line(error: BaseException) -> str:
    """The type of an error and the first line of its message.

    Examples:
        >>> in_one_line(RuntimeError("out of memory"))
        'RuntimeError: out of memory'
    """
    words = str(error).strip().splitlines()
    return f"{type(error).__name__}: {words[0]}" if words else type(error).__name__
