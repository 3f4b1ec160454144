"""What a running kdamond reports: regions, statistics, effective quotas, tuned intervals.

Each asks the kernel to bring its files up to date first, so each needs a kdamond that runs: once its targets have ended
it is gone, and asking is a BackendError. Sizes come out in bytes, whatever the context's address unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from damoos.damon.snapshot import SchemeStats, Snapshot
from damoos.errors import BackendError, HostError

from . import abi
from .control import Control
from .host import read_table, read_tree

_OF_REGION = ("start", "end", "nr_accesses", "age")
_SIZES = ("sz_tried", "sz_applied", "sz_ops_filter_passed")


def read_snapshot(control: Control, t_s: float, scheme: int = 0, kdamond: int = 0) -> Snapshot:
    """The regions that a scheme looked at last: all of them if it is a `stat` scheme that matches everything.

    Waits up to the scheme's apply interval. `t_s` is the moment that the caller gives it. Raises BackendError.
    """
    _update(control, "update_schemes_tried_regions", kdamond)
    folder = f"{_scheme(kdamond, scheme)}/tried_regions"
    found = control.patience(lambda: read_table(control.host, folder, _OF_REGION))
    unit = _address_unit(control, kdamond)
    # In Python's integers first: an address times its unit may pass 64 bits only on a tree that is broken.
    rows = sorted((int(start) * unit, int(end) * unit, int(n), int(age)) for start, end, n, age in found.values())
    start, end, nr_accesses, age = np.array(rows, np.int64).reshape(-1, 4).T
    sample_us, aggr_us = _intervals(control, kdamond)
    return Snapshot(
        t_s=t_s,
        start=start,
        end=end,
        nr_accesses=nr_accesses,
        age=age,
        sample_us=sample_us,
        aggr_us=aggr_us,
    )


def read_stats(control: Control, kdamond: int = 0) -> tuple[SchemeStats, ...]:
    """The counters of each scheme, those that the kernel lacks are 0, and its effective quota. Raises BackendError."""
    _update(control, "update_schemes_stats", kdamond)
    count = _nr_schemes(control, kdamond)
    found: dict[str, str] = {}
    for scheme in range(count):
        # Only these: below a scheme are some hundred files.
        counters = _tree(control, f"{_scheme(kdamond, scheme)}/stats")
        found |= {f"{scheme}/stats/{name}": text for name, text in counters.items()}
    stats = parse_stats(found, count, _address_unit(control, kdamond))
    if "#/contexts/#/schemes/#/quotas/effective_bytes" not in control.files:
        return stats
    quotas = read_effective_bytes(control, kdamond)
    return tuple(replace(s, effective_bytes=size) for s, size in zip(stats, quotas, strict=True))


def parse_stats(schemes: Mapping[str, str], count: int, address_unit: int) -> tuple[SchemeStats, ...]:
    """The counters in the files below `schemes/` (path there -> text); those that the kernel lacks are 0."""
    names = [name for name in SchemeStats.__dataclass_fields__ if name != "effective_bytes"]
    stats = []
    for scheme in range(count):
        counters = {name: int(schemes.get(f"{scheme}/stats/{name}", "0")) for name in names}
        stats.append(SchemeStats(**{n: v * address_unit if n in _SIZES else v for n, v in counters.items()}))
    return tuple(stats)


def read_effective_bytes(control: Control, kdamond: int = 0) -> tuple[int, ...]:
    """The size quota in force of each scheme, bytes per reset interval; 0 is none (Linux 6.9+). Raises BackendError."""
    _update(control, "update_schemes_effective_quotas", kdamond)
    schemes = range(_nr_schemes(control, kdamond))
    unit = _address_unit(control, kdamond)
    return tuple(unit * int(_read(control, f"{_scheme(kdamond, s)}/quotas/effective_bytes")) for s in schemes)


def read_tuned_intervals(control: Control, kdamond: int = 0) -> tuple[int, int]:
    """Sampling and aggregation interval in force, µs (Linux 6.15+). Raises BackendError.

    The kernel writes them into the input files: what is staged differs from what was asked for from then on.
    """
    _update(control, "update_tuned_intervals", kdamond)
    control.forget()
    return _intervals(control, kdamond)


def _update(control: Control, keyword: str, kdamond: int) -> None:
    try:
        control.command(keyword, kdamond)
    except HostError as error:
        if not control.is_on(kdamond):
            raise BackendError(f"{error.path}: kdamond {kdamond} has ended, so there is no {keyword}") from error
        raise BackendError(f"{error}; {keyword} is there from Linux {abi.STATE_KEYWORDS[keyword]} on") from error


def _context(kdamond: int) -> str:
    return f"{abi.KDAMONDS}/{kdamond}/contexts/0"


def _scheme(kdamond: int, scheme: int) -> str:
    return f"{_context(kdamond)}/schemes/{scheme}"


def _read(control: Control, path: str) -> str:
    return control.patience(lambda: control.host.read(path))


def _tree(control: Control, folder: str) -> dict[str, str]:
    return control.patience(lambda: read_tree(control.host, folder))


def _nr_schemes(control: Control, kdamond: int) -> int:
    return int(control.read_input(f"{_context(kdamond)}/schemes/nr_schemes"))


def _address_unit(control: Control, kdamond: int) -> int:
    if "#/contexts/#/addr_unit" not in control.files:
        return 1
    # Kernel: only paddr heeds the unit.
    paddr = control.read_input(f"{_context(kdamond)}/operations") == "paddr"
    return int(control.read_input(f"{_context(kdamond)}/addr_unit")) if paddr else 1


def _intervals(control: Control, kdamond: int) -> tuple[int, int]:
    folder = f"{_context(kdamond)}/monitoring_attrs/intervals"
    return int(control.read_input(f"{folder}/sample_us")), int(control.read_input(f"{folder}/aggr_us"))
