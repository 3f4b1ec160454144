"""The fake answers as real kernels did, where tests lean on it: tests/data/sysfs/errors.md, row by row."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from damoos.damon.attrs import Intervals
from damoos.damon.kdamonds import Kdamonds
from damoos.damon.schemes import ANYTHING, Action, Scheme
from damoos.errors import HostError
from damoos.kernel import abi
from damoos.kernel.abi import KDAMONDS
from damoos.kernel.control import Control

from .fake import FakeTree
from .trees import DATA, KERNELS

# What the fake leaves out: checks of schemes and regions at `on`, and texts that are not as we write them.
LEFT_OUT = re.compile(
    r"@RAW@|@NL@|0x|module/damon|probes/|dests/|pause|obsolete|weights/|goals/|quotas|memcg|4294967296"
)
SECTIONS = (
    "nr_kdamonds",
    "nr_contexts",
    "operations",
    "addr_unit",
    "refresh_ms",
    "intervals: not a number",
    "intervals: sample",
    "nr_regions",
    "targets: no such process",
    "targets: pid 0",
    "contexts: none",
    "schemes: action keywords",
    "access_pattern: large numbers",
    "watermarks: keywords",
    "state:",
    "structure while running",
    "parameters while running",
    "target ends while running",
)


@dataclass(frozen=True)
class Case:
    name: str
    start: str
    first: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, str, str], ...]


def cases() -> Iterator[Case]:
    for section in re.split(r"^## ", (DATA / "errors.md").read_text(), flags=re.MULTILINE)[1:]:
        title, *lines = section.splitlines()
        if not title.startswith(SECTIONS) or "hexadecimal" in title:
            continue
        start = re.search(r" \(from \*(\S+)\*\)$", title)
        rows = [re.findall(r"(?<=\| )[^|]+(?= \|)", line) for line in lines if line.startswith("| `")]
        first = [
            tuple(step.split(" ← ")) for line in lines if line.startswith("first") for step in line.split("`")[1::2]
        ]
        yield Case(title, start[1] if start else "", tuple(first), tuple(tuple(row) for row in rows))  # type: ignore[misc]


CASES = list(cases())


def at(start: str, kernel: str) -> FakeTree:
    host = FakeTree(kernel, alive={1, 100}, regions=[(4194304, 5058560, 0, 3)])
    control = Control(host, abi.files_of(kernel))
    if start in ("kdamond", "context"):
        host.write(f"{KDAMONDS}/nr_kdamonds", "1")
    if start == "context":
        host.write(f"{KDAMONDS}/0/contexts/nr_contexts", "1")
    if start in ("std", "on"):
        watch = Scheme(action=Action.STAT, access_pattern=ANYTHING)
        control.stage(Kdamonds.of(Intervals(), schemes=[watch]), [100])
    if start == "on":
        control.turn_on()
    return host


def answer(host: FakeTree, path: str, value: str) -> str:
    try:
        host.write(f"{KDAMONDS}/{path}", value)
    except HostError as error:
        return errno.errorcode[error.errno]
    return "ok"


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_answers_are_those_of_the_kernel(case: Case, kernel: str) -> None:
    host = at(case.start, kernel)
    if case.name.startswith("target ends"):
        host.target_exits()
    for path, value in case.first:
        assert answer(host, path, value) == "ok"
    for what, *answers in case.rows:
        expected = answers[KERNELS.index(kernel)].strip("`").removesuffix(" (no such file)")
        what = what.strip("`")
        if LEFT_OUT.search(what) or what.endswith("/age") or expected == "ENOENT" and what.startswith("read"):
            continue
        if what.startswith("read "):
            assert " ".join(host.read(f"{KDAMONDS}/{what[5:]}").split()) == expected, what
        else:
            assert answer(host, *what.split(" ← ")) == expected, what


def test_enough_rows_are_replayed() -> None:
    assert len(CASES) >= 30 and sum(len(case.rows) for case in CASES) >= 100
