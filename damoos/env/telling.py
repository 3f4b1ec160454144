"""What environments tell of a trial in `info`."""

from __future__ import annotations

from typing import Any

from damoos.tune.outcome import Trial


def told_of(trial: Trial) -> dict[str, Any]:
    """Its score (percent), whether it kept the limits, overheads (percent), parameters with units, damo's tree of the
    kdamonds, and why it failed (None: it did not)."""
    return {
        "score": trial.score,
        "feasible": trial.feasible,
        "runtime_overhead_percent": trial.runtime_overhead_percent,
        "rss_overhead_percent": trial.rss_overhead_percent,
        "params": trial.params_text,
        "kdamonds": trial.kdamonds,
        "error": trial.error,
    }
