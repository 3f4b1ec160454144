"""Finds and reads the catalogues of data files: workloads, envs, machines, policies and how they are trained.

Look-up order: the folder named by `DAMOOS_CATALOGUE` (which `--catalogue` sets), the catalogue inside the installed
package, the checkout beside the package. The first one that has a name wins. Files that belong together may lie in a
folder, their group; that is for the eye, their names don't change. A policy is a folder, found by its `policy.toml`.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from damoos.errors import ConfigError

Kind = Literal["workloads", "envs", "machines", "policies", "training"]
VARIABLE = "DAMOOS_CATALOGUE"

POLICY = "policy.toml"

_SUFFIX: dict[str, str] = dict.fromkeys(("envs", "machines", "policies", "training"), ".toml") | {"workloads": ".cfg"}
_SINGULAR: dict[str, str] = {"workloads": "workload", "envs": "env", "machines": "machine", "policies": "policy"}
_PACKAGE = Path(__file__).parent


def find(kind: Kind, name_or_path: str | Path) -> Path:
    """The data file that `name_or_path` means: a catalogue name, a file, or a catalogue path such as
    `workloads/zigzag.cfg` typed in any folder.

    A plain name means the catalogue; what has a suffix or a folder in it means a file first.
    Raises ConfigError, naming the nearest catalogue names.
    """
    given = Path(name_or_path)
    if (given.parent != Path(".") or given.suffix) and given.is_file():
        return given
    name = given.name.removesuffix(_SUFFIX[kind])
    if given.parent in (Path("."), Path(kind)) or given.parent.parent == Path(kind):
        for folder in _folders(kind):
            if (path := _files(kind, folder).get(name)) is not None:
                return path
    if given.is_file():
        return given
    singular = _SINGULAR.get(kind, kind)
    what = singular if given.parent in (Path("."), Path(kind)) else "file"
    raise ConfigError(f"no such {what}", field=singular, value=str(name_or_path), allowed=_near(name, names(kind)))


def names(kind: Kind) -> tuple[str, ...]:
    """All names of one kind in all catalogues, sorted, those of groups too."""
    return tuple(sorted({name for folder in _folders(kind) for name in _files(kind, folder)}))


def group_of(kind: Kind, path: Path) -> str:
    """The group that a file of the catalogue belongs to: the folder that it lies in, "" for the catalogue's own."""
    return path.parent.name if path.parent.name != kind and path.parent.parent.name == kind else ""


def read_toml(path: str | Path) -> dict[str, Any]:
    """The table in a TOML file. Raises ConfigError with file and line."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"can't be read: {error.strerror}", file=path) from error
    except UnicodeDecodeError as error:
        raise ConfigError("is not UTF-8 text", file=path) from error
    except tomllib.TOMLDecodeError as error:
        problem, _, place = str(error).partition(" (at ")
        line = re.match(r"line (\d+)", place)
        raise ConfigError(f"not TOML: {problem}", file=path, line=int(line[1]) if line else None) from error


def read_extended(kind: Kind, path: str | Path) -> dict[str, Any]:
    """The table in a TOML file, laid over the one that its `extends` names, if any; tables are merged key by key.

    `extends` is a catalogue name, or a file seen from the folder of the file that says so; what it names can't itself
    extend another. The result has no `extends`. Raises ConfigError.
    """
    table = read_toml(path)
    base = table.pop("extends", None)
    if base is None:
        return table
    try:
        return _merge(_base(kind, Path(path), base), table)
    except ConfigError as error:
        if error.file is not None:
            raise
        raise error.at(file=path, line=line_of(path, "extends")) from None


def _base(kind: Kind, path: Path, base: object) -> dict[str, Any]:
    if not isinstance(base, str):
        raise ConfigError("not a string", field="extends", value=base)
    beside = path.parent / base
    try:
        lower_path = beside if beside.is_file() else find(kind, base)
    except ConfigError as error:
        raise ConfigError(error.problem, field="extends", value=base, allowed=error.allowed) from error
    lower = read_toml(lower_path)
    if "extends" in lower:
        raise ConfigError("extends another file itself", field="extends", value=base, allowed="one step")
    return lower


def check_keys(
    table: dict[str, Any], allowed: Collection[str], file: str | Path | None = None, where: str | None = None
) -> None:
    """Raises ConfigError for the first key of `table` that is not allowed, naming the nearest ones.

    `where` is the name of the table inside the file (None: the whole file).
    """
    for key in table:
        if key not in allowed:
            line = None if file is None else line_of(file, key, where)
            field = key if where is None else f"{where}.{key}"
            raise ConfigError("unknown key", file=file, line=line, field=field, allowed=_near(key, allowed))


def line_of(path: str | Path, key: str, where: str | None = None) -> int | None:
    """The line (from 1) of a TOML file on which `key` of table `where` is set; None if a plain scan can't tell."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    section = None
    for number, line in enumerate(lines, 1):
        header = re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]", line)
        if header:
            section = header[1]
            if section == (key if where is None else f"{where}.{key}"):
                return number
        elif section == where and re.match(rf"""\s*["']?{re.escape(key)}["']?\s*[.=]""", line):
            return number
    return None


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, ending in a newline."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def renew_table(path: str | Path, name: str, table: str) -> str:
    """The text of a Markdown file with `table` between the lines `<!-- table: NAME -->` and `<!-- end -->`.

    For tables that are generated: a test compares the file with this. Raises ConfigError if the lines are missing.
    """
    start, end = f"<!-- table: {name} -->\n", "<!-- end -->\n"
    before, found, rest = Path(path).read_text(encoding="utf-8").partition(start)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ConfigError(f"has no lines {start.strip()} and {end.strip()}", file=path)
    return f"{before}{start}\n{table}\n{end}{after}"


def _folders(kind: Kind) -> Iterator[Path]:
    chosen = os.environ.get(VARIABLE)
    roots = ([Path(chosen)] if chosen else []) + [_PACKAGE / "_catalogue"]
    # Installed, the package lies among others, some of which bring folders of these names too.
    if (_PACKAGE.parent / "pyproject.toml").is_file():
        roots.append(_PACKAGE.parent)
    return (root / kind for root in roots if (root / kind).is_dir())


def _files(kind: Kind, folder: Path) -> dict[str, Path]:
    if kind == "policies":
        return {path.parent.name: path for path in sorted(folder.glob(f"*/{POLICY}"))}
    # Names are unique beyond groups; what lies in the catalogue itself comes before a group's.
    return {path.stem: path for depth in ("*/*", "*") for path in sorted(_of_kind(kind, folder.glob(f"{depth}.*")))}


def _of_kind(kind: Kind, paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        # A TOML file beside a workload describes it; alone it is a workload of several processes, or a command.
        alone = kind == "workloads" and path.suffix == ".toml" and not path.with_suffix(_SUFFIX[kind]).is_file()
        if path.suffix == _SUFFIX[kind] or alone:
            yield path


def _near(word: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    return ", ".join(near or sorted(known)) or "nothing"


def _merge(lower: dict[str, Any], upper: dict[str, Any]) -> dict[str, Any]:
    merged = dict(lower)
    for key, value in upper.items():
        below = lower.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged
