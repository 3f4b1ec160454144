"""From an agent's samples to the series and means of a result."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from damoos.backend.result import Samples

PAGE = 4096
"""Bytes of a page as this module counts them: `swap_in_pages` of machines with larger pages are converted."""


class Recorder:
    """The samples of one run, relative to the one that was taken just before it (`zero`).

    `page_bytes`: of the machine. Where a run is about a cgroup, its counters stand for those of processes.
    """

    def __init__(self, zero: dict[str, Any], page_bytes: int) -> None:
        self._zero = zero
        self._scale = page_bytes / PAGE
        self._psi = _stalled(zero) is not None
        self._rows: list[tuple[float, ...]] = []
        self._rows.append(self._row({**zero, "t_s": 0.0}, 0))

    def add(self, sample: dict[str, Any], nr_regions: float) -> None:
        """One more, unless it is not later than the last, or there is no process any more."""
        row = self._row(sample, nr_regions)
        if row[0] > self._rows[-1][0] and (sample.get("processes") != 0 or "cgroup" in sample):
            self._rows.append(row)

    @property
    def count(self) -> int:
        """How many there are, the one at the start included."""
        return len(self._rows)

    def totals(self, sample: dict[str, Any]) -> tuple[int, int, int, float]:
        """Major faults, pages swapped in and out, and kdamond's CPU time in s up to a sample."""
        row = self._row(sample, 0)
        faults, swapped_in, swapped_out = (int(max(row[i], self._rows[-1][i])) for i in (3, 4, 5))
        return faults, swapped_in, swapped_out, max(row[6], self._rows[-1][6])

    def stall_s(self, sample: dict[str, Any]) -> float | None:
        """Time stalled for memory up to a sample, s; None where the kernel doesn't measure it."""
        return max(self._row(sample, 0)[8], self._rows[-1][8]) if self._psi else None

    def samples(self, first: int = 0, until_s: float = float("inf")) -> Samples:
        """Those from index `first` on that are not later than `until_s`."""
        table = np.array(self._rows[first:], np.float64).reshape(-1, 9)
        table = table[table[:, 0] <= until_s]
        counts = table.astype(np.int64)
        return Samples(
            t_s=table[:, 0],
            rss_bytes=counts[:, 1],
            swap_bytes=counts[:, 2],
            major_faults=counts[:, 3],
            swap_in_pages=counts[:, 4],
            swap_out_pages=counts[:, 5],
            kdamond_cpu_s=table[:, 6],
            nr_regions=np.rint(table[:, 7]).astype(np.int64),
            stall_s=table[:, 8] if self._psi else None,
        )

    def _row(self, sample: dict[str, Any], nr_regions: float) -> tuple[float, ...]:
        group, zero_group = sample.get("cgroup"), self._zero.get("cgroup", {})
        vm, zero_vm = sample.get("vm", {}), self._zero.get("vm", {})
        if group is not None:
            rss, swap = group.get("memory_bytes", 0), group.get("swap_bytes", 0)
            faults = group.get("major_faults", 0) - zero_group.get("major_faults", 0)
        else:
            rss, swap = sample["rss_bytes"], sample["swap_bytes"]
            faults = sample["major_faults"] - self._zero["major_faults"]
        last = self._rows[-1] if self._rows else (0.0,) * 9
        # A kdamond or a process that has ended is in no sample any more.
        cpu = sum(sample.get("kdamonds", {}).values())
        swapped = [self._scale * (vm.get(n, 0) - zero_vm.get(n, 0)) for n in ("pswpin", "pswpout")]
        stall_s = ((_stalled(sample) or 0) - (_stalled(self._zero) or 0)) / 1e6
        return (
            sample["t_s"],
            rss,
            swap,
            max(faults, last[3]),
            *swapped,
            max(cpu, last[6]),
            nr_regions,
            max(stall_s, last[8]),
        )


def _stalled(sample: dict[str, Any]) -> int | None:
    # PSI's "some", µs since boot; the cgroup's where there is one.
    psi: dict[str, int] = sample.get("cgroup", sample).get("psi", {})
    return psi.get("some_us")


def mean_over_time(t_s: NDArray[np.float64], values: NDArray[np.int64], end_s: float) -> float:
    """The time-weighted mean of a series from its first moment to `end_s`, straight between samples, then level."""
    t = np.append(t_s, max(end_s, t_s[-1]))
    v = np.append(values, values[-1]).astype(np.float64)
    length = t[-1] - t[0]
    return float(np.trapezoid(v, t) / length) if length > 0 else float(v[0])
