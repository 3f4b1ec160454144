from __future__ import annotations

import dataclasses

from damoos.damon.attrs import Intervals
from damoos.damon.filters import Filter
from damoos.damon.kdamonds import DOCUMENTED_PAGEOUT, Kdamonds
from damoos.kernel import abi
from damoos.kernel.control import Control
from damoos.kernel.dry_run import dry_run_text
from damoos.kernel.patience import Patience

from .fake import FakeTree


def test_each_path_with_old_and_new_value_and_nothing_written() -> None:
    host = FakeTree()
    control = Control(host, abi.files_of("7.3"), Patience(0.0))
    control.stage(Kdamonds.of(), [100])
    host.writes.clear()
    scheme = dataclasses.replace(DOCUMENTED_PAGEOUT, ops_filters=(Filter("memcg", memcg_path="/app"),))
    writes = control.plan(Kdamonds.of(Intervals(10_000), schemes=[scheme]), [200])
    text = dry_run_text(writes, keywords=[(f"{abi.KDAMONDS}/0/state", "on")])
    lines = text.splitlines()
    assert lines[0] == f"below {abi.KDAMONDS}:"
    assert "  0/contexts/0/monitoring_attrs/intervals/sample_us: 5000 -> 10000" in lines
    assert "  0/contexts/0/targets/0/pid_target: 100 -> 200" in lines
    assert '  0/contexts/0/schemes/0/ops_filters/0/memcg_path: "" -> /app' in lines
    assert lines[-1] == "  0/state <- on" and len(lines) == len(writes) + 2
    assert host.writes == []


def test_no_change_says_so() -> None:
    assert dry_run_text([]).splitlines()[1] == "  nothing to change"
