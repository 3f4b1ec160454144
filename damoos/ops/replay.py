"""Running a recorded scenario again: the same workload, kdamonds, pace and feedback on any backend."""

from __future__ import annotations

from typing import Any

from damoos.backend.base import Backend
from damoos.backend.feed import Feed, run_fed
from damoos.backend.result import Result
from damoos.errors import ConfigError, InputError

from .record import scenario_of


def replay(recording: dict[str, Any], backend: Backend, seed: int) -> Result:
    """A run of a recording's scenario on `backend`, which has the recording's pace.

    Raises ConfigError for what can't be read, and as the backend does.
    """
    workload, kdamonds, _ = scenario_of(recording)
    feed = feed_of(recording)
    with backend.start(workload, kdamonds, seed) as session:
        if feed is None or kdamonds is None:
            return session.finish()
        return run_fed(session, kdamonds, feed)


def feed_of(recording: dict[str, Any]) -> Feed | None:
    """What was fed to the quota's first goal while the recording was made. Raises ConfigError for an unknown signal."""
    block = recording.get("feedback")
    if block is None:
        return None
    try:
        return Feed(block["kind"], block["every_ms"] / 1e3)
    except InputError as error:
        raise ConfigError(
            error.problem, field=f"feedback.{error.field}", value=error.value, allowed=error.allowed
        ) from None
