"""The files that a study leaves for people and programs."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from damoos.damon.damo_format import dump_kdamonds, from_damo
from damoos.damon.kdamonds import Kdamonds
from damoos.errors import BackendError, ConfigError, InputError
from damoos.files import write_whole

from .outcome import Outcome, Trial

RESULT, TRIALS, BEST_JSON, BEST_YAML = "result.json", "trials.csv", "best.json", "best.yaml"


def write_outputs(outcome: Outcome, folder: Path) -> tuple[Path, ...]:
    """Writes best.json and best.yaml (the recommended kdamonds, as damo reads them), trials.csv and result.json; no
    best.json and best.yaml where no configuration is recommended (see `static_kdamonds`).

    Each file is replaced whole or not at all. Returns their paths. Raises BackendError where they can't be written.
    """
    schemes = [folder / name for name in (BEST_JSON, BEST_YAML)]
    tables = [folder / name for name in (TRIALS, RESULT)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if outcome.steered is None:
            for path in schemes:
                dump_kdamonds(static_kdamonds(outcome), path)
        else:
            for path in schemes:
                path.unlink(missing_ok=True)
            schemes = []
        write_whole(tables[0], trials_csv(outcome))
        write_whole(tables[1], json.dumps(outcome.to_json(), ensure_ascii=False, allow_nan=False) + "\n")
    except OSError as error:
        raise BackendError(f"{error.filename or folder}: can't be written: {error.strerror}") from error
    return (*schemes, *tables)


def static_kdamonds(outcome: Outcome) -> Kdamonds:
    """The recommended configuration. Raises InputError where that is none."""
    if outcome.steered is not None:
        raise InputError(
            "is no configuration: its score is that of runs that were steered all the time",
            field="what was found",
            value=f"strategy {outcome.steered}",
            allowed="a study whose strategy does not steer",
        )
    return from_damo(outcome.recommended)


def read_outcome(path: Path) -> Outcome:
    """The outcome in a result.json, or in the folder that has one. Raises ConfigError."""
    file = path / RESULT if path.is_dir() else path
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"can't be read: {error.strerror}", file=file) from error
    except json.JSONDecodeError as error:
        raise ConfigError(f"not JSON: {error.msg}", file=file, line=error.lineno) from error
    except UnicodeDecodeError as error:
        raise ConfigError("not UTF-8 text", file=file) from error
    if not isinstance(tree, dict):
        raise ConfigError("not a result of damoos tune", file=file)
    return Outcome.from_json(tree, str(file))


def trials_csv(outcome: Outcome) -> str:
    """One line a trial: state, parameters (the unit is in the column's name), score, overheads in percent, means.

    Where some trials were short, also the share of the workload that each had, and its runs. The error says, too, why a
    trial was stopped; its means are of runs that had ended before. On real kernels also the workload's metric, if it
    has one, whose failure an error was, and the kind of time.
    """
    measured = outcome.time_kind != "simulated"
    with_metric = outcome.workload.metric is not None
    parameters = [(p.name, f"{p.name}_{p.unit}" if p.unit else p.name) for p in outcome.env.parameters]
    head = ["trial", "state", *(column for _, column in parameters), "score", "feasible"]
    head += ["runtime_overhead_percent", "rss_overhead_percent", "runtime_s", "rss_mean_bytes"]
    with_parts = any(trial.state == "partial" for trial in outcome.trials)
    head += ["share", "runs"] * with_parts + ["metric"] * with_metric
    head += ["error"] + ["error_kind", "time_kind"] * measured
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(head)
    for trial in outcome.trials:
        runs = [repeat.run for repeat in trial.repeats]
        row = [trial.number, trial.state, *(trial.params.get(name, "") for name, _ in parameters)]
        row += [_cell(trial.score), str(trial.feasible).lower()]
        row += [_cell(trial.runtime_overhead_percent), _cell(trial.rss_overhead_percent)]
        row += [_cell(sum(r.runtime_s for r in runs) / len(runs) if runs else None)]
        row += [_cell(sum(r.rss_mean_bytes for r in runs) / len(runs) if runs else None)]
        row += [repr(trial.share), len(trial.repeats)] * with_parts
        metrics = [r.metric for r in runs if r.metric is not None]
        row += [_cell(sum(metrics) / len(metrics) if metrics else None)] * with_metric + [_why(trial)]
        table.writerow(row + [trial.error_kind or "", outcome.time_kind] * measured)
    return text.getvalue()


def _why(trial: Trial) -> str:
    return trial.error or (trial.stopped.text if trial.stopped is not None else "")


def _cell(number: float | None) -> str:
    return "" if number is None else repr(number)
