"""What moves many simulated runs on in compiled code, in several threads; see `batch` and `fleet`.

Each run stays what it is alone: what it does depends neither on the others nor on the number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from . import engine
from .session import SimSession
from .state import SHOWN

_CHUNKS_PER_THREAD = 4
"""So that a thread whose runs are cheap goes on with others."""


class Together:
    """Runs that are moved on together. What is shown of them: `shown`, float64 [runs, SHOWN], see `engine.step`."""

    def __init__(self, sessions: Sequence[SimSession], threads: int | None = None) -> None:
        """`threads`: how many at most; None: one a CPU that this process may use."""
        self._sessions = list(sessions)
        n = len(self._sessions)
        threads = min(n, len(os.sched_getaffinity(0)) if threads is None else threads)
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        parts = 1 if self._pool is None else min(n, threads * _CHUNKS_PER_THREAD)
        bounds = np.linspace(0, n, parts + 1).astype(int)
        self._chunks = [slice(a, b) for a, b in zip(bounds, bounds[1:], strict=False)]
        self._until_us, self._shown = np.zeros(n), np.zeros((n, SHOWN))

    @property
    def sessions(self) -> tuple[SimSession, ...]:
        """The runs; between two steps they can be used as if alone."""
        return tuple(self._sessions)

    def close(self) -> None:
        """Closes the sessions."""
        for session in self._sessions:
            session.close()
        if self._pool is not None:
            self._pool.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _addresses(self) -> NDArray[np.int64]:
        # Raises BackendError if a session is closed.
        return np.array([s.address for s in self._sessions], np.int64)

    def _move(
        self,
        addresses: NDArray[np.int64],
        seconds: float | NDArray[np.float64],
        then: Callable[[slice], None] | None = None,
    ) -> None:
        # Lets each run go on by `seconds`, and does `then` to each part of the runs, in the thread that moved it on.
        self._until_us[:] = np.asarray(seconds) * 1e6

        def go_on(what: int) -> bool:
            def part(at: slice) -> bool:
                full = bool(engine.step(addresses[at], what, self._until_us[at], self._shown[at]))
                if then is not None:
                    then(at)
                return full

            return any(self._each(part))

        full = go_on(engine.ADVANCE)
        while full:
            for session in self._sessions:
                session.empty_buffers()
            full = go_on(engine.RUN)

    def _each(self, part: Callable[[slice], bool]) -> list[bool]:
        # All parts are waited for.
        return [*(map if self._pool is None else self._pool.map)(part, self._chunks)]
