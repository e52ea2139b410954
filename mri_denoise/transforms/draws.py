"""Draw the parameters of random transforms. Applying them is the business of the transforms without ``Rand``."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Level = float | Sequence[float]
Chance = tuple[float, float, float]  # the two ends of a range, and the probability of drawing from it


def checked_range(level: Level, name: str) -> Level:
    """Check a number, or the two ends of a range.

    Args:
        level: what was given.
        name: of the argument, for the message.

    Raises:
        ValueError: if it is neither a number from 0 on, nor two with the lower one first.
    """
    ends = list(level) if isinstance(level, Sequence) else [level]
    numbers = all(isinstance(end, int | float | np.number) and 0 <= end < math.inf for end in ends)
    if len(ends) not in (1, 2) or not numbers or ends != sorted(ends):
        raise ValueError(f"{name}: a number from 0 on, or a range (low, high), not {level!r}")
    return level


def draw_from_range(level: Level, random: np.random.RandomState, power: float = 1.0) -> float:
    """Draw from a range (low, high): ``low + (high - low) * u**power`` with u uniform in [0, 1).

    Args:
        level: the range; one number is returned as it is, without a draw.
        random: source of randomness.
        power: above 1 favours the low end.
    """
    if not isinstance(level, Sequence):
        return float(level)
    low, high = level
    return float(low + (high - low) * random.uniform() ** power)


def draw_from_choices(choices: Level, random: np.random.RandomState) -> float:
    """Draw one of several numbers.

    Args:
        choices: the numbers; a single one is returned as it is, without a draw.
        random: source of randomness.
    """
    if not isinstance(choices, Sequence):
        return float(choices)
    return float(choices[random.randint(len(choices))])


def draw_by_chance(chance: Chance, otherwise: float, random: np.random.RandomState) -> float:
    """Draw evenly from a range with some probability.

    Args:
        chance: the ends of the range and the probability.
        otherwise: what is returned if nothing is drawn.
        random: source of randomness.
    """
    low, high, probability = chance
    return float(random.uniform(low, high)) if random.uniform() < probability else otherwise
