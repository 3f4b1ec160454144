"""Machine models: what things cost on a named machine. Data files: `machines/*.toml`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from damoos.catalogue import check_keys, find, line_of, read_toml
from damoos.damon.features import kernel_version
from damoos.errors import ConfigError

THP_MODES = ("never", "madvise", "always")
MAX_NODES = 4
KERNELS = ("6.12", "6.18", "7.0", "7.1", "7.3")
"""Linux versions whose DAMON can be imitated; 7.2 is as 7.1."""


@dataclass(frozen=True)
class Node:
    """A NUMA node: `memory_bytes` of room for the workload (0: without end), and by how much an access takes longer
    than on node 0, random (latency) and sequential (bandwidth)."""

    memory_bytes: int = 0
    random_factor: float = 1.0
    sequential_factor: float = 1.0


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

    What follows may be left out of a file. `kernel`: the Linux version whose DAMON is imitated, one of `KERNELS`.
    Memory: `memory_bytes` all that the machine has (0: not known, so that nothing can depend on it),
    `memory_used_bytes` what others than the workload hold, `swap_memory_share` of swapped bytes that stay in memory
    (compressed swap), `stall_share` of a major fault's time that counts as stalled for memory (PSI), `pcp_share` of
    memory that the per-CPU lists of freed pages may hold, which don't count as free. `fragmented_bytes` of a node lie
    in blocks of 4 MiB of which only parts are free (see `frames`; at most half of it). Of what others hold actions of
    physical memory reach `other_lru_bytes`, which can be paged out, and `other_locked_bytes`, which can't.
    `program_pages`: what the program that runs a workload has in memory besides a small static one, of which it uses
    `program_hot_pages` around each batch: what kdamond sees of an interpreter.
    `random_write_per_ms`: random accesses that only write, where they are not as fast as others (0: they are).
    Huge pages: `thp`, the policy never, madvise or always; `huge_random_gain`, `huge_sequential_gain` the share of an
    access's time that a huge mapping saves (0 to 1); `huge_fault_us` the first touch of 2 MiB; `pageout_huge_page_us`
    kdamond's CPU per 4 KiB of a huge page paged out (0: as small pages); `collapse_us` making 2 MiB of small pages
    huge; `khugepaged_us` time between two such collapses by khugepaged (0: it does not run).
    Physical memory: `physical_region_sample_us` kdamond's CPU per region and iteration where that is monitored (0: as
    for a process), `walk_absent_page_us` per page that an action looks at and that is nobody's.
    Reclaim: `limit_bytes` that the workload may have in memory (as a cgroup's memory.max; 0: no limit), `lru_noise`
    share (0 to 1) of the pages that the kernel reclaims whether they have been used lately or not.
    Tiers: `nodes`, up to four, node 0 first; `migrate_page_us` kdamond's CPU per page moved, `walk_page_us` per page
    that a folio-based action looks at, `lru_page_us` per page that `lru_prio` or `lru_deprio` sorts (0: the same).
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
    program_pages: int = 0
    program_hot_pages: int = 0
    random_write_per_ms: float = 0.0
    kernel: str = KERNELS[-1]
    memory_bytes: int = 0
    memory_used_bytes: int = 0
    swap_memory_share: float = 0.0
    stall_share: float = 1.0
    pcp_share: float = 0.0
    fragmented_bytes: int = 134_217_728
    other_lru_bytes: int = 0
    other_locked_bytes: int = 0
    thp: str = "never"
    huge_random_gain: float = 0.0
    huge_sequential_gain: float = 0.0
    huge_fault_us: float = 0.0
    pageout_huge_page_us: float = 0.0
    collapse_us: float = 0.0
    khugepaged_us: float = 0.0
    physical_region_sample_us: float = 0.0
    walk_absent_page_us: float = 0.0
    limit_bytes: int = 0
    lru_noise: float = 0.0
    nodes: tuple[Node, ...] = ()
    migrate_page_us: float = 0.0
    walk_page_us: float = 0.0
    lru_page_us: float = 0.0


_POSITIVE = {"sequential_per_ms", "random_per_ms", "tick_us", "coarse_sleep_us", "readahead_pages"}


def load_machine(name_or_path: str) -> Machine:
    """The machine model of that name or file. Raises InputError (unknown name), ConfigError (bad file)."""
    path = find("machines", name_or_path)
    return read_machine(Path(path))


def read_machine(path: Path) -> Machine:
    """Reads one machine model; keys without a default are required. Raises ConfigError with file, key, value."""
    return machine_of(read_toml(path), path)


def machine_of(table: dict[str, Any], path: Path) -> Machine:
    """The machine model that a file's `table` describes; named after the file."""
    wanted = {f.name: f for f in fields(Machine) if f.name != "name"}
    check_keys(table, wanted, path)
    values: dict[str, Any] = {}
    for key, field in wanted.items():
        if key in table:
            values[key] = _nodes(table[key], path) if key == "nodes" else _value(key, table[key], str(field.type), path)
        elif field.default is MISSING:
            raise ConfigError("missing", file=path, field=key)
    for key, words in (("thp", THP_MODES), ("kernel", KERNELS)):
        if values.get(key, words[0]) not in words:
            line = line_of(path, key)
            raise ConfigError("unknown", file=path, line=line, field=key, value=values[key], allowed=", ".join(words))
    return Machine(name=path.stem, **values)


def _value(key: str, value: Any, kind: str, path: Path) -> Any:
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value).__name__ != kind:
        raise ConfigError("wrong type", file=path, line=line_of(path, key), field=key, value=value, allowed=kind)
    if isinstance(value, int | float) and (value < 0 or (value == 0 and key in _POSITIVE)):
        raise ConfigError(
            "out of range", file=path, line=line_of(path, key), field=key, value=value, allowed="positive"
        )
    return value


def _nodes(tables: Any, path: Path) -> tuple[Node, ...]:
    if not isinstance(tables, list) or len(tables) > MAX_NODES:
        raise ConfigError("not a list of nodes", file=path, field="nodes", allowed=f"up to {MAX_NODES} [[nodes]]")
    found = []
    for number, table in enumerate(tables):
        kinds = {f.name: str(f.type) for f in fields(Node)}
        check_keys(table, kinds, path)
        node = Node(**{key: _value(key, value, kinds[key], path) for key, value in table.items()})
        if min(node.random_factor, node.sequential_factor) <= 0.0:
            raise ConfigError(
                "out of range", file=path, field=f"nodes[{number}]", value=node, allowed="factors above 0"
            )
        found.append(node)
    return tuple(found)


def imitated(release: str) -> str:
    """The newest of `KERNELS` that is not newer than `release` such as "7.2.1-amd64"; the oldest for older ones.

    Raises InputError for what is no kernel version.
    """
    asked = kernel_version(release)
    return next((k for k in reversed(KERNELS) if kernel_version(k) <= asked), KERNELS[0])
