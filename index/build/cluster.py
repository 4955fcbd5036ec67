"""Workers that do idempotent, file-to-file work: processes of this machine, or a Dask cluster that shares its files.

What is handed out may be done twice and counts once, so whatever becomes of a worker or of the scheduler is mended in
one way: it is handed out again. Whoever does the work sees by its files what is done already.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from statistics import median
from typing import Any, TypeVar

from index.build.place import UnfinishedError
from index.errors import LogoscopeError, ParameterError, parameter
from index.files import brief, require
from index.progress import Progress
from index.search.graph import core_count

MOST_WORKERS = 256
DEATHS = 3
"""How many workers may die of a piece of work before it is given up."""
CONNECT_SECONDS = 15
RETURN_SECONDS = 300
"""How long a scheduler that went away is waited for."""
POLL_SECONDS = 1.0
SLOW, SLOW_SECONDS = 3.0, 5.0
"""What takes so many times the median, and more than so many seconds, is handed out again where a worker is idle."""

_NOT_THE_SAME = ("Error during deserialization", "Can't get attribute")
"""What a scheduler says to work that it cannot read, and a worker, whose logoscope is another one."""

Item = TypeVar("Item")
Found = TypeVar("Found")


@dataclass
class _Run:
    """A piece of work that is handed out."""

    item: Any
    key: int  # its number among all pieces
    began: float  # by time.monotonic
    again: bool = False  # whether it was handed out once more
    over: bool = False  # whether another worker was done with it first


@dataclass
class Cluster:
    """Workers, and how many threads each piece of work runs there; None for all cores of its machine."""

    connect: Callable[[], Any]
    scheduler: str | None
    threads: int | None
    client: Any = field(default=None, repr=False)
    running: dict[Any, _Run] = field(default_factory=dict, repr=False)  # by future
    deserted: bool = field(default=False, repr=False)  # whether there was no worker at all

    def spread(
        self, work: Callable[[Item], Found], items: Iterable[Item], progress: Progress
    ) -> Iterator[tuple[Item, Found | LogoscopeError]]:
        """Yield each item with what a worker made of it, or why none could, as they come.

        Nobody waits for a slow worker: two may do the same at a time. `progress` hears who is waited for. Raises
        UnfinishedError where the scheduler went away and did not come back.
        """
        waiting = deque(enumerate(items))
        seconds: list[float] = []
        while waiting or self._wanted():
            try:
                self._hand_out(work, waiting, progress)
                if not waiting:
                    self._hand_out_again(work, seconds)
                done = self._finished()
            except Exception as error:
                if not self._has_lost(error):
                    raise
                again = {run.key: run.item for run in self._wanted()}
                waiting.extendleft(sorted(again.items(), reverse=True, key=lambda piece: piece[0]))
                self.running.clear()
                self._reconnect(error, progress)
                continue
            for future, found in done:
                run = self.running.pop(future)
                same = [other for other in self.running.values() if other.key == run.key]
                if run.over or (same and isinstance(found, LogoscopeError)):  # who else is at it may do it yet
                    continue
                if isinstance(found, BaseException) and not isinstance(found, LogoscopeError):
                    raise found
                for other in same:
                    other.over = True
                seconds.append(time.monotonic() - run.began)
                yield run.item, found

    def _wanted(self) -> list[_Run]:
        return [run for run in self.running.values() if not run.over]

    def _hand_out(self, work: Callable[[Item], Any], waiting: deque[tuple[int, Item]], progress: Progress) -> None:
        """Hand out one piece for each thread of a worker: who is quick gets more of them."""
        threads = sum(self.client.nthreads().values())
        if self.deserted or not threads:
            self.deserted = not threads
            progress(f"waiting for a worker of {self.scheduler or 'this machine'}", int(not self.deserted), 1)
        while waiting and (len(self.running) < threads or not self._wanted()):
            key, item = waiting[0]
            future = self.client.submit(work, item, pure=False)
            self.running[future] = _Run(item, key, time.monotonic())
            waiting.popleft()

    def _hand_out_again(self, work: Callable[[Item], Any], seconds: list[float]) -> None:
        """Give what is long under way to a worker that has nothing to do, if there is one."""
        if not seconds:
            return
        idle = [worker for worker, keys in self.client.processing().items() if not keys]
        limit = max(SLOW_SECONDS, SLOW * median(seconds))
        late = [run for run in self._wanted() if not run.again and time.monotonic() - run.began > limit]
        for run in late[: len(idle)]:
            run.again = True
            copy = self.client.submit(work, run.item, pure=False, workers=idle, allow_other_workers=False)
            self.running[copy] = _Run(run.item, run.key, time.monotonic(), again=True)

    def _finished(self) -> list[tuple[Any, Any]]:
        """Return the futures that are done with what was made, or raised; none where none was for a moment."""
        from distributed import CancelledError, wait

        with suppress(TimeoutError):
            wait(list(self.running), timeout=POLL_SECONDS, return_when="FIRST_COMPLETED")
        if self.client.status != "running":
            raise CancelledError
        done = [future for future in self.running if future.done()]
        if any(future.status not in ("finished", "error") for future in done):
            raise CancelledError
        return [(future, _made(future)) for future in done]

    def _has_lost(self, error: Exception) -> bool:
        """Whether an error says that the connection to the scheduler is lost.

        Dask's client gives up by itself after a while, and then fails at whatever it is asked, in ways of its own.
        """
        from distributed import CancelledError

        if isinstance(error, LogoscopeError):
            return False
        return isinstance(error, (CancelledError, OSError)) or self.client.status != "running"

    def _reconnect(self, error: BaseException, progress: Progress) -> None:
        """Find the scheduler again, or another one at its address."""
        step = f"waiting for the scheduler {self.scheduler or 'of this machine'}"
        progress(step, 0, 1)
        until = time.monotonic() + RETURN_SECONDS
        while True:
            with suppress(Exception):  # whatever it is, this client is done with
                self.client.close(timeout=1)
            try:
                self.client = self.connect()
                progress(step, 1, 1)
                return
            except (OSError, ValueError) as refused:
                if self.scheduler is None or time.monotonic() > until:
                    raise UnfinishedError(
                        f"the scheduler {self.scheduler} went away ({brief(error)}) and did not come back for "
                        f"{RETURN_SECONDS} s; what is done is kept, and the same command goes on from there"
                    ) from refused
                time.sleep(POLL_SECONDS)


def _made(future: Any) -> Any:
    """Return what a worker made, or the error that it ended in."""
    from distributed import KilledWorker

    error = future.exception()
    if isinstance(error, KilledWorker):
        return LogoscopeError(f"{DEATHS} workers died of it: it may need more memory than they have")
    if isinstance(error, ImportError) or any(said in str(error) for said in _NOT_THE_SAME):
        raise UnfinishedError(
            f"the scheduler or a worker has not the same logoscope, or not the same libraries: {brief(error)}; what is "
            "done is kept, install the same there, and run the command again"
        ) from error
    return future.result() if error is None else error


def check_workers(workers: int | None, scheduler: str | None) -> None:
    """Raise ParameterError for workers that there cannot be."""
    if scheduler is not None and workers is not None:
        raise ParameterError(f"{parameter('scheduler')} has workers of its own; leave {parameter('workers')} out")
    if workers is not None and not 1 <= workers <= MOST_WORKERS:
        raise ParameterError(f"{parameter('workers')} must be from 1 to {MOST_WORKERS}, got: {workers}")


@contextmanager
def connected(workers: int | None, scheduler: str | None, threads: int | None, command: str) -> Iterator[Cluster]:
    """Give the workers of a scheduler, or some of this machine that end with the block.

    `command` is what they are for. Raises ParameterError where there cannot be such workers.
    """
    check_workers(workers, scheduler)
    require("distributed", extra="cluster", command=command, program="build_index.py")
    import dask
    from distributed import Client

    # A build bounds its own memory; Dask would pause and kill by the pages of files that it has mapped.
    settings: dict[str, object] = {
        f"distributed.worker.memory.{name}": False for name in ("target", "spill", "pause", "terminate")
    }
    settings |= {"distributed.scheduler.allowed-failures": DEATHS - 1}
    with dask.config.set(settings), ExitStack() as stack:
        if scheduler is None:
            threads = threads or max(1, core_count() // (workers or 1))
            local = stack.enter_context(_local(workers))
            cluster = Cluster(lambda: Client(local), None, threads)
        else:
            cluster = Cluster(lambda: Client(scheduler, timeout=CONNECT_SECONDS), scheduler, threads)
        try:
            cluster.client = cluster.connect()
        except (OSError, ValueError) as error:
            raise ParameterError(f"{parameter('scheduler', scheduler)} does not answer: {brief(error)}") from error
        stack.callback(lambda: cluster.client.close())
        with _quiet():
            if scheduler is not None:
                _require_logoscope(cluster.client, scheduler)
            yield cluster


def _require_logoscope(client: Any, scheduler: str) -> None:
    """Raise ParameterError for a worker without logoscope: it would end at the first piece of work, without a word."""
    from distributed import wait

    asked = {
        client.submit(exec, "import index", pure=False, workers=[worker], allow_other_workers=False): worker
        for worker in client.nthreads()
    }
    with suppress(TimeoutError):  # one that hangs is no reason to
        wait(list(asked), timeout=CONNECT_SECONDS)
    for future, worker in asked.items():
        if future.status == "error":
            raise ParameterError(
                f"{parameter('scheduler', scheduler)} has a worker, {worker}, without logoscope: "
                f"{brief(future.exception())}; install the same there"
            )


@contextmanager
def perhaps_connected(workers: int | None, scheduler: str | None, threads: int | None) -> Iterator[Cluster | None]:
    """Give the workers of a build, as `connected` does; None where neither they nor a scheduler are asked for."""
    if workers is None and scheduler is None:
        yield None
        return
    with connected(workers, scheduler, threads, "--workers" if scheduler is None else "--scheduler") as cluster:
        yield cluster


@contextmanager
def _local(workers: int | None) -> Iterator[Any]:
    from distributed import LocalCluster

    with environment_kept(), ExitStack() as stack:
        with environment_kept():  # this process goes on with its own while the workers run
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                protocol="tls://",
                security=True,  # keys of this cluster alone: who else is on this machine cannot send it code
                host="127.0.0.1",
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
            )
            stack.enter_context(cluster)
        yield cluster


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's own remarks on a connection that is lost from standard error: what is waited for is told."""
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextmanager
def environment_kept() -> Iterator[None]:
    """Leave the environment of this process as it was: Dask writes into it what the workers it starts are to have."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
