"""Spaces and points for tests."""

from hypothesis import strategies as st

from damoos.damon.kdamonds import Kdamonds
from damoos.damon.schemes import ANYTHING, Action, Scheme
from damoos.tune.space import Condition, Parameter, Space
from damoos.tune.testing import ACTION, QUOTA

SCHEME = Scheme(Action.PAGEOUT, ANYTHING)

WEIGHT = Parameter(
    "age_weight",
    "prioritise the old",
    "schemes[0].quotas.weights.age_permil",
    "percent",
    50.0,
    0.0,
    100.0,
    when=Condition("quota", (64 << 20,)),
)
AGE = Parameter("min_age", "idle", "schemes[0].access_pattern.age.min", "time", 5_000_000, 100_000, 60_000_000, "log")
RATE = Parameter("max_rate", "rate", "schemes[0].access_pattern.nr_accesses.max", "percent", 0.0, 0.0, 20.0)
FLOOR = Parameter("min_rate", "rate", "schemes[0].access_pattern.nr_accesses.min", "percent", 0.0, 0.0, 10.0)
SAMPLE = Parameter("sample", "interval", "intervals.sample_us", "time", 5_000, 1_000, 100_000, "log")
SAMPLES = Parameter("samples", "per aggregation", "samples_per_aggregation", "count", 20, 3, 100, "log")
REGIONS = Parameter("regions", "at most", "nr_regions.max", "count", 1_000, 100, 2_000)
RESET = Parameter("reset", "window", "schemes[0].quotas.reset_interval_ms", "time", 1_000_000, 200_000, 5_000_000)

# What is counted in intervals comes before them: the order must not matter.
MIXED = Space((AGE, RATE, FLOOR, SAMPLES, SAMPLE, REGIONS, RESET, ACTION, QUOTA), Kdamonds.of(schemes=[SCHEME]))


def points(space: Space) -> st.SearchStrategy[list[float]]:
    return st.lists(st.floats(0, 1), min_size=space.dimensions, max_size=space.dimensions)
