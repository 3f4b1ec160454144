"""damo's files: our round trip is the identity, good files are read, bad ones refused with place and reason."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from damoos.damon.attrs import Intervals, NrRegions
from damoos.damon.damo_format import (
    dump_kdamonds,
    dumps_json,
    dumps_yaml,
    from_damo,
    load_kdamonds,
    to_damo,
)
from damoos.damon.damo_text import parse_json, parse_yaml
from damoos.damon.kdamonds import DOCUMENTED_PAGEOUT, Kdamonds
from damoos.damon.quotas import Quotas
from damoos.damon.schemes import ANYTHING, Range, Scheme
from damoos.errors import ConfigError, InputError, KdamondsError
from damoos.units import U32_MAX, U64_MAX

from .strategies import kdamonds

DATA = Path(__file__).parent / "data"
GOOD = sorted((DATA / "good").iterdir())
BAD = sorted(path for path in (DATA / "bad").iterdir() if path.suffix != ".expect")

every_kdamonds = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@every_kdamonds
@given(kdamonds)
def test_the_round_trip_is_the_identity(value: Kdamonds) -> None:
    assert from_damo(to_damo(value)) == value
    assert from_damo(parse_json(dumps_json(value), "x.json")) == value
    assert from_damo(parse_yaml(dumps_yaml(value), "x.yaml")) == value


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just("max")),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=5), inner, max_size=2)),
    max_leaves=4,
)


@settings(deadline=None)
@given(data=st.data())
def test_whatever_is_wrong_is_an_input_error(data: st.DataObject) -> None:
    tree = parse_json((DATA / "good" / "human-units.json").read_text(encoding="utf-8"), "x.json")
    node = tree
    while True:
        key = data.draw(st.sampled_from(list(node) if isinstance(node, dict) else range(len(node))))
        if not (isinstance(node[key], dict | list) and node[key]) or data.draw(st.booleans()):
            break
        node = node[key]
    node[key] = data.draw(json_values)
    try:
        from_damo(tree, "x.json")
    except InputError as error:
        assert error.file == "x.json"


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.name)
def test_good_files_are_read_and_written_again(path: Path, tmp_path: Path) -> None:
    value = load_kdamonds(path)
    for name in ("copy.json", "copy.yaml"):
        dump_kdamonds(value, tmp_path / name)
        assert load_kdamonds(tmp_path / name) == value
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["copy.json", "copy.yaml"]


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.name)
def test_bad_files_are_refused_with_place_and_reason(path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_kdamonds(path)
    assert caught.value.exit_code == 2
    for expected in path.with_name(path.name + ".expect").read_text(encoding="utf-8").splitlines():
        assert expected in str(caught.value)


def test_human_units_become_the_kernels_numbers() -> None:
    context = load_kdamonds(DATA / "good" / "human-units.json").context
    assert context.ops == "paddr"
    assert context.targets[0].regions[0].end == 25_769_803_776
    assert context.intervals.intervals_goal.access_bp == 400
    assert context.nr_regions == NrRegions(10, 1000)
    (scheme,) = context.schemes
    assert scheme.access_pattern.sz == Range(4096, U64_MAX)
    assert scheme.access_pattern.nr_accesses == Range(0, 0)
    assert scheme.access_pattern.age == Range(300, U32_MAX)
    assert (scheme.quotas.ms, scheme.quotas.bytes, scheme.quotas.reset_interval_ms) == (10, 2**27, 1000)
    assert scheme.quotas.weights.nr_accesses_permil == 25
    assert [goal.target_value for goal in scheme.quotas.goals] == [1500, 10_000, 5000, 2500]
    assert (scheme.watermarks.interval_us, scheme.watermarks.low) == (5_000_000, 200)
    assert [entry.type for entry in scheme.core_filters] == ["addr", "target"]
    assert [entry.type for entry in scheme.ops_filters] == ["anon", "memcg", "young", "hugepage_size"]


def test_what_is_left_out_is_what_damo_takes_for_it() -> None:
    context = load_kdamonds(DATA / "good" / "smallest.yaml").context
    assert context.intervals == Intervals(5_000, 100_000, 1_000_000)
    assert context.nr_regions == NrRegions(10, 1000)
    assert context.schemes == (Scheme(access_pattern=ANYTHING),)


def test_without_quotas_a_limit_that_is_added_later_is_reset() -> None:
    (scheme,) = load_kdamonds(DATA / "good" / "smallest.yaml").context.schemes
    assert scheme.quotas == Quotas()


def test_status_fields_are_skipped() -> None:
    tree = to_damo(Kdamonds.of(schemes=[DOCUMENTED_PAGEOUT]))
    kdamond = tree["kdamonds"][0]
    kdamond |= {"state": "on", "pid": 123}
    scheme = kdamond["contexts"][0]["schemes"][0]
    scheme["stats"] = {"nr_tried": "1,000", "sz_tried": "4.000 KiB"}
    scheme["quotas"]["effective_sz_bytes"] = "1.000 MiB"
    assert from_damo(tree) == Kdamonds.of(schemes=[DOCUMENTED_PAGEOUT])


def test_a_bare_list_says_how_to_wrap_it() -> None:
    with pytest.raises(ConfigError, match=r'^f\.json: a bare list .* needs \{"kdamonds"'):
        from_damo(to_damo(Kdamonds())["kdamonds"], "f.json")


def test_nothing_that_the_kernel_refuses_is_written(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    dump_kdamonds(Kdamonds(), path)
    before = path.read_bytes()
    with pytest.raises(KdamondsError, match=r"nr_regions\.min: above max"):
        dump_kdamonds(Kdamonds.of(nr_regions=NrRegions(100, 50)), path)
    assert path.read_bytes() == before


def test_other_endings_are_refused(tmp_path: Path) -> None:
    for name, reason in (("x.yml", "damo refuses .yml"), ("x.toml", "unknown file ending")):
        with pytest.raises(ConfigError, match=reason):
            dump_kdamonds(Kdamonds(), tmp_path / name)
        with pytest.raises(ConfigError, match=reason):
            load_kdamonds(tmp_path / name)


def test_operating_system_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json: can't be read: No such file"):
        load_kdamonds(tmp_path / "none.json")
    with pytest.raises(ConfigError, match=r"x\.json: can't be written: No such file"):
        dump_kdamonds(Kdamonds(), tmp_path / "none" / "x.json")


def test_exports_are_the_forms_that_lose_nothing() -> None:
    """damo rounds sizes and rates in its own text; bare integers and counts are exact."""
    scheme = dataclasses.replace(DOCUMENTED_PAGEOUT, quotas=Quotas(bytes=100_000_001))
    tree = json.loads(dumps_json(Kdamonds.of(schemes=[scheme])))
    written = tree["kdamonds"][0]["contexts"][0]["schemes"][0]
    assert written["access_pattern"]["sz_bytes"] == {"min": 4096, "max": "max"}
    assert written["access_pattern"]["nr_accesses"] == {"min": "0 samples", "max": "0 samples"}
    assert written["access_pattern"]["age"]["min"] == "50 aggr_intervals"
    assert written["quotas"]["sz_bytes"] == 100_000_001
