"""Our files of the tree as damo's own sysfs code reads them, and the ones it writes against ours."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from damoos.damon.attrs import Intervals, IntervalsGoal, NrRegions
from damoos.damon.damo_format import dumps_json
from damoos.damon.filters import Filter
from damoos.damon.kdamonds import DOCUMENTED_PAGEOUT, AddressRange, Context, Kdamond, Kdamonds, Target
from damoos.damon.quotas import QuotaGoal, Quotas, Watermarks, Weights
from damoos.damon.schemes import Action, Scheme
from damoos.kernel import abi
from damoos.kernel.control import Control
from damoos.kernel.host import LocalHost, read_tree
from damoos.kernel.plan import differences, is_input
from damoos.kernel.tree import decode

from .fake import FakeTree, plant

pytestmark = pytest.mark.damo

FULL_PAGEOUT = dataclasses.replace(
    DOCUMENTED_PAGEOUT,
    apply_interval_us=1_000_000,
    quotas=Quotas(
        ms=10,
        bytes=1 << 27,
        reset_interval_ms=1_000,
        weights=Weights(0, 25, 975),
        goals=(QuotaGoal("user_input", 10_000, 9_000), QuotaGoal("some_mem_psi_us", 1_500)),
    ),
    watermarks=Watermarks("free_mem_rate", 5_000_000, 500, 400, 200),
    core_filters=(Filter("addr", True, addr_start=4096, addr_end=1 << 40),),
    ops_filters=(Filter("anon", True), Filter("memcg", True, memcg_path="/latency-critical"), Filter("young")),
)
PROCESS = Kdamonds.of(Intervals(10_000, 200_000, 1_000_000), NrRegions(20, 400), [FULL_PAGEOUT, DOCUMENTED_PAGEOUT])
MEMORY = Kdamonds(
    (
        Kdamond(
            (
                Context(
                    ops="paddr",
                    targets=(Target(None, (AddressRange(1 << 32, 6 << 30),)),),
                    schemes=(Scheme(action=Action.MIGRATE_COLD, target_nid=1),),
                ),
            )
        ),
    )
)
TUNED = Kdamonds.of(Intervals(5_000, 100_000, 1_000_000, IntervalsGoal.of()), schemes=[FULL_PAGEOUT])
CASES = {
    "6.12 process": ("6.12", PROCESS),
    "6.12 memory": ("6.12", MEMORY),
    "7.3 process": ("7.3", PROCESS),
    "7.3 memory": ("7.3", MEMORY),
    "7.3 tuned": ("7.3", TUNED),
}


def damo(root: Path, command: str, text: str = "") -> None:
    spec = importlib.util.find_spec("damo")
    if spec is None or spec.origin is None:
        reason = "damo is not installed; pip install 'damoos[test]' brings it"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    script = Path(__file__).with_name("damo_sysfs.py")
    done = subprocess.run(
        [sys.executable, str(script), str(Path(spec.origin).parent), str(root), command],
        input=text,
        env={**os.environ, "HOME": str(root)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def staged(kernel: str, asked: Kdamonds) -> FakeTree:
    host = FakeTree(kernel)
    pids = [100] if asked.context.ops == "vaddr" else []
    assert Control(host, abi.files_of(kernel)).stage(asked, pids).differences == ()
    return host


def forget(host: FakeTree) -> None:
    """Everything but the counts to its default: plain files make no folders, so these have to be there."""
    for path in host.files:
        file = abi.file_of(path.removeprefix(f"{abi.KDAMONDS}/"))
        if file is not None and file.kind is not abi.Kind.COUNT:
            host.files[path] = file.default


def inputs(root: Path) -> dict[str, str]:
    return {path: text for path, text in read_tree(LocalHost(root), abi.KDAMONDS).items() if is_input(path)}


@pytest.mark.parametrize("case", CASES)
def test_damo_writes_what_we_would(case: str, tmp_path: Path) -> None:
    kernel, asked = CASES[case]
    host = staged(kernel, asked)
    expected = decode({p.removeprefix(f"{abi.KDAMONDS}/"): v for p, v in host.files.items()})
    forget(host)
    plant(host, tmp_path)
    damo(tmp_path, "stage", dumps_json(expected))
    assert differences(expected, decode(inputs(tmp_path))) == ()


@pytest.mark.parametrize("case", CASES)
def test_damo_reads_what_we_wrote(case: str, tmp_path: Path) -> None:
    host = staged(*CASES[case])
    plant(host, tmp_path)
    forget(host)
    plant(host, tmp_path / "copy")
    damo(tmp_path, "copy")
    # As values: damo writes a truth value as 0, which a kernel would show as N.
    copied, ours = decode(inputs(tmp_path / "copy")), decode(inputs(tmp_path))
    assert ours.context.schemes == CASES[case][1].context.schemes
    assert differences(ours, copied) == ()
