"""`damoos rl`: learns policies on the simulator, measures them, shows what there is."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from damoos.errors import InputError

from . import console
from .options import DEFAULT_BACKEND, Catalogue

if TYPE_CHECKING:
    from damoos.rl.evaluate import Episode
    from damoos.rl.policy import Policy

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Learn policies, measure them, show what there is.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
PolicyName = Annotated[
    str, typer.Argument(metavar="POLICY", help="A name from `damoos rl list`, or a policy's folder.")
]
Workloads = Annotated[
    list[str] | None,
    typer.Option(metavar="W", help="Names, ranges such as generated-test-0:20, or folders of .cfg files; repeatable."),
]
Machines = Annotated[str, typer.Option(metavar="NAME", help="Where episodes run: sim:MACHINE.")]
Threads = Annotated[int | None, typer.Option(min=1, metavar="N", help="Threads of the simulator; else one a core.")]

OUT = Path("damoos-out")
TRAINED_ON, VALIDATED_ON, TESTED_ON = "generated-train-0:2048", "generated-validation-0:32", "generated-test-0:16"


@app.command()
def train(
    preset: Annotated[str, typer.Argument(metavar="PRESET", help="A name from `damoos envs list`, or a file.")],
    mode: Annotated[str, typer.Option(metavar="MODE", help="control, tuning or oneshot.")] = "control",
    algo: Annotated[
        str, typer.Option(metavar="NAME", help="ppo, recurrent-ppo, a2c, trpo, sac, td3, tqc or dqn.")
    ] = "ppo",
    workloads: Workloads = None,
    validation: Annotated[
        list[str] | None,
        typer.Option(
            metavar="W", help="By which the best policy is chosen; those to train on if only these are given."
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, metavar="N", help="Steps of all environments together.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.01, metavar="M", help="End it after that long, too.")] = None,
    envs: Annotated[int | None, typer.Option(min=1, metavar="N", help="Environments side by side.")] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of the training.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", file_okay=False, help="The policy's folder; else damoos-out/MODE-PRESET."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training in the folder.")] = False,
    settings: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Settings; those of the catalogue's training/ if not given.")
    ] = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Another setting; repeatable.")
    ] = None,
    argument: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="An argument of the environment; repeatable.")
    ] = None,
    backend: Machines = DEFAULT_BACKEND,
    threads: Threads = None,
    catalogue: Catalogue = None,
) -> None:
    """Train a policy for PRESET with stable-baselines3; needs the extra rl (pip install).

    The best policy so far, by the validation workloads, is in the folder at any time. An interrupt keeps what was
    learned; the same command with --resume goes on.

    Examples:

      damoos rl train reclaim --minutes 5
      damoos rl train reclaim --mode tuning --workloads my-folder --out mine
      damoos rl train reclaim --algo sac --set learning_rate=1e-3 --argument 'controls=["min_age"]'
    """
    from damoos.rl.algorithms import algorithm_class
    from damoos.rl.modes import find_mode
    from damoos.rl.request import Training
    from damoos.rl.settings import load_settings, parse_changes, settings_file
    from damoos.tune.preset import load_env

    from .learning import LearningScreen

    find_mode(mode)
    algorithm_class(algo)
    changes = parse_changes(change or (), "--set")
    changes |= {key: value for key, value in (("steps", steps), ("envs", envs)) if value is not None}
    given, arguments = load_settings(
        settings_file(mode, preset, settings), algo, changes, parse_changes(argument or (), "--argument")
    )
    learned = tuple(workloads or validation or (TRAINED_ON,))
    training = Training(
        preset=preset,
        mode=mode,
        algorithm=algo,
        workloads=learned,
        validation=tuple(validation or (workloads if workloads else (VALIDATED_ON,))),
        backend=backend,
        out=out if out is not None else OUT / f"{mode}-{load_env(preset).name}",
        settings=given,
        arguments=arguments,
        seed=seed,
        minutes=math.inf if minutes is None else minutes,
        threads=threads,
        command_line=shlex.join(["damoos", *sys.argv[1:]]),
    )
    from damoos.rl.train import train as learn  # torch takes seconds to load

    try:
        with LearningScreen(console.stderr()) as screen:
            policy = learn(training, resume, screen)
    except KeyboardInterrupt:
        typer.echo("damoos: interrupted; what was learned is kept, the same command with --resume goes on", err=True)
        raise typer.Exit(130) from None
    screen_out = console.stdout()
    screen_out.print(f"{policy.folder}: {policy.title}, the best after {policy.training['steps']:,} steps")
    screen_out.print(f"  damoos rl eval {policy.folder} --workloads {' '.join(training.validation)}", soft_wrap=True)


@app.command(name="eval")
def evaluate(
    policy: PolicyName,
    workloads: Workloads = None,
    episodes: Annotated[int, typer.Option(min=1, metavar="N", help="Episodes on each workload.")] = 8,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of the episodes.")] = 1,
    point: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="A parameter of a fixed scheme to compare with, such as min_age=2s."),
    ] = None,
    backend: Machines = DEFAULT_BACKEND,
    threads: Threads = None,
    as_json: AsJson = False,
    catalogue: Catalogue = None,
) -> None:
    """Measure POLICY beside the preset's default point, with the same seeds; no scheme is 0.

    Examples:

      damoos rl eval control-reclaim --workloads generated-test-0:10
      damoos rl eval damoos-out/control-reclaim --workloads zigzag --point min_age=1s
    """
    from damoos.env.draw import workload_names
    from damoos.rl.evaluate import evaluate as measure
    from damoos.rl.evaluate import fixed
    from damoos.rl.policy import load_policy
    from damoos.tune.preset import load_env

    found = load_policy(policy)
    preset = load_env(found.preset)
    found.check_space(preset.space, preset.name)
    actors = {"policy": found.actor(), "documented": fixed(found, preset.space.defaults())}
    if point:
        actors["fixed"] = fixed(found, preset.space.defaults() | _values(preset.space, point))
    names = list(workload_names(workloads or [TESTED_ON]))
    measured = measure(found, names, actors, backend=backend, episodes=episodes, seed=seed, threads=threads)
    if as_json:
        tree = {name: {who: [vars(e) for e in runs] for who, runs in row.items()} for name, row in measured.items()}
        typer.echo(json.dumps({"format": 1, "policy": found.name, "backend": backend, "workloads": tree}, indent=1))
        return
    _print_measured(found, list(actors), measured, backend, episodes)


@app.command(name="list")
def list_policies(as_json: AsJson = False, catalogue: Catalogue = None) -> None:
    """List the policies of the catalogue, and what can train.

    Examples:

      damoos rl list
    """
    from damoos.rl.algorithms import ALGORITHMS
    from damoos.rl.modes import MODES
    from damoos.rl.policy import load_policy, policy_names

    from .run_text import plain_table

    found = [load_policy(name) for name in policy_names()]
    if as_json:
        typer.echo(json.dumps([_as_tree(policy) for policy in found], indent=1))
        return
    screen = console.stdout()
    for title, rows in (
        ("policy", [(p.name, p.title) for p in found]),
        ("mode", [(name, mode.title) for name, mode in MODES.items()]),
        ("algorithm", [(name, algorithm.title) for name, algorithm in ALGORITHMS.items()]),
    ):
        table = plain_table(title, "what it is", left=2)
        for row in rows:
            table.add_row(*row)
        screen.print(table)
        screen.print()


@app.command()
def show(policy: PolicyName, as_json: AsJson = False, catalogue: Catalogue = None) -> None:
    """Show POLICY: what it sees and sets, on what it was trained, and how to train it again.

    Examples:

      damoos rl show control-reclaim
    """
    from damoos.rl.policy import load_policy

    found = load_policy(policy)
    tree = _as_tree(found)
    if as_json:
        typer.echo(json.dumps(tree, indent=1))
        return
    screen = console.stdout()
    screen.print(f"{found.name}: {found.title}", style="bold")
    for key, value in tree.items():
        if key not in ("name", "title", "training", "versions"):
            screen.print(f"{key:<13}{_in_words(value)}", soft_wrap=True)
    for key, value in {**found.training, "versions": found.versions}.items():
        screen.print(f"{key:<13}{_in_words(value)}", soft_wrap=True)


def _as_tree(policy: Policy) -> dict[str, Any]:
    return {
        "name": policy.name,
        "title": policy.title,
        "environment": policy.env_id,
        "preset": policy.preset,
        "algorithm": policy.algorithm,
        "observations": policy.observations,
        "actions": policy.actions,
        "arguments": dict(policy.arguments),
        "space": dict(policy.space),
        "training": dict(policy.training),
        "versions": dict(policy.versions),
    }


def _in_words(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_in_words(inner)}" for key, inner in value.items()) or "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _values(space: Any, texts: Sequence[str]) -> dict[str, Any]:
    from damoos.rl.evaluate import read_value

    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError("not understood", field="--point", value=text, allowed="NAME=VALUE")
        found[name] = read_value(space, name, value)
    return found


def _print_measured(
    policy: Policy,
    actors: Sequence[str],
    measured: dict[str, dict[str, list[Episode]]],
    backend: str,
    episodes: int,
) -> None:
    from damoos.tune.statistics import t_interval

    from .run_text import plain_table

    screen = console.stdout()
    table = plain_table("workload", *actors, "runtime, %", "RSS, %", "kept", left=1)
    for workload, rows in measured.items():
        intervals = [t_interval([e.score for e in rows[name]]) for name in actors]
        ours = rows["policy"]
        table.add_row(
            workload,
            *(f"{i.mean:.2f} ± {i.mean - i.low:.2f}" for i in intervals),
            f"{_mean([e.runtime_overhead_percent for e in ours]):+.2f}",
            f"{_mean([e.rss_overhead_percent for e in ours]):+.1f}",
            f"{100 * _mean([float(e.feasible) for e in ours]):.0f} %",
        )
    screen.print(table)
    for name in actors:
        # The workloads are given, and only the seeds a sample.
        over = t_interval([_mean([rows[name][i].score for rows in measured.values()]) for i in range(episodes)])
        kept = 100 * _mean([float(e.feasible) for rows in measured.values() for e in rows[name]])
        screen.print(f"{name:<11}{over.mean:.2f} ± {over.mean - over.low:.2f} in the mean, limit kept in {kept:.0f} %")
    screen.print(
        f"scores on {backend}; {episodes} episodes a workload, ± 95 % confidence; runtime, RSS, kept: the policy's"
    )


def _mean(numbers: Sequence[float]) -> float:
    return math.fsum(numbers) / len(numbers)
