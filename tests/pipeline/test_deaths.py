"""What two threads note and ask of workers that died."""

from __future__ import annotations

import sys
import threading

from mri_denoise.pipeline.deaths import Deaths


def test_deaths_are_counted_by_case_with_the_memory_that_was_too_much() -> None:
    deaths = Deaths()
    deaths.add_memory("b", 5)
    assert not deaths.add(3, "a") and deaths.add(3, "b") and not deaths.add(4, "a")
    assert deaths.workers(3) == ["a", "b"] and deaths.workers(5) == [] and deaths.cases() == {3, 4}
    assert (deaths.memory(3), deaths.memory(4), deaths.memory(5)) == (5, 0, 0)


def test_one_thread_may_ask_while_another_one_notes() -> None:
    deaths, count = Deaths(), 3000
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        notes = threading.Thread(target=lambda: [deaths.add(n, f"w{n}") for n in range(count)])
        notes.start()
        while notes.is_alive():
            assert all(len(deaths.workers(number)) == 1 for number in list(deaths.cases())[-3:])
            deaths.memory(0)
        notes.join()
    finally:
        sys.setswitchinterval(before)
    assert deaths.cases() == set(range(count))
