"""Many cases on the workers of a Dask cluster: each is done once, whatever becomes of the workers."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from distributed import CancelledError, Client, Future, KilledWorker, wait

from mri_denoise.bundles.registry import Bundle
from mri_denoise.errors import InputError, as_input_error
from mri_denoise.io.case import Case
from mri_denoise.io.leftovers import Temporary
from mri_denoise.pipeline.cluster import TRIES, open_cluster
from mri_denoise.pipeline.deaths import Deaths
from mri_denoise.pipeline.files import sweep_results
from mri_denoise.pipeline.on_worker import Done, Order, denoise_here, end_run, fingerprint, why_unfit
from mri_denoise.pipeline.parallel import Parallel
from mri_denoise.settings import Settings

_LOOK_SECONDS = 1.0  # how often workers are looked at
_NO_WORKER_SECONDS = 60.0  # how long a run waits for one
_END_SECONDS = 10.0  # what a case gets to remove what is half-written


def denoise_cohort(
    bundle: Bundle,
    cases: Sequence[Case],
    output_dir: Path,
    settings: Settings,
    parallel: Parallel,
    note: Callable[[str], None],
) -> Generator[tuple[int, Done], None, None]:
    """Denoise cases on a cluster.

    A case whose worker dies is given to another one; after several deaths it fails, and the rest goes on. Closing the
    generator gives up what is under way and leaves nothing half-written.

    Args:
        bundle: what to run.
        cases: at least one; on a cluster that runs already, with absolute paths.
        output_dir: where the results go.
        settings: the user's choices.
        parallel: where.
        note: called with what a user should know of the workers, in one line.

    Yields:
        the number of a case and what became of it, as they end.

    Raises:
        InputError: if the bundle or the cluster cannot be used.
    """
    order = Order(
        run=uuid.uuid4().hex,
        model=bundle.folder.name if bundle.shipped else str(bundle.folder),
        fingerprint=fingerprint(bundle),
        output_dir=output_dir,
        settings=settings,
    )
    broken: set[int] = set()
    with ExitStack() as stack:
        # when workers have ended
        stack.callback(lambda: sweep_results([cases[number] for number in sorted(broken)], output_dir))
        client = stack.enter_context(open_cluster(parallel, len(cases)))
        probes = list(_probes(stack, cases, output_dir)) if parallel.scheduler else []
        where = f"--scheduler {parallel.scheduler}" if parallel.scheduler else "this computer"
        yield from _Cohort(client, order, cases, probes, where, note, broken).run()


def _probes(stack: ExitStack, cases: Sequence[Case], output_dir: Path) -> Iterable[Path]:
    """Files that workers must see: the first input, and a new one in the output folder if that can be written."""
    yield from cases[0].sources[:1]
    with suppress(OSError):  # each case says so
        output_dir.mkdir(parents=True, exist_ok=True)
        marker = Temporary(output_dir, lambda path: path.touch(exist_ok=False))
        stack.callback(marker.close)
        yield marker.path


class _Cohort:
    """A run: at any time as many cases are with the scheduler as there are workers that may do them.

    So the death of a worker counts against one case; Dask counts it against all that wait at that worker.
    """

    def __init__(
        self,
        client: Client,
        order: Order,
        cases: Sequence[Case],
        probes: Sequence[Path],
        where: str,
        note: Callable[[str], None],
        broken: set[int],
    ) -> None:
        self._client, self._order, self._cases, self._probes = client, order, cases, probes
        self._where, self._note, self._broken = where, note, broken
        self._fit: set[str] = set()
        self._unfit: set[str] = set()
        self._seen = time.monotonic()  # when there was a worker
        self._queue = deque(range(len(cases)))
        self._pending: dict[Future[Done], tuple[int, frozenset[str]]] = {}
        self._keys: dict[str, int] = {}
        self._deaths = Deaths()
        self._given_up: list[int] = []
        self._news: deque[str] = deque()

    def run(self) -> Generator[tuple[int, Done], None, None]:
        """The outcomes, as cases end."""
        self._client.subscribe_topic("all", self._hear)
        self._client.subscribe_topic("worker-restart-memory", self._hear_memory)
        try:
            while self._queue or self._pending:
                lost = self._advance()
                for number, done in [*self._ended(), *self._left(lost)]:
                    if done.unfit:
                        self._queue.appendleft(number)
                        continue
                    yield number, done
                while self._news:
                    self._note(self._news.popleft())
        finally:
            self._stop()

    def _advance(self) -> str:
        """Give cases to workers and wait for a moment; what makes an end of the run, if anything does."""
        try:
            self._look_at_workers()
            while self._queue and len(self._pending) < len(self._fit):
                number = self._queue.popleft()
                deaths = len(self._deaths.workers(number))
                if deaths < TRIES:
                    if deaths:  # what the dead worker left must not pass for somebody's file
                        sweep_results([self._cases[number]], self._order.output_dir)
                    self._submit(number)
                else:
                    self._given_up.append(number)
        except (OSError, asyncio.TimeoutError):
            return f"the scheduler of {self._where} does not answer any more"
        if self._fit:
            self._seen = time.monotonic()
        elif time.monotonic() - self._seen > _NO_WORKER_SECONDS:
            if not self._keys:
                raise InputError(f"{self._where}: no worker came within {_NO_WORKER_SECONDS:.0f} s; start some.")
            return f"no worker of {self._where} is left"
        if self._pending:
            with suppress(asyncio.TimeoutError, CancelledError):
                wait(list(self._pending), timeout=_LOOK_SECONDS, return_when="FIRST_COMPLETED")
        elif self._queue:
            time.sleep(_LOOK_SECONDS)
        return ""

    def _look_at_workers(self) -> None:
        """Check those that are new, forget those that are gone."""
        there = set(self._client.nthreads())
        self._fit &= there
        new = there - self._fit - self._unfit
        if new:
            found = self._client.run(why_unfit, self._order, self._probes, workers=sorted(new), on_error="return")
            for address, why in found.items():
                if isinstance(why, OSError):  # gone already
                    continue
                if why is None:
                    self._fit.add(address)
                else:
                    self._refuse(address, f"cannot be asked ({why})" if isinstance(why, Exception) else why)
        if there and not self._fit and not self._keys and there <= self._unfit:
            raise InputError(f"{self._where}: none of its workers can be used.")
        for future, (number, allowed) in list(self._pending.items()):
            if allowed and not allowed & there:  # the scheduler would wait for those that are gone
                del self._pending[future]
                future.cancel()
                self._queue.appendleft(number)

    def _refuse(self, address: str, why: str) -> None:
        self._fit.discard(address)
        self._unfit.add(address)
        self._note(f"worker {address} is not used: {why}")

    def _submit(self, number: int) -> None:
        allowed = frozenset(self._fit) if self._unfit else frozenset[str]()
        key = f"mri-denoise-{self._order.run}-{len(self._keys)}"
        self._keys[key] = number
        future = self._client.submit(
            denoise_here,
            self._order,
            self._cases[number],
            key=key,
            pure=False,
            workers=sorted(allowed) or None,
        )
        self._pending[future] = (number, allowed)

    def _ended(self) -> Iterable[tuple[int, Done]]:
        while self._given_up:
            number = self._given_up.pop()
            yield number, Done(worker=self._deaths.workers(number)[-1], error=self._why_killed(number))
        for future in [future for future in self._pending if future.done()]:
            number, _ = self._pending.pop(future)
            yield number, self._outcome(future, number)
            future.release()

    def _outcome(self, future: Future[Done], number: int) -> Done:
        label = self._cases[number].label
        try:
            done: Done = future.result()
        except KilledWorker as error:
            return Done(worker=error.last_worker.address, error=self._why_killed(number))
        except CancelledError:
            return Done(worker="", error=f"{label}: the scheduler gave it up; run again")
        except InputError:
            raise
        except Exception as error:
            return Done(worker="", error=str(as_input_error(label, error)))
        if done.unfit:
            self._refuse(done.worker, done.unfit)
        return done

    def _why_killed(self, number: int) -> str:
        label, deaths, taken = self._cases[number].label, self._deaths.workers(number), self._deaths.memory(number)
        help_ = "use fewer --jobs, or workers with more memory"
        if taken:
            return f"{label}: takes more memory than a worker has ({taken // 10**6} MB were too much); {help_}"
        times = f"{len(deaths) or 'several'} times"
        return f"{label}: its worker process ended {times}, perhaps because memory ran out; {help_}"

    def _left(self, lost: str) -> Iterable[tuple[int, Done]]:
        """The cases that nobody will do, if the cluster is lost."""
        if lost:
            left = sorted([number for number, _ in self._pending.values()] + list(self._queue))
            self._pending.clear()
            self._queue.clear()
            for number in left:
                label = self._cases[number].label
                yield number, Done(worker="", error=f"{label}: not denoised, {lost}; run again for what is missing")

    def _hear(self, event: tuple[float, Any]) -> None:
        """In the client's thread: a worker has gone, perhaps with a case."""
        _, what = event
        if not isinstance(what, dict) or what.get("action") != "remove-worker" or what.get("expected"):
            return
        for key in what.get("processing-tasks", ()):
            if key in self._keys:
                number = self._keys[key]
                why = " took too much memory" if self._deaths.add(number, what["worker"]) else "'s process ended"
                self._news.append(f"worker {what['worker']}{why} with {self._cases[number].label}")

    def _hear_memory(self, event: tuple[float, Any]) -> None:
        _, what = event
        self._deaths.add_memory(what["worker"], what["rss"])

    def _stop(self) -> None:
        """Give up what is under way."""
        if self._pending:
            with suppress(Exception):  # of a cluster that is gone, too
                self._client.run(end_run, self._order.run, on_error="ignore")
                wait(list(self._pending), timeout=_END_SECONDS)
            self._broken.update(number for number, _ in self._pending.values())
        self._broken.update(self._deaths.cases())
