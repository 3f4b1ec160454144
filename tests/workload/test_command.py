"""Commands as workloads: what is taken, what is refused and how, and numbers found in text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from damoos.errors import BackendError, ConfigError, InputError
from damoos.workload.command import (
    CommandWorkload,
    Metric,
    as_table,
    command,
    load,
    metric,
    parse_metric,
    parse_table,
)

FILE = """
command = "./bench --title 'two words' $HOME"
cwd = "/srv/bench"
timeout = "1.5 min"
user = "me"

[env]
THREADS = "4"
A = ""

[metric]
source = "output"
pattern = 'throughput: ([0-9.]+)'
better = "higher"
"""


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "bench.toml"
    path.write_text(FILE)
    assert load(path) == CommandWorkload(
        name="bench",
        argv=("./bench", "--title", "two words", "$HOME"),
        cwd="/srv/bench",
        env=(("A", ""), ("THREADS", "4")),
        timeout_s=90.0,
        user="me",
        metric=Metric("output", None, "throughput: ([0-9.]+)", "higher"),
    )


@pytest.mark.parametrize(
    ("old", "new", "field", "line"),
    [
        ('cwd = "/srv/bench"', "cwd = 5", "cwd", 3),
        ('cwd = "/srv/bench"', 'cwd = ""', "cwd", 3),
        ('cwd = "/srv/bench"', 'dir = "/srv"', "dir", 3),
        ('timeout = "1.5 min"', 'timeout = "soon"', "timeout", 4),
        ('timeout = "1.5 min"', "timeout = 0", "timeout", 4),
        ('timeout = "1.5 min"', "timeout = nan", "timeout", 4),
        ('timeout = "1.5 min"', "timeout = true", "timeout", 4),
        ('THREADS = "4"', "THREADS = 4", "env.THREADS", 8),
        ('THREADS = "4"', '"A B" = "4"', "env", 7),
        ('source = "output"', 'source = "outputs"', "metric.source", 12),
        ('source = "output"', "", "metric.source", 11),
        (FILE.partition("[metric]\n")[2], "", "metric.source", 11),
        ('source = "output"', 'sauce = "output"', "metric.sauce", 12),
        ('source = "output"', 'source = "output"\nplace = "x"', "metric.place", 13),
        ('source = "output"', 'source = "file"', "metric.place", 11),
        ("([0-9.]+)'", "([0-9.]+'", "metric.pattern", 13),
        ("([0-9.]+)'", "([0-9.]+)(x)'", "metric.pattern", 13),
        ('better = "higher"', 'better = "more"', "metric.better", 14),
        ("'two words'", "'two words", "command", 2),
        ("'two words'", "\\u0000", "command", 2),
        ("./bench --title 'two words' $HOME", "", "command", 2),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, old: str, new: str, field: str, line: int) -> None:
    path = tmp_path / "bench.toml"
    assert old in FILE
    path.write_text(FILE.replace(old, new))
    with pytest.raises(InputError) as refused:
        load(path)
    assert (refused.value.field, refused.value.line, refused.value.file) == (field, line, str(path))


@pytest.mark.parametrize(
    ("table", "field"),
    [({}, "command"), ({"command": []}, "command"), ({"command": [1]}, "command"), ({"command": "x", "env": 1}, "env")],
)
def test_tables_without_a_file_are_checked_too(table: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_table(table)
    assert (refused.value.field, refused.value.line) == (field, None)


def test_the_program_names_the_workload() -> None:
    assert command(["/usr/bin/redis-server", "--port", "1"]).name == "redis-server"
    assert command(["x"], name="mine").name == "mine"


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=20)


@given(
    argv=st.lists(texts, min_size=1, max_size=4),
    cwd=st.none() | texts,
    env=st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,5}", fullmatch=True), texts, max_size=3),
    timeout_ms=st.none() | st.integers(1, 10**9),
    user=st.none() | texts,
    wanted=st.sampled_from(
        [
            None,
            metric("output", None, r"(\d+)"),
            metric("file", "a b", None, "higher"),
            metric("url", "http://[::1]:80/"),
        ]
    ),
)
def test_tables_are_read_back_to_the_same(
    argv: list[str],
    cwd: str | None,
    env: dict[str, str],
    timeout_ms: int | None,
    user: str | None,
    wanted: Metric | None,
) -> None:
    timeout_s = None if timeout_ms is None else timeout_ms / 1000
    made = command(argv, name="n", cwd=cwd, env=env, timeout_s=timeout_s, user=user, metric=wanted)
    assert parse_table(as_table(made)) == made


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"output:(\d+) ops", Metric("output", None, r"(\d+) ops")),
        ("file:/srv/a:b", Metric("file", "/srv/a:b")),
        ("url:http://127.0.0.1:8080/metrics?x=1", Metric("url", "http://127.0.0.1:8080/metrics?x=1")),
        ("url:http://localhost/x", Metric("url", "http://localhost/x")),
        ("url:http://[::1]:99/", Metric("url", "http://[::1]:99/")),
    ],
)
def test_metrics_of_the_command_line(text: str, expected: Metric) -> None:
    assert parse_metric(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "output",
        "output:",
        "stdout:x",
        "file:",
        "url:http://example.org/",
        "url:https://127.0.0.1/",
        "url:http://127.0.0.1.example.org/",
        "url:http://me@127.0.0.1/",
        "url:http://127.0.0.1:port/",
        "url:ftp://localhost/",
        "url:http:///x",
    ],
)
def test_other_metrics_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_metric(text)


def test_a_pattern_for_the_output_is_given_once() -> None:
    with pytest.raises(ConfigError):
        parse_metric("output:x", pattern="y")
    assert parse_metric("file:x", pattern="y", better="higher") == Metric("file", "x", "y", "higher")


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        (r"ops: ([0-9.]+)", "ops: 1.5\nlater\nops: 2.5\n", 2.5),
        (r"[0-9]+", "a 1 b 22", 22),
        (r"^p99 (\S+)$", "p99 3e-2\n", 0.03),
        (r"x=(-?\d+)", "x=-4", -4),
        (None, " 12.25\n", 12.25),
    ],
)
def test_the_last_match_counts(pattern: str | None, text: str, expected: float) -> None:
    assert Metric("file", "x", pattern).value(text) == expected


@pytest.mark.parametrize(
    ("pattern", "text"),
    [(r"ops: (\d+)", "none"), (r"ops: (\S+)", "ops: many"), (None, ""), (None, "1 2"), (None, "nan"), (r"a(\d)?", "a")],
)
def test_text_without_a_number_is_an_error_that_says_where(pattern: str | None, text: str) -> None:
    with pytest.raises(BackendError, match="file x"):
        Metric("file", "x", pattern).value(text)
