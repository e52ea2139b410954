"""One of several equal parts of a study, for computers that divide it among themselves without a scheduler."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from mri_denoise.errors import InputError

_Thing = TypeVar("_Thing")


@dataclass(frozen=True, kw_only=True)
class Share:
    """Every Nth thing, from the Kth on: the same things on every computer that lists them in the same order.

    Args:
        number: K, from 1 to `count`.
        count: N, how many shares there are.
    """

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Share:
        """Read ``K/N``.

        Raises:
            InputError: if it is none.

        Examples:
            >>> Share.parse("2/3").of(["a", "b", "c", "d", "e"])
            ['b', 'e']
        """
        found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        number, count = (int(part) for part in found.groups()) if found else (0, 0)
        if not 1 <= number <= count:
            raise InputError(f"--share {text}: must be K/N, a number from 1 to N and how many shares there are, as 2/5")
        return cls(number=number, count=count)

    def of(self, things: Sequence[_Thing]) -> list[_Thing]:
        """The things of this share, in their order."""
        return list(things[self.number - 1 :: self.count])

    def check(self, things: int, what: str) -> None:
        """Refuse shares that would be empty, on every computer alike.

        Args:
            things: how many there are to divide.
            what: they are, in the plural.

        Raises:
            InputError: if there are fewer than shares.
        """
        if 0 < things < self.count:
            raise InputError(f"--share {self.number}/{self.count}: more shares than {what} ({things}); use fewer")
