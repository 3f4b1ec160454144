"""Our exports as damo's own parser reads them, and damo's own files as we read them."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from damoos.damon.attrs import Intervals, IntervalsGoal, NrRegions
from damoos.damon.damo_format import dump_kdamonds, dumps_json, from_damo, load_kdamonds
from damoos.damon.filters import CORE_FILTER_TYPES
from damoos.damon.kdamonds import Kdamonds
from damoos.damon.quotas import Quotas, Watermarks, Weights
from damoos.damon.schemes import AccessPattern, Action, Scheme
from damoos.units import U32_MAX, U64_MAX

from .strategies import kdamonds, ranges

pytestmark = pytest.mark.damo

GOOD = sorted((Path(__file__).parent / "data" / "good").iterdir())
# damo prints 29 %, 57 % and 58 % one percent too low (0.29 * 100 is 28.999… in binary floating point).
MISPRINTED = (290, 570, 580)

Ask = Callable[[str], dict[str, Any]]


def unavailable(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def user_namespace(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], dict[str, str]]:
    """The words that start a command in a user namespace, where damo believes to be root, and its environment."""
    if importlib.util.find_spec("damo") is None:
        unavailable("damo is not installed; pip install 'damoos[test]' brings it")
    try:
        subprocess.run(["unshare", "-Ur", "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        unavailable(f"no user namespaces: {error}")
    return ["unshare", "-Ur"], {**os.environ, "HOME": str(tmp_path_factory.mktemp("home"))}


@pytest.fixture(scope="module")
def damo_reads(user_namespace: tuple[list[str], dict[str, str]]) -> Iterator[Ask]:
    """Asks damo's parser, in one process for all questions, what it makes of a file or text."""
    words, environment = user_namespace
    spec = importlib.util.find_spec("damo")
    assert spec is not None and spec.origin is not None
    command = [*words, sys.executable, str(Path(__file__).with_name("damo_oracle.py")), str(Path(spec.origin).parent)]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        to, back = process.stdin, process.stdout

        def ask(argument: str) -> dict[str, Any]:
            to.write(json.dumps(argument) + "\n")
            to.flush()
            found: dict[str, Any] = json.loads(back.readline())
            assert "error" not in found, found["error"]
            return found

        yield ask
        to.close()


def as_damo_keeps_it(value: Kdamonds) -> list[Any]:
    """Our numbers in the oracle's form: one list of filters, only the fields that damo reads for their types."""
    tree = dataclasses.asdict(value)["kdamonds"]
    for kdamond in tree:
        for context in kdamond["contexts"]:
            for scheme in context["schemes"]:
                del scheme["max_nr_snapshots"]
                scheme["filters"] = [*scheme.pop("core_filters"), *scheme.pop("ops_filters")]
                for entry in scheme["filters"]:
                    for kind, fields in (("memcg", ("memcg_path",)), ("target", ("damon_target_idx",))) + (
                        ("addr", ("addr_start", "addr_end")),
                    ):
                        if entry["type"] != kind:
                            entry.update(dict.fromkeys(fields, "" if kind == "memcg" else 0))
    return json.loads(json.dumps(tree))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(value=kdamonds)
def test_damo_reads_exactly_our_numbers(damo_reads: Ask, value: Kdamonds) -> None:
    assert damo_reads(dumps_json(value))["numbers"] == as_damo_keeps_it(value)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.name)
def test_damo_and_we_agree_on_files_that_people_write(damo_reads: Ask, path: Path, tmp_path: Path) -> None:
    ours = load_kdamonds(path)
    exported = tmp_path / "exported.yaml"
    dump_kdamonds(ours, exported)
    assert damo_reads(str(exported))["numbers"] == as_damo_keeps_it(ours)

    theirs = damo_reads(str(path))["numbers"]
    for kdamond in theirs:
        for context in kdamond["contexts"]:
            for scheme in context["schemes"]:
                _as_the_kernel_keeps_it(scheme)
    assert theirs == as_damo_keeps_it(ours)


def _as_the_kernel_keeps_it(scheme: dict[str, Any]) -> None:
    """What is the same in effect: counts of 32 bits, core filters first, no reset interval without a limit."""
    for name in ("nr_accesses", "age"):
        for bound, count in scheme["access_pattern"][name].items():
            scheme["access_pattern"][name][bound] = min(count, U32_MAX)
    scheme["filters"].sort(key=lambda entry: entry["type"] not in CORE_FILTER_TYPES)
    quotas = scheme["quotas"]
    if not (quotas["ms"] or quotas["bytes"] or quotas["goals"]):
        assert quotas["reset_interval_ms"] == U64_MAX
        quotas["reset_interval_ms"] = 0


sizes = st.integers(0, 2**40)
times_us = st.integers(0, 10**10)
shares = st.integers(0, 1000).filter(lambda permil: permil not in MISPRINTED)
everyday_schemes = st.builds(
    Scheme,
    action=st.sampled_from(Action),
    access_pattern=st.builds(AccessPattern, sz=ranges(2**40), nr_accesses=ranges(1000), age=ranges(10**6)),
    apply_interval_us=times_us,
    quotas=st.builds(
        Quotas,
        ms=st.integers(0, 10**6),
        bytes=sizes,
        reset_interval_ms=st.integers(0, 10**6),
        weights=st.builds(Weights, shares, shares, shares),
    ),
    watermarks=st.builds(Watermarks, st.just("free_mem_rate"), times_us, shares, shares, shares),
)
everyday_intervals = st.builds(
    Intervals,
    st.integers(1_000, 99_999),
    st.integers(100_000, 10**8),
    times_us,
    st.builds(IntervalsGoal, st.integers(0, 1000), st.just(0), times_us, times_us),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(intervals=everyday_intervals, schemes=st.lists(everyday_schemes, min_size=1, max_size=2))
def test_we_read_what_damo_writes_up_to_its_rounding(
    damo_reads: Ask, intervals: Intervals, schemes: list[Scheme]
) -> None:
    value = Kdamonds.of(intervals, NrRegions(10, 1000), schemes)
    read = from_damo(json.loads(damo_reads(dumps_json(value))["text"]), "damo.json")
    assert _rounded(read.context, value.context) == value.context


def _rounded(read: Any, written: Any, field: str = "") -> Any:
    """`read`, with `written` in place of sizes and times that damo rounded to three decimals of the unit it printed."""
    if isinstance(read, tuple) and len(read) == len(written):
        return tuple(_rounded(*pair) for pair in zip(read, written, strict=True))
    if dataclasses.is_dataclass(read) and not isinstance(read, type):
        names = [entry.name for entry in dataclasses.fields(read)]
        # A size pattern's bounds have no name of their own.
        below = {name: "bytes" if field == "sz" else name for name in names}
        return dataclasses.replace(
            read, **{name: _rounded(getattr(read, name), getattr(written, name), below[name]) for name in names}
        )
    lossy = field == "bytes" or field.endswith("_us")
    return written if lossy and abs(read - written) <= max(written // 1000, 1) else read


def test_damo_misprints_some_shares(damo_reads: Ask) -> None:
    """Fails once damo is repaired; then they need no exception above."""
    for permil in MISPRINTED:
        scheme = Scheme(quotas=Quotas(weights=Weights(age_permil=permil)))
        read = from_damo(json.loads(damo_reads(dumps_json(Kdamonds.of(schemes=[scheme])))["text"]))
        assert read.context.schemes[0].quotas.weights.age_permil == permil - 10


@pytest.mark.parametrize("name", ["human-units.json", "two-kdamonds.yaml"])
def test_the_damo_command_takes_our_file(
    user_namespace: tuple[list[str], dict[str, str]], name: str, tmp_path: Path
) -> None:
    words, environment = user_namespace
    value = load_kdamonds(Path(__file__).parent / "data" / "good" / name)
    exported = tmp_path / "exported.json"
    dump_kdamonds(value, exported)
    damo = str(Path(sys.executable).with_name("damo"))
    command = [*words, damo, "args", "damon", "--kdamonds", str(exported), "--format"]
    for form in ("json", "yaml"):
        written = tmp_path / f"written.{form}"
        done = subprocess.run([*command, form], env=environment, capture_output=True, text=True, check=True)
        written.write_text(done.stdout, encoding="utf-8")
        assert load_kdamonds(written) == value
