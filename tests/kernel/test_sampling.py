"""From an agent's samples to series, on samples made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from damoos.kernel.sampling import Recorder, mean_over_time

MIB = 1 << 20


def sample(t_s: float, rss_mib: float, **more: Any) -> dict[str, Any]:
    vm = {"pswpin": 1000, "pswpout": 2000, "pgmajfault": 5}
    plain = {"t_s": t_s, "processes": 1, "rss_bytes": int(rss_mib * MIB), "swap_bytes": 0, "major_faults": 7}
    return {**plain, "vm": vm, **more}


def test_counters_start_at_nothing_and_never_fall() -> None:
    recorder = Recorder(sample(99.0, 1), 4096)
    recorder.add(
        sample(0.5, 2, major_faults=9, vm={"pswpin": 1003, "pswpout": 2010}, kdamonds={"5": 0.25, "6": 0.5}), 20
    )
    recorder.add(sample(1.0, 3, major_faults=8, kdamonds={}), 30.6)
    taken = recorder.samples()
    assert taken.t_s.tolist() == [0.0, 0.5, 1.0]
    assert taken.major_faults.tolist() == [0, 2, 2]
    assert (taken.swap_in_pages[1], taken.swap_out_pages[1]) == (3, 10)
    assert taken.kdamond_cpu_s.tolist() == [0.0, 0.75, 0.75]
    assert taken.nr_regions.tolist() == [0, 20, 31]
    assert recorder.totals(sample(2.0, 0, major_faults=12, vm={"pswpin": 1020, "pswpout": 2030})) == (5, 20, 30, 0.75)


def test_what_is_not_later_or_of_nobody_is_left_out() -> None:
    recorder = Recorder(sample(0.0, 1), 4096)
    recorder.add(sample(0.5, 2), 0)
    recorder.add(sample(0.5, 9), 0)
    recorder.add(sample(0.7, 0, processes=0), 0)
    assert recorder.samples().rss_bytes.tolist() == [MIB, 2 * MIB]
    assert recorder.samples(1).t_s.tolist() == [0.5]
    assert recorder.samples(until_s=0.4).t_s.tolist() == [0.0]


def test_larger_pages_count_as_several() -> None:
    recorder = Recorder(sample(0.0, 1), 65536)
    recorder.add(sample(0.5, 1, vm={"pswpin": 1001, "pswpout": 2002}), 0)
    taken = recorder.samples()
    assert (taken.swap_in_pages[1], taken.swap_out_pages[1]) == (16, 32)


def test_a_group_counts_instead_of_its_processes() -> None:
    recorder = Recorder(sample(0.0, 0, processes=0, cgroup={"memory_bytes": 5 * MIB, "major_faults": 3}), 4096)
    recorder.add(sample(0.5, 0, processes=0, cgroup={"memory_bytes": 6 * MIB, "swap_bytes": MIB, "major_faults": 5}), 0)
    taken = recorder.samples()
    assert taken.rss_bytes.tolist() == [5 * MIB, 6 * MIB]
    assert (taken.swap_bytes[1], taken.major_faults[1]) == (MIB, 2)


@pytest.mark.parametrize(("end_s", "mean"), [(1.0, 15.0), (2.0, 17.5), (0.0, 15.0)])
def test_means_are_weighted_by_time(end_s: float, mean: float) -> None:
    assert mean_over_time(np.array([0.0, 1.0]), np.array([10, 20]), end_s) == pytest.approx(mean)


def test_the_mean_of_one_moment_is_its_value() -> None:
    assert mean_over_time(np.array([0.0]), np.array([7]), 0.0) == 7.0
