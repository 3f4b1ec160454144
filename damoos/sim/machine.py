"""Machine models: what things cost on a named machine. Data files: `machines/*.toml`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from damoos.catalogue import check_keys, find, line_of, read_toml
from damoos.errors import ConfigError


@dataclass(frozen=True)
class Machine:
    """Costs and rates of one machine; times in µs.

    Workload: `sequential_per_ms`, `random_per_ms` accesses per ms of an undisturbed workload; `batch_us` what choosing
    a batch's pattern costs; `major_fault_us` what one swap-in stalls it, `major_fault_hard_us` one of a page that is
    hard to compress (random writes make pages so), `minor_fault_us` one first touch; `readahead_pages` pages that one
    major fault of a sequential access brings in.
    kdamond: `sample_us` CPU per sampling iteration, `region_sample_us` CPU per region and iteration (clearing and
    checking one page table entry), `pageout_page_us` and `swapin_page_us` CPU per page of the actions,
    `pageout_hard_page_us` for one that is hard to compress, `scan_page_us` CPU per page that page-out walks over,
    whether it is in memory or not.
    Clock: `tick_us` the timer tick; sleeps of `coarse_sleep_us` and more are rounded up to whole ticks plus one;
    `slack_us` what a shorter sleep oversleeps.
    Sharing: with `shared_cpu` kdamond and the workload have one CPU between them; then each sampling iteration costs
    the workload `switch_us` more than kdamond's CPU, and kdamond waits `wait_share` of its own CPU time for the CPU
    while the workload runs; turning DAMON on takes the workload `start_us` once.
    `rss_base_bytes`: resident memory of the process that can't be paged out.
    """

    name: str
    title: str
    description: str
    shared_cpu: bool
    sequential_per_ms: float
    random_per_ms: float
    batch_us: float
    major_fault_us: float
    major_fault_hard_us: float
    minor_fault_us: float
    readahead_pages: int
    sample_us: float
    region_sample_us: float
    pageout_page_us: float
    pageout_hard_page_us: float
    scan_page_us: float
    swapin_page_us: float
    tick_us: float
    coarse_sleep_us: float
    slack_us: float
    switch_us: float
    wait_share: float
    start_us: float
    rss_base_bytes: int


_POSITIVE = {"sequential_per_ms", "random_per_ms", "tick_us", "coarse_sleep_us", "readahead_pages"}


def load_machine(name_or_path: str) -> Machine:
    """The machine model of that name or file. Raises InputError (unknown name), ConfigError (bad file)."""
    path = find("machines", name_or_path)
    return read_machine(Path(path))


def read_machine(path: Path) -> Machine:
    """Reads one machine model; every key is required. Raises ConfigError with file, key, value."""
    table = read_toml(path)
    wanted = {f.name: f.type for f in fields(Machine) if f.name != "name"}
    check_keys(table, wanted, path)
    values: dict[str, object] = {}
    for key, kind in wanted.items():
        if key not in table:
            raise ConfigError("missing", file=path, field=key)
        value = table[key]
        if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value).__name__ != kind:
            raise ConfigError(
                "wrong type", file=path, line=line_of(path, key), field=key, value=value, allowed=str(kind)
            )
        if isinstance(value, int | float) and (value < 0 or (value == 0 and key in _POSITIVE)):
            raise ConfigError(
                "out of range", file=path, line=line_of(path, key), field=key, value=value, allowed="positive"
            )
        values[key] = value
    return Machine(name=path.stem, **values)  # type: ignore[arg-type]
