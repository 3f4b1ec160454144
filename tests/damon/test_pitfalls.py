"""What the kernel accepts but can't be meant is named."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from damoos.damon.filters import Filter, Probe
from damoos.damon.kdamonds import DOCUMENTED_PAGEOUT, Context, Kdamonds
from damoos.damon.pitfalls import warnings_of
from damoos.damon.quotas import QuotaGoal, Quotas, Watermarks
from damoos.damon.schemes import AccessPattern, Action, Range, Scheme


def warnings(**changes: Any) -> list[str]:
    return warnings_of(Kdamonds().with_context(dataclasses.replace(Context(), **changes)))


def test_sensible_schemes_have_none() -> None:
    marks = Watermarks.of("5 s", "50 %", "40 %", "20 %")
    assert warnings(schemes=(dataclasses.replace(DOCUMENTED_PAGEOUT, watermarks=marks),)) == []


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        (Scheme(access_pattern=AccessPattern(age=Range(9, 3))), ".access_pattern.age: min 9 is above max 3"),
        (Scheme(watermarks=Watermarks.of("5 s", 200, 400, 500)), ".watermarks: high 200, mid 400, low 500"),
        (Scheme(watermarks=Watermarks.of("5 s", 1001, 400, 5)), ".watermarks.high: 1001 permil"),
        (Scheme(quotas=Quotas(goals=(QuotaGoal(),))), ".quotas.goals[0].target_value: the kernel drops"),
        (Scheme(quotas=Quotas(goals=(QuotaGoal("node_eligible_mem_bp", 1),))), ".quotas.goals[0]: node_eligible"),
        (Scheme(action=Action.LRU_PRIO), ".action: lru_prio does nothing with vaddr"),
        (Scheme(core_filters=(Filter("target", damon_target_idx=1),)), ".core_filters[0].damon_target_idx: there is"),
    ],
)
def test_pointless_schemes(scheme: Scheme, expected: str) -> None:
    (warning,) = warnings(schemes=(scheme,))
    assert warning.startswith(f"kdamonds[0].contexts[0].schemes[0]{expected}")


def test_pointless_contexts() -> None:
    assert "only paddr heeds it" in warnings(addr_unit=4096)[0]
    assert "no power of two" in warnings(ops="paddr", addr_unit=3)[0]
    assert "only paddr heeds them" in warnings(probes=(Probe(),))[0]
    assert "collapse does nothing with paddr" in warnings(ops="paddr", schemes=(Scheme(action=Action.COLLAPSE),))[0]
