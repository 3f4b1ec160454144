"""damo's kdamonds files, JSON and YAML: what `damo start --kdamonds FILE` (JSON) and `damo start FILE.yaml` read."""

from __future__ import annotations

import json
from pathlib import Path

from damoos.errors import ConfigError, InputError
from damoos.files import write_whole

from .damo_export import to_damo
from .damo_import import from_damo
from .damo_text import line_of, parse_json, parse_yaml
from .kdamonds import Kdamonds
from .validation import validate

__all__ = ["dump_kdamonds", "dumps_json", "dumps_yaml", "from_damo", "load_kdamonds", "to_damo"]

_ENDINGS = ".json, .yaml"


def load_kdamonds(path: str | Path) -> Kdamonds:
    """The kdamonds of a file, by its ending. Raises InputError with file, line and field of whatever is wrong."""
    file = Path(path)
    parse = parse_yaml if _ending(file) == ".yaml" else parse_json
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"can't be read: {error.strerror}", file=file) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"not UTF-8 text: {error.reason}", file=file) from error
    tree = parse(text, file)
    try:
        return from_damo(tree, file)
    except InputError as error:
        raise error.at(line=line_of(text, error.field) if error.field else None) from None


def dump_kdamonds(kdamonds: Kdamonds, path: str | Path) -> None:
    """Writes a file that reads back to the same kdamonds; an old one is replaced at once or not at all.

    Raises KdamondsError for what the kernel would refuse, ConfigError where the file can't be written.
    """
    file = Path(path)
    text = dumps_yaml(kdamonds) if _ending(file) == ".yaml" else dumps_json(kdamonds)
    validate(kdamonds)
    try:
        write_whole(file, text)
    except OSError as error:
        raise ConfigError(f"can't be written: {error.strerror}", file=file) from error


def dumps_json(kdamonds: Kdamonds) -> str:
    """The JSON text of a kdamonds file."""
    return json.dumps(to_damo(kdamonds), indent=2, ensure_ascii=False) + "\n"


def dumps_yaml(kdamonds: Kdamonds) -> str:
    """The YAML text of a kdamonds file."""
    import yaml

    text: str = yaml.safe_dump(to_damo(kdamonds), sort_keys=False, allow_unicode=True)
    return text


def _ending(file: Path) -> str:
    if file.suffix not in (".json", ".yaml"):
        hint = ", damo refuses .yml" if file.suffix == ".yml" else ""
        raise ConfigError(f"unknown file ending{hint}", file=file, value=file.suffix, allowed=_ENDINGS)
    return file.suffix
