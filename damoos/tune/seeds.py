"""Seeds of runs and samplers, all derived from the one seed of a study."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What seeds are for. Those of different streams differ, so that nothing is verified with what it was found by."""

    SEARCH = 0
    FINAL = 1
    VERIFY = 2
    SAMPLER = 3


def run_seeds(study_seed: int, stream: Stream, count: int) -> tuple[int, ...]:
    """The first `count` seeds of runs, 32 bits each, distinct within and between the streams of a study."""
    # The two highest bits are the stream's, the others a permutation of the index: no two can meet.
    key, mask = _word(study_seed, Stream.SAMPLER + 1), (1 << 30) - 1
    odd = 2 * (key >> 2) + 1
    return tuple((int(stream) << 30) | (((i + 1) * odd + key) & mask) for i in range(count))


def watch_seed(study_seed: int) -> int:
    """The seed of the run that is watched before a search: of the stream that no other run has."""
    return run_seeds(study_seed, Stream.SAMPLER, 1)[0]


def sampler_seed(study_seed: int, trial: int) -> int:
    """The seed of the sampler that proposes a trial; it depends on nothing that happened in the process before."""
    return _word(study_seed, Stream.SAMPLER, trial)


def _word(*key: int) -> int:
    return int(np.random.SeedSequence(key).generate_state(1, np.uint32)[0])
