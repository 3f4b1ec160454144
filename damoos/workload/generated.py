"""masim workloads drawn at random, for training, validation and tests that no workload is shared by.

`generated-train-17` is number 17 of those to learn from; `validation` and `test` are the other splits. A workload is a
function of its name alone. The splits are drawn from one grammar by generators with different keys, so that what is
learned from one split was never seen in another.

The grammar: 3 to 7 regions, 96 to 768 MiB in all, of sizes that differ up to a hundredfold; each region has a way of
access (random, or sequential by pages or cache lines) and in each phase a heat (hot, warm, rare or idle); one of six
courses says how heats change over 50 to 120 s:

| course | what happens |
| --- | --- |
| steady | heats stay as they are |
| shifting | two to five stages, the heats drawn anew for each |
| cyclic | a long stage and a short one alternate; the short one uses what is idle else |
| bursty | work and sleep alternate |
| walking | one region after the other is hot, in turn |
| growing | one region after the other comes in; older ones cool down |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from damoos.errors import ConfigError

from .masim import MasimWorkload, Pattern, Phase, Region

SPLITS = ("train", "validation", "test")
_NAME = re.compile(r"generated-([a-z]+)-(\d+)")
_KEY = 0x6461
_MIB = 2**20
_LOAD_MIB_PER_S = 128
_NUMBER_MAX = 2**31 - 1

IDLE, RARE, WARM, HOT = 0, 1, 30, 1000
"""Probabilities of a region in a phase."""

Heats = tuple[int, ...]
Stage = tuple[str, int, Heats]
"""Name, ms, and the heat of each region; no heat at all is sleep."""
Course = Callable[[np.random.Generator, int, int], Iterator[Stage]]


def named(name: str) -> MasimWorkload | None:
    """The workload of a name such as `generated-test-3`; None if it is no such name. Raises ConfigError for an unknown
    split, or a number of 2^31 and more."""
    match = _NAME.fullmatch(name)
    return None if match is None else generate(match[1], int(match[2]))


def generate(split: str, number: int) -> MasimWorkload:
    """Workload `number` (0 to 2^31 - 1) of a split. Raises ConfigError."""
    if split not in SPLITS:
        raise ConfigError("unknown split", field="split", value=split, allowed=", ".join(SPLITS))
    if not 0 <= number <= _NUMBER_MAX:
        raise ConfigError("out of range", field="number", value=number, allowed=f"0 to {_NUMBER_MAX}")
    rng = np.random.default_rng([_KEY, SPLITS.index(split), number])
    sizes = _sizes(rng)
    regions = tuple(Region(f"r{i}", size) for i, size in enumerate(sizes))
    ways = [_way(rng) for _ in regions]
    course = list(COURSES)[int(rng.integers(len(COURSES)))]
    stages = [*_load(course, sizes), *COURSES[course](rng, len(regions), int(rng.integers(50, 91)) * 1000)]
    phases = tuple(
        Phase(f"{at} {name}", ms, _patterns(regions, ways, heats, load=name == "load"))
        for at, (name, ms, heats) in enumerate(stages)
    )
    return MasimWorkload(f"generated-{split}-{number}", regions, phases)


def in_brief(names: Iterable[str]) -> list[str]:
    """The names in their order, with runs of numbers in one as a range: `generated-train-0:3` are 0, 1 and 2."""
    found: list[str] = []
    split, first, end = "", 0, -1
    for name in names:
        match = _NAME.fullmatch(name)
        if match is not None and match[1] == split and int(match[2]) == end:
            end += 1
            found[-1] = f"generated-{split}-{first}:{end}"
        else:
            found.append(name)
            split, first, end = ("", 0, -1) if match is None else (match[1], int(match[2]), int(match[2]) + 1)
    return found


def course_of(workload: MasimWorkload) -> str:
    """Which course a generated workload follows."""
    return workload.phases[-1].name.split()[1]


def _sizes(rng: np.random.Generator) -> list[int]:
    total = _MIB * np.exp(rng.uniform(np.log(96), np.log(768)))
    shares = np.exp(rng.uniform(0.0, np.log(100.0), int(rng.integers(3, 8))))
    return [max(int(size) // _MIB, 1) * _MIB for size in total * shares / shares.sum()]


def _way(rng: np.random.Generator) -> tuple[bool, int, str]:
    random = bool(rng.random() < 0.5)
    mode = ("ro", "wo", "rw")[int(rng.integers(3))]
    return random, 0 if random else (64, 4096)[int(rng.integers(2))], mode


def _load(course: str, sizes: Sequence[int]) -> Iterator[Stage]:
    if course != "growing":
        yield "load", max(sum(sizes) // _MIB * 1000 // _LOAD_MIB_PER_S, 500), (1,) * len(sizes)


def _patterns(
    regions: Sequence[Region], ways: Sequence[tuple[bool, int, str]], heats: Heats, *, load: bool
) -> tuple[Pattern, ...]:
    if load:
        return tuple(Pattern(region.name, False, 4096, 1, "wo") for region in regions)
    return tuple(
        Pattern(region.name, random, stride, heat, mode)
        for region, (random, stride, mode), heat in zip(regions, ways, heats, strict=True)
        if heat != IDLE
    )


def _heats(rng: np.random.Generator, n: int) -> Heats:
    drawn = rng.choice((IDLE, RARE, WARM, HOT), n, p=(0.4, 0.1, 0.2, 0.3))
    drawn[rng.integers(n)] = HOT
    return tuple(int(heat) for heat in drawn)


def _steady(rng: np.random.Generator, n: int, ms: int) -> Iterator[Stage]:
    yield "steady", ms, _heats(rng, n)


def _shifting(rng: np.random.Generator, n: int, ms: int) -> Iterator[Stage]:
    for share in rng.dirichlet(np.full(int(rng.integers(2, 6)), 4.0)):
        yield "shifting", max(int(ms * share), 1000), _heats(rng, n)


def _cyclic(rng: np.random.Generator, n: int, ms: int) -> Iterator[Stage]:
    long, short = _heats(rng, n), list(_heats(rng, n))
    idle = [i for i, heat in enumerate(long) if heat == IDLE] or [n - 1]
    short[idle[int(rng.integers(len(idle)))]] = HOT
    long_ms, short_ms = int(rng.integers(4_000, 20_001)), int(rng.integers(1_000, 5_001))
    for _ in range(max(-(-ms // (long_ms + short_ms)), 2)):
        yield "cyclic", long_ms, long
        yield "cyclic", short_ms, tuple(short)


def _bursty(rng: np.random.Generator, n: int, ms: int) -> Iterator[Stage]:
    heats = _heats(rng, n)
    work_ms, sleep_ms = int(rng.integers(1_000, 8_001)), int(rng.integers(1_000, 10_001))
    for _ in range(max(-(-ms // (work_ms + sleep_ms)), 2)):
        yield "bursty", work_ms, heats
        yield "bursty", sleep_ms, (IDLE,) * n


def _walking(rng: np.random.Generator, n: int, ms: int) -> Iterator[Stage]:
    base = [RARE if rng.random() < 0.2 else IDLE for _ in range(n)]
    rounds = int(rng.integers(1, 4))
    for turn in range(rounds * n):
        yield "walking", max(ms // (rounds * n), 1000), tuple(HOT if i == turn % n else base[i] for i in range(n))


def _growing(rng: np.random.Generator, n: int, ms: int) -> Iterator[Stage]:
    kept = int(rng.integers(1, 3))
    for newest in range(n):
        ages = [newest - i for i in range(n)]
        heats = (
            IDLE if age < 0 else HOT if age == 0 else WARM if age <= kept else RARE if rng.random() < 0.3 else IDLE
            for age in ages
        )
        yield "growing", max(ms // n, 1000), tuple(heats)


COURSES: dict[str, Course] = {
    "steady": _steady,
    "shifting": _shifting,
    "cyclic": _cyclic,
    "bursty": _bursty,
    "walking": _walking,
    "growing": _growing,
}
