"""JSON and YAML text to trees, and the line of a field, for messages."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from damoos.errors import ConfigError

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def parse_json(text: str, file: str | Path) -> Any:
    """The tree of a JSON text. Raises ConfigError with line and column, also for a key that is given twice."""
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ConfigError(f"not JSON: {error.msg}, column {error.colno}", file=file, line=error.lineno) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"not JSON that can be used: {error}", file=file) from None


def parse_yaml(text: str, file: str | Path) -> Any:
    """The tree of a YAML text. Raises ConfigError with line and column, also for a key that is given twice."""
    import yaml

    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        _refuse_duplicates(node, file)
        return None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        column = "" if mark is None else f", column {mark.column + 1}"
        line = None if mark is None else mark.line + 1
        raise ConfigError(f"not YAML: {error.problem}{column}", file=file, line=line) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"not YAML that can be used: {error}", file=file) from None
    finally:
        loader.dispose()


def line_of(text: str, path: str) -> int | None:
    """The line, from 1, of `path` (`kdamonds[0].contexts[0].ops`) or of the deepest part of it that is in the text.

    Takes JSON too, being YAML in all but rare cases; None where that fails.
    """
    import yaml

    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return None
    line = None
    for name, index in _STEP.findall(path):
        if name and isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == name), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif index and isinstance(node, yaml.SequenceNode) and int(index) < len(node.value):
            node = node.value[int(index)]
            line = node.start_mark.line + 1
        else:
            break
    return line


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f'the key "{next(key for key in keys if keys.count(key) > 1)}" is there twice')
    return tree


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of a configuration")


def _refuse_duplicates(root: Any, file: str | Path) -> None:
    import yaml

    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value in keys:
                    raise ConfigError(f'the key "{key.value}" is there twice', file=file, line=key.start_mark.line + 1)
                keys.add(str(key.value))
                waiting.append(value)
