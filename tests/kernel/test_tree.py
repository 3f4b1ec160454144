"""Kdamonds to files and back, and the fewest writes between two trees."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings

from damoos.damon.attrs import Intervals
from damoos.damon.filters import Filter
from damoos.damon.kdamonds import DOCUMENTED_PAGEOUT, Context, Kdamond, Kdamonds
from damoos.damon.quotas import QuotaGoal, Quotas
from damoos.damon.schemes import ANYTHING, Action, Scheme
from damoos.errors import BackendError, KdamondsError
from damoos.kernel import abi
from damoos.kernel.plan import Difference, as_wanted, differences, forget_below, plan
from damoos.kernel.tree import decode, encode
from tests.damon.strategies import kdamonds as any_kdamonds

from .trees import tree

SEVEN, SIX = abi.files_of("7.3"), abi.files_of("6.12")
WATCH = Scheme(action=Action.STAT, access_pattern=ANYTHING)


def held(kdamonds: Kdamonds, files: frozenset[str] = SEVEN) -> dict[str, str]:
    return {row.path: row.value for row in encode(kdamonds, files)}


@given(any_kdamonds)
@settings(max_examples=60, deadline=None)
def test_what_is_encoded_decodes_to_the_same(kdamonds: Kdamonds) -> None:
    assert decode(held(kdamonds)) == kdamonds


def test_every_input_file_of_a_kernel_gets_a_value() -> None:
    everything = Kdamonds.of(schemes=[dataclasses.replace(WATCH, ops_filters=(Filter("anon"),))])
    for kernel in ("6.12", "7.3"):
        written = {abi.pattern_of(path) for path in held(everything, abi.files_of(kernel))}
        real = {abi.pattern_of(path) for path, entry in tree(kernel).items() if entry.mode & 0o200}
        below = ("goals/#/", "dests/#/", "probes/#/", "regions/#/", "core_filters/#/")
        # On 7.3 the type decides the layer, so the common folder stays empty.
        below += ("/filters/#/",) if kernel == "7.3" else ()
        assert {path for path in real - written if not any(part in path for part in below)} == {"#/state"}


def test_the_running_kernels_own_tree_decodes() -> None:
    for kernel in ("6.12", "7.3"):
        values = {path: entry.value for path, entry in tree(kernel, running=True).items()}
        context = decode(values).context
        assert context.schemes == (WATCH,) and context.intervals == Intervals()
        assert context.targets[0].pid is not None


def test_both_layers_share_a_folder_before_6_15_core_first() -> None:
    scheme = dataclasses.replace(
        WATCH, core_filters=(Filter("addr", addr_end=4096),), ops_filters=(Filter("anon", matching=True),)
    )
    rows = held(Kdamonds.of(schemes=[scheme]), SIX)
    filters = "0/contexts/0/schemes/0/filters"
    assert [rows[f"{filters}/{name}"] for name in ("nr_filters", "0/type", "1/type")] == ["2", "addr", "anon"]
    assert decode(rows).context.schemes == (scheme,)


def test_what_the_kernel_has_no_file_for_is_refused_with_its_field() -> None:
    asked = Kdamonds((Kdamond((Context(schemes=(WATCH,)),), refresh_ms=100),))
    with pytest.raises(KdamondsError, match=r"kdamonds\[0\]\.refresh_ms.*from Linux 6\.17 on"):
        encode(asked, SIX)
    with pytest.raises(KdamondsError, match=r"quotas\.goal_tuner.*7\.1"):
        encode(Kdamonds.of(schemes=[dataclasses.replace(WATCH, quotas=Quotas(goal_tuner="temporal"))]), SIX)


def test_an_unknown_action_is_named() -> None:
    rows = held(Kdamonds.of(schemes=[WATCH])) | {"0/contexts/0/schemes/0/action": "teleport"}
    with pytest.raises(BackendError, match="teleport"):
        decode(rows)


def test_nothing_to_change_is_nothing_to_write() -> None:
    asked = Kdamonds.of(schemes=[DOCUMENTED_PAGEOUT])
    assert plan(held(asked), encode(asked, SEVEN)) == ()


def test_one_change_is_one_write_and_leaves_counts_alone() -> None:
    one, other = Kdamonds.of(schemes=[WATCH]), Kdamonds.of(Intervals(10_000), schemes=[WATCH])
    writes = plan(held(one), encode(other, SEVEN))
    path = f"{abi.KDAMONDS}/0/contexts/0/monitoring_attrs/intervals/sample_us"
    assert [(w.path, w.old, w.new) for w in writes] == [(path, "5000", "10000")]


def test_a_changed_count_makes_everything_below_fresh() -> None:
    goal = QuotaGoal("user_input", 100)
    asked = Kdamonds.of(schemes=[dataclasses.replace(WATCH, quotas=Quotas(ms=5, goals=(goal,)))])
    more = asked.with_schemes([asked.context.schemes[0], WATCH])
    writes = plan(held(asked), encode(more, SEVEN))
    names = [w.path.removeprefix(f"{abi.KDAMONDS}/0/contexts/0/schemes/") for w in writes]
    assert names[0] == "nr_schemes"
    # Scheme 0 is as it was, but has to be said again; what is at its default does not.
    assert "0/quotas/ms" in names and "0/quotas/goals/nr_goals" in names and "0/action" not in names
    assert not any("monitoring_attrs" in name for name in names)


def test_forgetting_is_only_about_numbered_folders() -> None:
    state = {"a/nr_x": "1", "a/0/b": "1", "a/c": "2", "b/0/c": "3"}
    forget_below(state, "a/nr_x")
    assert state == {"a/nr_x": "1", "a/c": "2", "b/0/c": "3"}


def test_a_tree_can_be_written_again_from_nothing() -> None:
    asked = Kdamonds.of(schemes=[dataclasses.replace(WATCH, ops_filters=(Filter("young"),))])
    rows = as_wanted(held(asked) | {"0/state": "on", "0/pid": "17"})
    assert "0/state" not in {row.path for row in rows}
    state: dict[str, str] = {}
    for write in plan({}, rows):
        below = write.path.removeprefix(f"{abi.KDAMONDS}/")
        state[below] = write.new
        if abi.BY_PATTERN[abi.pattern_of(below)].kind is abi.Kind.COUNT:
            assert not any(path.startswith(below.rpartition("/")[0] + "/0/") for path in state)
    assert decode(state) == asked


def test_differences_name_the_field() -> None:
    asked, applied = Kdamonds.of(schemes=[WATCH]), Kdamonds.of(Intervals(aggr_us=200_000), schemes=[WATCH, WATCH])
    found = differences(asked, applied)
    assert found[0] == Difference("kdamonds[0].contexts[0].intervals.aggr_us", 100_000, 200_000)
    assert found[1].field == "kdamonds[0].contexts[0].schemes[1]" and found[1].asked is None
    assert differences(asked, asked) == ()
