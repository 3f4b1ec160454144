"""Env presets: what they come to, and what is wrong with them, with file, line and field."""

import re
from pathlib import Path

import pytest

from damoos.backend.feed import Feed
from damoos.catalogue import names
from damoos.damon.filters import Filter
from damoos.damon.quotas import QuotaGoal
from damoos.damon.schemes import ANYTHING, Action
from damoos.errors import ConfigError, InputError
from damoos.tune import table
from damoos.tune.objective import Objective
from damoos.tune.preset import load_env

GOOD = """\
title = "T"
description = "D"

[base]
"schemes[0].action" = "pageout"
"schemes[0].quotas.bytes" = "64 MiB"
"schemes[0].access_pattern.sz.max" = "max"
"intervals.sample_us" = "10 ms"
samples_per_aggregation = 20
"nr_regions.max" = 500

[parameters.min_age]
title = "idle"
place = "schemes[0].access_pattern.age.min"
low = "1 s"
high = "1 m"
default = "5 s"
scale = "log"

[parameters.action]
title = "what"
place = "schemes[0].action"
choices = ["pageout", "cold"]
default = "cold"

[parameters.quota]
title = "time"
place = "schemes[0].quotas.ms"
low = "1 ms"
high = "200 ms"
default = "10 ms"
when = { action = ["pageout"] }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    return path


def test_a_preset_becomes_a_space_around_its_base(file: Path) -> None:
    env = load_env(file)
    context = env.space.base.context
    assert env.name == "mine" and env.objective == Objective()
    assert (context.intervals.sample_us, context.intervals.aggr_us) == (10_000, 200_000)
    assert context.nr_regions.max == 500
    assert context.schemes[0].action is Action.PAGEOUT and context.schemes[0].quotas.bytes == 64 << 20
    assert context.schemes[0].access_pattern == ANYTHING
    assert env.space.defaults() == {"min_age": 5_000_000, "action": "cold"}
    assert (
        env.space.kdamonds({"min_age": 5_000_000, "action": "pageout", "quota": 7_000}).context.schemes[0].quotas.ms
        == 7
    )


def test_the_base_makes_the_goals_and_filters_that_it_names(tmp_path: Path) -> None:
    file = tmp_path / "goals.toml"
    file.write_text(
        """
title = "t"
description = "d"

[base]
"schemes[1].quotas.goals[1].target_metric" = "some_mem_psi_us"
"schemes[1].quotas.goals[1].target_value" = 5000
"schemes[0].core_filters[0].type" = "target"

[parameters.stall]
title = "s"
place = "schemes[1].quotas.goals[1].target_value"
low = 100
high = 10000
default = 1000
"""
    )
    schemes = load_env(file).space.base.context.schemes
    assert schemes[0].core_filters == (Filter("target"),) and schemes[0].access_pattern == ANYTHING
    assert schemes[1].quotas.goals == (QuotaGoal(), QuotaGoal("some_mem_psi_us", 5_000))


FED = """
extends = "reclaim-feedback"

[feed]
signal = "swap_kb"
every = "2 s"
"""


def test_a_goal_may_be_fed(tmp_path: Path) -> None:
    file = tmp_path / "fed.toml"
    file.write_text(FED)
    assert load_env("reclaim-feedback").feed == Feed("major_faults_per_s", 0.2)
    assert load_env(file).feed == Feed("swap_kb", 2.0)
    assert load_env("reclaim-goal").feed is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"swap_kb"', '"mood"', r":5: feed.signal: unknown signal, got 'mood'; allowed: swap_kb, major_faults_per_s"),
        ('"2 s"', '"0 s"', r":6: feed.every: too often"),
        ('"2 s"', '"2 s"\ngoal = 3', r":4: feed: no goal of metric user_input there"),
        ("signal =", "sgnal =", r"feed.sgnal: unknown key"),
    ],
)
def test_mistakes_in_what_is_fed_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    file = tmp_path / "fed.toml"
    file.write_text(FED.replace(old, new))
    with pytest.raises(ConfigError, match=message):
        load_env(file)


@pytest.mark.parametrize("place", ["schemes[0].quotas.goal[0].nid", "schemes[0].action[0]", "schemes[99999].action"])
def test_there_are_no_other_lists(file: Path, place: str) -> None:
    file.write_text(file.read_text().replace("[base]", f'[base]\n"{place}" = 1', 1))
    with pytest.raises(ConfigError, match="base: (no such place|not a single value)"):
        load_env(file)


def test_a_preset_may_be_laid_over_another(file: Path) -> None:
    upper = file.with_name("upper.toml")
    upper.write_text(
        'extends = "mine.toml"\n[parameters.min_age]\nlow = "2 s"\n'
        '[objective]\nweight = 0.8\nmax_runtime_overhead = "3 %"\n'
    )
    env = load_env(upper)
    assert env.space.parameters[0].low == 2_000_000 and env.space.parameters[0].high == 60_000_000
    assert env.objective == Objective(weight=0.8, limit_percent=3.0)
    assert env.sha256 != load_env(file).sha256


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('low = "1 s"', 'lo = "1 s"', r":15: parameters.min_age.lo: unknown key; allowed: low"),
        ("[base]", "[bass]", r":4: bass: unknown key; allowed: base"),
        ('low = "1 s"', 'low = "1 sec"', r":15: parameters.min_age.low: not a time, got '1 sec'"),
        ('low = "1 s"', 'low = "2 m"', r":12: parameters.min_age: low must be below high"),
        ('default = "5 s"\n', "", r":12: parameters.min_age.default: missing"),
        (
            'scale = "log"',
            'scale = "exp"',
            r":18: parameters.min_age.scale: unknown scale, got 'exp'; allowed: linear, log",
        ),
        ('default = "cold"', 'default = "cool"', r":20: parameters.action: not among the choices, got 'cool'"),
        ('["pageout", "cold"]', '["pageout", "kold"]', r":20: parameters.action: "),
        ('.quotas.ms"', '.quotas.msec"', r":26: parameters.quota: no such place"),
        ("{ action =", "{ actoin =", r":32: parameters.quota.when: no parameter before it, got 'actoin'"),
        ('"nr_regions.max" = 500', '"nr_regions.mx" = 500', r":4: base: no such place"),
        ('"nr_regions.max" = 500', '"nr_regions.max" = "many"', r":4: base: "),
        ('scale = "log"', 'since = "soon"', r":18: parameters.min_age.since: not a kernel version, got 'soon'"),
        ('scale = "log"', "since = 6.15", r":18: parameters.min_age.since: not a text, got 6.15"),
        ('title = "T"', "title = 3", r":1: title: not a text"),
        (
            "[base]",
            '[objective]\nkind = "metric:speed"\n\n[base]',
            r"objective: unknown metric, got 'speed'; allowed: runtime",
        ),
        ("[base]", "[objective]\nweight = 1.5\n\n[base]", r"weight: out of range, got 1.5; allowed: 0 to 1"),
    ],
)
def test_mistakes_are_named_with_their_place(file: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    file.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        load_env(file)
    assert re.search(message, str(caught.value)), caught.value
    assert str(caught.value).startswith(str(file))


def test_an_unknown_env_names_those_there_are() -> None:
    with pytest.raises(InputError, match="reclaim"):
        load_env("reclame")


@pytest.mark.parametrize("name", names("envs"))
def test_the_shipped_ones_can_be_read(name: str) -> None:
    env = load_env(name)
    assert env.title and env.description
    assert all(parameter.title for parameter in env.space.parameters)


def test_the_table_in_the_readme_is_fresh() -> None:
    assert table.README.read_text() == table.renewed(table.README), "run python -m damoos.tune.table"
