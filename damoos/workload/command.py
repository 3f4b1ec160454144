"""Any program as a workload, for real kernels: what to start, where, as whom, and which number says how well it did.

As a file, in TOML:

    command = ["./bench", "--seconds", "30"]     # or one string, split as a shell would; nothing is expanded
    cwd = "/srv/bench"
    timeout = "5 min"
    user = "me"                                  # root only if it says so here

    [env]
    THREADS = "4"

    [metric]
    source = "output"                            # or "file" or "url", with `place`
    pattern = 'throughput: ([0-9.]+)'
    better = "higher"
"""

from __future__ import annotations

import ipaddress
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from damoos.catalogue import check_keys, line_of, read_toml
from damoos.errors import BackendError, ConfigError, InputError
from damoos.units import format_time_ms, parse_time_ms

Source = Literal["output", "file", "url"]
Better = Literal["lower", "higher"]

SOURCES: tuple[Source, ...] = ("output", "file", "url")

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


@dataclass(frozen=True)
class Metric:
    """A number that the program, or something beside it, gives.

    `source`: "output" (both of its streams), "file" or "url"; `place`: the file's path, or an http URL of the machine
    itself (loopback). `pattern`: a regular expression whose last match counts, its first group or else all of it; None:
    the whole text is the number. `better`: whether a lower or a higher number is better.
    """

    source: Source
    place: str | None = None
    pattern: str | None = None
    better: Better = "lower"

    def value(self, text: str) -> float:
        """The number in what was read. Raises BackendError if there is none."""
        found = text.strip()
        if self.pattern is not None:
            matches = list(re.finditer(self.pattern, text, re.MULTILINE))
            if not matches:
                raise BackendError(f"metric: nothing in the {self.where} matches {self.pattern!r}")
            last = matches[-1]
            found = (last[1] if last.re.groups else last[0]) or ""
        if not _NUMBER.fullmatch(found) or not math.isfinite(float(found)):
            shown = found if len(found) <= 80 else f"{found[:77]}..."
            raise BackendError(f"metric: not a number in the {self.where}: {shown!r}")
        return float(found)

    @property
    def where(self) -> str:
        """Where the number comes from, in words: "output", "file result.txt"."""
        return self.source if self.place is None else f"{self.source} {self.place}"


@dataclass(frozen=True)
class CommandWorkload:
    """A program to run on a real kernel.

    `argv`: program and arguments, no shell. `cwd`: working folder (None: the one where damoos was called). `env`:
    variables beside those of the caller, sorted by name. `timeout_s`: it is ended after that many s of running (None:
    never). `user`: whose rights it gets (None: the user who called sudo; never root). `metric` None: only its runtime
    and its memory count.
    """

    name: str
    argv: tuple[str, ...]
    cwd: str | None = None
    env: tuple[tuple[str, str], ...] = ()
    timeout_s: float | None = None
    user: str | None = None
    metric: Metric | None = field(default=None)


def command(
    argv: Sequence[str],
    *,
    name: str | None = None,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
    user: str | None = None,
    metric: Metric | None = None,
) -> CommandWorkload:
    """A checked command; `name` defaults to the program's file name. Raises ConfigError with the field."""
    if not argv or not argv[0]:
        raise ConfigError("no program", field="command", allowed="a program and its arguments")
    for part in argv:
        _check_text(part, "command")
    for text, label in ((cwd, "cwd"), (user, "user"), (name, "name")):
        if text is not None:
            _check_text(text, label)
            if not text:
                raise ConfigError("empty", field=label)
    for variable, text in (env or {}).items():
        if not _ENV_NAME.fullmatch(variable):
            raise ConfigError("not a name", field="env", value=variable, allowed="letters, digits and _")
        _check_text(text, f"env.{variable}")
    if timeout_s is not None and not 0 < timeout_s < math.inf:
        raise ConfigError("out of range", field="timeout", value=timeout_s, allowed="more than 0 s")
    return CommandWorkload(
        name=name or PurePosixPath(argv[0]).name,
        argv=tuple(argv),
        cwd=cwd,
        env=tuple(sorted((env or {}).items())),
        timeout_s=timeout_s,
        user=user,
        metric=metric,
    )


def metric(source: str, place: str | None = None, pattern: str | None = None, better: str = "lower") -> Metric:
    """A checked metric. Raises ConfigError with the field."""
    if source not in SOURCES:
        raise ConfigError("unknown source", field="source", value=source, allowed=", ".join(SOURCES))
    if better not in ("lower", "higher"):
        raise ConfigError("unknown", field="better", value=better, allowed="lower, higher")
    if source == "output":
        if place is not None:
            raise ConfigError("only a file or URL has a place", field="place", value=place)
        if pattern is None:
            raise ConfigError("missing", field="pattern", allowed="a regular expression, its number in a group")
    elif not place:
        raise ConfigError("missing", field="place", allowed="a path" if source == "file" else "a URL")
    if place is not None:
        _check_text(place, "place")
    if source == "url":
        _check_url(cast(str, place))
    if pattern is not None:
        try:
            groups = re.compile(pattern, re.MULTILINE).groups
        except re.error as error:
            raise ConfigError(f"not a regular expression: {error}", field="pattern", value=pattern) from None
        if groups > 1:
            allowed = "at most one group; (?:...) groups without counting"
            raise ConfigError("several groups", field="pattern", value=pattern, allowed=allowed)
    return Metric(source, place, pattern, cast(Better, better))


def parse_metric(text: str, pattern: str | None = None, better: str = "lower") -> Metric:
    """A metric as the command line has it: `output:REGEX`, `file:PATH` or `url:URL`; `pattern` is for the last two.

    Raises ConfigError with the field.
    """
    source, colon, rest = text.partition(":")
    if not colon or source not in SOURCES or not rest:
        raise ConfigError("not a metric", field="metric", value=text, allowed="output:REGEX, file:PATH, url:URL")
    if source != "output":
        return metric(source, rest, pattern, better)
    if pattern is not None:
        raise ConfigError("the metric has a pattern already", field="pattern", value=pattern)
    return metric(source, None, rest, better)


def load(path: str | Path) -> CommandWorkload:
    """Reads a command's file; its name is the file's stem unless it says another.

    Raises InputError with file, line, field.
    """
    return parse_table(read_toml(path), name=Path(path).stem, file=path)


def parse_table(table: dict[str, Any], *, name: str | None = None, file: str | Path | None = None) -> CommandWorkload:
    """The command in a file's table; `file` is for messages. Raises InputError."""
    check_keys(table, ("name", "command", "cwd", "timeout", "user", "env", "metric"), file)
    sections = {key: table.get(key, {}) for key in ("env", "metric")}
    for key, section in sections.items():
        if not isinstance(section, dict):
            raise ConfigError("not a table", file=file, field=key, value=section)
    check_keys(sections["metric"], ("source", "place", "pattern", "better"), file, "metric")
    try:
        argv = table.get("command")
        for key in ("name", "cwd", "user"):
            _text(table.get(key), key)
        for key, value in sections["env"].items():
            _text(value, f"env.{key}")
        timeout = table.get("timeout")
        return command(
            _argv(argv),
            name=table.get("name", name),
            cwd=table.get("cwd"),
            env=sections["env"],
            timeout_s=None if timeout is None else _seconds(timeout),
            user=table.get("user"),
            metric=_metric(sections["metric"]) if "metric" in table else None,
        )
    except InputError as error:
        raise error.at(file=file, line=_line(file, error.field)) from None


def as_table(workload: CommandWorkload) -> dict[str, Any]:
    """The command as a table of plain values; `parse_table` reads it back to an equal value."""
    table: dict[str, Any] = {"name": workload.name, "command": list(workload.argv)}
    if workload.cwd is not None:
        table["cwd"] = workload.cwd
    if workload.timeout_s is not None:
        table["timeout"] = format_time_ms(round(workload.timeout_s * 1000))
    if workload.user is not None:
        table["user"] = workload.user
    if workload.env:
        table["env"] = dict(workload.env)
    if (wanted := workload.metric) is not None:
        entries = {"source": wanted.source, "place": wanted.place, "pattern": wanted.pattern, "better": wanted.better}
        table["metric"] = {key: value for key, value in entries.items() if value is not None}
    return table


def _argv(value: object) -> list[str]:
    if isinstance(value, str):
        try:
            return shlex.split(value)
        except ValueError as error:
            raise ConfigError(f"can't be split: {error}", field="command", value=value) from None
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return value
    allowed = "a string, or a list of strings"
    raise ConfigError("missing" if value is None else "wrong kind", field="command", value=value, allowed=allowed)


def _metric(section: dict[str, Any]) -> Metric:
    if "source" not in section:
        raise ConfigError("missing", field="metric.source", allowed=", ".join(SOURCES))
    for key, value in section.items():
        _text(value, f"metric.{key}")
    try:
        return metric(**section)
    except ConfigError as error:
        raise error.at(field="metric") from None


def _seconds(value: object) -> float:
    # a bare number is s, as everywhere in this file
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return float(Fraction(parse_time_ms(value, field="timeout"), 1000))


def _text(value: object, label: str) -> None:
    if value is not None and not isinstance(value, str):
        raise ConfigError("not a string", field=label, value=value)


def _check_text(text: str, label: str) -> None:
    if "\0" in text:
        raise ConfigError("has a null character in it", field=label, value=text)


def _check_url(url: str) -> None:
    allowed = "http://127.0.0.1:PORT/PATH, or localhost or [::1]"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ConfigError("not a URL", field="place", value=url, allowed=allowed) from None
    if parts.scheme != "http" or parts.username is not None:
        raise ConfigError("not a plain http URL", field="place", value=url, allowed=allowed)
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    if not local:
        raise ConfigError("not of this machine", field="place", value=url, allowed=allowed)


def _line(file: str | Path | None, label: str | None) -> int | None:
    if file is None or label is None:
        return None
    section, dot, key = label.partition(".")
    return (line_of(file, key, section) if dot else None) or line_of(file, section)
