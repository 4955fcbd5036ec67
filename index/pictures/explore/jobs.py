"""Answers that take long: each is asked for once, one after another, while pages say how far it is."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Event, Lock, Thread
from typing import Any

from index.errors import ParameterError
from index.progress import Progress

MOST_AT_ONCE = 4
"""So many may be on their way."""

MOST_KEPT = 32
"""So many answers are kept, the last ones that were looked at."""

Ask = Callable[[Progress], Any]
"""Works out an answer, or a map."""


class Job:
    """An answer on its way."""

    def __init__(self) -> None:
        self.step, self.share = "waiting for another answer", 0.0  # the share of the step that is done
        self.answer: Any = None  # until it is there
        self.error: Exception | None = None
        self.done = Event()

    def work(self, ask: Ask) -> None:
        """Ask, and keep what comes of it."""
        try:
            self._report("at work", 0.0)
            self.answer = ask(self._report)
        except Exception as error:  # noqa: BLE001 - whatever it is, who waits for the answer is told
            self.error = error
        finally:
            self.done.set()

    def _report(self, step: str, done: float, total: float = 1.0, /) -> None:
        self.step, self.share = step, done / total if total else 0.0


class Jobs:
    """The answers that were asked for of one bundle."""

    def __init__(self) -> None:
        self._jobs: dict[Hashable, Job] = {}
        self._lock = Lock()
        self._turn = Lock()

    def get(self, key: Hashable, ask: Ask, patience: float) -> Job:
        """Return the job of a key, done or not after some seconds; begun now, where it is not on its way.

        Raises what the question raised, once: then it may be asked again. ParameterError where too many are on their
        way.
        """
        job = self._job(key, ask)
        job.done.wait(patience)
        if job.error is not None:
            with self._lock:
                self._jobs.pop(key, None)
            raise job.error
        return job

    def answer(self, key: Hashable) -> Any:
        """Return the answer of a key where it is there; None where it is on its way, failed, or was not asked for."""
        with self._lock:
            job = self._jobs.get(key)
        return None if job is None else job.answer

    def _job(self, key: Hashable, ask: Ask) -> Job:
        with self._lock:
            job = self._jobs.pop(key, None)
            if job is None:
                if sum(not each.done.is_set() for each in self._jobs.values()) >= MOST_AT_ONCE:
                    raise ParameterError(f"{MOST_AT_ONCE} long answers are on their way; ask again when one is there")
                job = Job()
                Thread(target=self._work, args=(job, ask), daemon=True).start()  # it ends with the program
            self._jobs[key] = job
            for old in [each for each, one in self._jobs.items() if one.done.is_set()][:-MOST_KEPT]:
                del self._jobs[old]
            return job

    def _work(self, job: Job, ask: Ask) -> None:
        with self._turn:
            job.work(ask)
