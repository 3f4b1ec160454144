"""Finds and reads the result of a study."""

from __future__ import annotations

import json
from pathlib import Path

from damoos.errors import ConfigError
from damoos.tune.outcome import Outcome

RESULT = "result.json"


def load_outcome(path: str | Path) -> Outcome:
    """The outcome in a result file, or in the folder that `damoos tune` wrote. Raises ConfigError with the place."""
    file = Path(path)
    if file.is_dir():
        file = file / RESULT
        if not file.exists():
            raise ConfigError("no finished study in this folder", file=path, allowed=f"a folder with {RESULT}")
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"can't be read: {error.strerror}", file=file) from error
    except UnicodeDecodeError as error:
        raise ConfigError("is not UTF-8 text", file=file) from error
    except json.JSONDecodeError as error:
        raise ConfigError(f"not JSON: {error.msg}", file=file, line=error.lineno) from error
    if not isinstance(tree, dict):
        raise ConfigError("not the result of a study", file=file)
    return Outcome.from_json(tree, str(file))
