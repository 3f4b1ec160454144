"""Access rates and ages between what people write (percent, time) and what the kernel keeps (samples, aggregations).

Both depend on the monitoring intervals. Counts come out by truncation, as in damo: at 5 ms and 100 ms, 1 % to 4 % are
0 samples and 99 ms are 0 aggregations. The arithmetic is exact; damo's binary floating point gives one sample less for
a few percentages (29 % of 100 samples is 28 there).
"""

from __future__ import annotations

from fractions import Fraction

from damoos.errors import UnitError
from damoos.units import U32_MAX, parse_count, parse_percent, parse_time_us

from .attrs import Intervals

_SAMPLES = "samples"
_AGGREGATIONS = "aggr_intervals"
COUNT_UNITS = (_SAMPLES, _AGGREGATIONS)
_RATE_FORMS = 'a percentage of the samples such as "20 %" or 20, a count such as "4 samples", "min" or "max"'
_AGE_FORMS = 'a time such as "5 s", a bare number of µs, a count such as "50 aggr_intervals", "min" or "max"'


def samples_per_aggregation(intervals: Intervals) -> int:
    """Samples in one aggregation, the greatest possible `nr_accesses`; the kernel takes an interval of 0 as 1 µs."""
    return max(intervals.aggr_us, 1) // max(intervals.sample_us, 1)


def samples_of(percent: Fraction | int, intervals: Intervals) -> int:
    """Percent of an aggregation's samples as a count, truncated, at most 2^32 - 1."""
    samples = Fraction(percent) * max(intervals.aggr_us, 1) / max(intervals.sample_us, 1) / 100
    return min(int(samples), U32_MAX)


def aggregations_of(us: int, intervals: Intervals) -> int:
    """µs as whole aggregations, truncated, at most 2^32 - 1."""
    return min(us // max(intervals.aggr_us, 1), U32_MAX)


def parse_nr_accesses(value: object, intervals: Intervals, *, field: str | None = None) -> int:
    """A bound of `nr_accesses` in samples: "20 %", bare percent, "4 samples", "min" or "max". Raises UnitError."""
    if value == "max":
        return U32_MAX
    count = _count_in(value, _SAMPLES, field)
    if count is not None:
        return count
    try:
        return samples_of(parse_percent(value, field=field), intervals)
    except UnitError as error:
        raise UnitError(error.problem, field=field, value=value, allowed=_RATE_FORMS) from None


def parse_age(value: object, intervals: Intervals, *, field: str | None = None) -> int:
    """A bound of `age` in aggregations: "5 s", bare µs, "50 aggr_intervals", "min" or "max". Raises UnitError."""
    if value == "max":
        return U32_MAX
    count = _count_in(value, _AGGREGATIONS, field)
    if count is not None:
        return count
    try:
        return aggregations_of(parse_time_us(value), intervals)
    except UnitError as error:
        raise UnitError(error.problem, field=field, value=value, allowed=_AGE_FORMS) from None


def nr_accesses_text(samples: int) -> str:
    """The form that is exact whatever the intervals: "4 samples"."""
    return f"{samples} {_SAMPLES}"


def age_text(aggregations: int) -> str:
    """The form that is exact whatever the intervals: "50 aggr_intervals"."""
    return f"{aggregations} {_AGGREGATIONS}"


def _count_in(value: object, unit: str, field: str | None) -> int | None:
    if isinstance(value, str) and value.endswith(unit):
        return parse_count(value.removesuffix(unit).strip(), field=field, maximum=U32_MAX)
    return None
