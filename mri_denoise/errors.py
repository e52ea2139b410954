"""Errors in one line that a user can act on: which file, what is wrong, what to do."""

from __future__ import annotations

import errno
import unicodedata
from collections.abc import Iterator

_UNPRINTABLE = ("Cc", "Cf", "Cs", "Zl", "Zp")  # categories of Unicode
_NO_MEMORY = (
    *("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory", "bad_alloc"),
    "could not create a primitive",  # oneDNN's words for it
)


class InputError(ValueError):
    """Bad input, in one line that a user can act on: which file, what is wrong with it, what to do."""


class OutputError(InputError):
    """A result that cannot be written, in one line: which file, why, what to do."""


class WeightsError(InputError):
    """Weights that are missing, altered or of another network, in one line."""


def find_error(error: BaseException) -> InputError | None:
    """The InputError behind the layers that transforms, engines and configs wrap around it, if there is one."""
    return next((cause for cause in _causes(error) if isinstance(cause, InputError)), None)


def as_input_error(
    label: str,
    error: BaseException,
    *,
    failed: str = "cannot be denoised",
    remedy: str = "this is a bug, please report it",
) -> InputError:
    """One line for whatever went wrong with an image, so that the others go on; or with a training.

    Args:
        label: how messages name the image.
        error: what was raised.
        failed: what could not be done, where the reason is none that this package knows.
        remedy: what to do then.
    """
    found = find_error(error)
    if found is not None:
        return found
    if any(_is_memory(cause) for cause in _causes(error)):
        return InputError(f"{label}: too large for this computer's free memory; cut it into parts, or free memory.")
    if (system := system_reason(error)) is not None:
        return InputError(f"{label}: {system}; free space, or check the folders.")
    return InputError(f"{label}: {failed} ({reason(error)}); {remedy}.")


def printable(text: str) -> str:
    r"""A text on one line without characters that steer a terminal, as names of files may hold them.

    Control characters, marks that turn the direction of writing, and bytes that are no text are written as escapes.

    Examples:
        >>> printable("a" + chr(27) + "[31mb" + chr(10) + ".nii")
        'a\\x1b[31mb\\n.nii'
    """
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _UNPRINTABLE else char for char in text
    )


def system_reason(error: BaseException) -> str | None:
    """What the operating system says behind the layers of libraries, as "No space left on device"; None if nothing."""
    causes = (cause for cause in _causes(error) if isinstance(cause, OSError))
    return next((cause.strerror for cause in causes if cause.strerror), None)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and those behind it."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _is_memory(error: BaseException) -> bool:
    """Whether memory ran out; PyTorch says so by the words of a RuntimeError."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    words = str(error).lower()
    return any(sign in words for sign in _NO_MEMORY)


def reason(error: BaseException) -> str:
    """The type and the first line of the error at the root of others."""
    while error.__cause__ is not None:
        error = error.__cause__
    words = str(error).strip().splitlines()
    return f"{type(error).__name__}: {words[0]}" if words else type(error).__name__
