"""Runs of a study: counted, remembered in its journal, tried again where the set-up failed, told to whoever watches."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from damoos.backend.result import Result
from damoos.damon.kdamonds import Kdamonds
from damoos.errors import HostError, SetUpError
from damoos.workload.recording import Recording, read_recording, write_recording

from .detail import Detail
from .early import Hopeless, Judge, Rules
from .fidelity import part_of
from .journal import Journal
from .objective import run_of
from .outcome import Run, Trial
from .request import Phase, Progress
from .trial import Bench, Look, OneRun
from .watching import recording_path, watch

_Any = TypeVar("_Any")

OnProgress = Callable[[Progress], None]

RETRIES = 2
"""How often a run is tried again that could not be set up."""
SET_UPS_IN_A_ROW = 3
"""Trials in a row that could not be set up, after all retries, which end a study: the machine is gone."""


@dataclass(frozen=True)
class Plan:
    """How runs of a trial are made: by which `rules` they are ended early, if any; of what `share` of the workload;
    which are `known`. `steered`: where the bench has something that steers, whether it does."""

    rules: Rules | None = None
    share: float = 1.0
    known: tuple[Run, ...] = ()
    steered: bool = True


PLAIN = Plan()


def _go_on(seed: int, t_s: float, work_ms: float, byte_s: float) -> None:
    """A look that ends nothing."""


def _took_s(run: Run | Hopeless) -> float:
    return run.stopped.at_s if isinstance(run, Hopeless) else run.runtime_s


@dataclass
class Meter:
    """Runs on the bench through the journal's memory. `workload_time_s`: what this call has really run, s, in
    `nr_runs` runs; `charged_s`: the same with what earlier calls ran and the journal remembered;
    `max_workload_time_s`: at how much of that the search ends; `follows`: whether the baseline's course is kept.

    Simulated runs are remembered in groups and run again for a picture. Others cost a workload's time each, so each is
    remembered by itself, and of those with `detail_seed` what reports show of them.
    """

    bench: Bench
    journal: Journal
    tell: OnProgress
    repeats: int
    detail_seed: int
    max_workload_time_s: float | None = None
    follows: bool = False
    phase: Phase = "baseline"
    done: int = 0
    total: int = 0
    best_score: float | None = None
    workload_time_s: float = 0.0
    charged_s: float = 0.0
    search_s: float = 0.0
    nr_runs: int = 0
    failed_set_ups: int = 0
    _telling: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def simulated(self) -> bool:
        """Whether a run costs next to nothing."""
        return self.bench.backend.time_kind == "simulated"

    def enter(self, phase: Phase, done: int, total: int) -> None:
        """Begins a phase, `done` of whose `total` steps earlier calls did."""
        self.phase, self.done, self.total = phase, done, total
        self.report(0)

    def report(self, more: int, note: str = "") -> None:
        """Tells that `more` steps are done."""
        self.done += more
        self.total = max(self.total, self.done)
        self.tell(
            Progress(
                self.phase,
                self.done,
                self.total,
                self.best_score,
                self.workload_time_s,
                self.nr_runs,
                self._runs_left(),
                note,
                self.charged_s,
                self.max_workload_time_s if self.phase == "search" else None,
            )
        )

    def run(self, kdamonds: Kdamonds | None, seeds: Sequence[int], plan: Plan = PLAIN) -> tuple[Run, ...]:
        """Runs, in the order of the seeds, new ones but for what the plan knows. Raises as `Bench.result`, SetUpError
        and HostError only after `RETRIES`; Hopeless by the plan's rules."""
        known = {run.seed: run for run in plan.known}
        left = [seed for seed in seeds if seed not in known]
        if plan.rules is None or kdamonds is None:
            new = [run_of(result) for result in self._results(kdamonds, left, plan)]
        else:
            new = self._judged(kdamonds, left, plan.rules, plan)
        known.update((run.seed, run) for run in new)
        return tuple(known[seed] for seed in seeds)

    def _judged(self, kdamonds: Kdamonds, seeds: Sequence[int], rules: Rules, plan: Plan) -> list[Run]:
        judge, bench = Judge(rules, kdamonds), self._bench_of(plan)
        runs: list[Run] = []
        if plan.known:
            judge.ended(plan.known)
        # How many go side by side must not decide what is found where a seed alone does.
        for group in self._groups(seeds, 1 if self.simulated else self.bench.workers):
            found = bench.results(kdamonds, group, self._or_hopeless, judge.look)
            self.workload_time_s += sum(_took_s(run) for run in found)
            self.nr_runs += len(found)
            runs += judge.ended(found)
        return runs

    def remembered(
        self, kdamonds: Kdamonds | None, seeds: Sequence[int], share: float = 1.0, *, steered: bool = True
    ) -> tuple[Run, ...]:
        """Runs of that share of the workload that belong to no trial, those of earlier calls included; `steered`: as
        trials are, where something steers these. Raises as `run`."""
        plan = Plan(share=share, steered=steered)
        if not self.simulated:
            groups = self._groups(seeds, self.bench.workers)
            return tuple(run for group in groups for run in self._one_by_one(kdamonds, group, plan))
        steered = self._steers(kdamonds, steered)
        runs = self.journal.runs(kdamonds, seeds, share, steered=steered)
        if runs is None:
            runs = self.run(kdamonds, seeds, plan)
            self.journal.remember(kdamonds, seeds, runs, share, steered=steered)
        self._charge(runs)
        self.report(len(runs))
        return runs

    def watched(self, kdamonds: Kdamonds, seed: int) -> Recording:
        """What the one monitored run of the study shows, which is kept beside its journal. Raises as `run`, ConfigError
        if what was kept can't be read."""
        path, runs = recording_path(self.journal.path), self.journal.runs(kdamonds, [seed])
        # The run is remembered after its recording, so a recording of another study is not taken for this one's.
        if runs is None or not path.exists():
            recording, result = self._with_retries(
                lambda: watch(self.bench.backend, self.bench.workload, kdamonds, seed)
            )
            write_recording(recording, path)
            runs = (run_of(result),)
            self.journal.remember(kdamonds, [seed], runs)
            self.workload_time_s += result.runtime_s
            self.nr_runs += 1
        else:
            recording = read_recording(path)
        self._charge(runs)
        self.report(1)
        return recording

    def detail(self, kdamonds: Kdamonds | None, *, steered: bool = True) -> Detail:
        """What reports show of the run with `detail_seed`, which was a remembered one."""
        if self.simulated:
            return Detail.of(self._bench_of(Plan(steered=steered)).result(kdamonds, self.detail_seed))
        kept = self.journal.detail(kdamonds, self.detail_seed, steered=self._steers(kdamonds, steered))
        assert kept is not None
        return kept

    def saw(self, trial: Trial) -> None:
        """Takes a finished trial, of this call or an earlier one, into account."""
        self.charged_s += trial.workload_time_s
        self.search_s += trial.workload_time_s
        if trial.state == "complete" and trial.feasible and trial.score is not None:
            self.best_score = trial.score if self.best_score is None else max(self.best_score, trial.score)

    def check_set_up(self, trial: Trial) -> None:
        """Raises SetUpError if with this new trial too many in a row could not be set up."""
        self.failed_set_ups = self.failed_set_ups + 1 if trial.error_kind == "setup" else 0
        if self.failed_set_ups == SET_UPS_IN_A_ROW:
            raise SetUpError(f"{SET_UPS_IN_A_ROW} trials in a row could not be set up, the study stops: {trial.error}")

    def _one_by_one(self, kdamonds: Kdamonds | None, seeds: Sequence[int], plan: Plan) -> list[Run]:
        steered = self._steers(kdamonds, plan.steered)
        remembered = {seed: self.journal.runs(kdamonds, [seed], plan.share, steered=steered) for seed in seeds}
        known = {seed: found[0] for seed, found in remembered.items() if found is not None}
        for result in self._results(kdamonds, [seed for seed in seeds if seed not in known], plan):
            # Before the run itself: killed between the two, both are done again.
            if result.seed == self.detail_seed:
                self.journal.keep_detail(kdamonds, Detail.of(result), steered=steered)
            known[result.seed] = run_of(result)
            self.journal.remember(kdamonds, [result.seed], [known[result.seed]], plan.share, steered=steered)
        runs = [known[seed] for seed in seeds]
        self._charge(runs)
        self.report(len(runs))
        return runs

    @staticmethod
    def _groups(seeds: Sequence[int], at_once: int) -> list[Sequence[int]]:
        at_once = max(at_once, 1)
        return [seeds[first : first + at_once] for first in range(0, len(seeds), at_once)]

    def _steers(self, kdamonds: Kdamonds | None, wanted: bool) -> bool:
        return wanted and kdamonds is not None and self.bench.steering is not None

    def _bench_of(self, plan: Plan) -> Bench:
        bench = self.bench if plan.steered else replace(self.bench, steering=None)
        return bench if plan.share == 1.0 else replace(bench, workload=part_of(bench.workload, plan.share))

    def _results(self, kdamonds: Kdamonds | None, seeds: Sequence[int], plan: Plan) -> tuple[Result, ...]:
        look: Look | None = _go_on if self.follows and self.phase == "baseline" else None
        results = self._bench_of(plan).results(kdamonds, seeds, self._with_retries, look)
        self.workload_time_s += sum(result.runtime_s for result in results)
        self.nr_runs += len(results)
        return results

    def _or_hopeless(self, run: OneRun) -> Run | Hopeless:
        # One that is ended must not end those beside it: when they would be is chance.
        try:
            # Only baselines are compared with later.
            return replace(run_of(self._with_retries(run)), course=None)
        except Hopeless as error:
            return error

    def _with_retries(self, run: Callable[[], _Any]) -> _Any:
        for attempt in range(1, RETRIES + 1):
            try:
                return run()
            except (SetUpError, HostError) as error:
                # Several runs may fail at once, each in its thread.
                with self._telling:
                    self.report(0, f"the set-up failed, trying again ({attempt} of {RETRIES}): {error}")
        return run()

    @property
    def used_up(self) -> bool:
        """Whether there is no workload time left for another trial."""
        return self.max_workload_time_s is not None and self.charged_s >= self.max_workload_time_s

    def _runs_left(self) -> int:
        left = self.total - self.done
        if self.phase != "search":
            return left
        if self.max_workload_time_s is not None and self.search_s > 0:
            rest_s = max(self.max_workload_time_s - self.charged_s, 0.0)
            left = min(left, math.ceil(rest_s / (self.search_s / self.done)))
        return left * self.repeats

    def _charge(self, runs: Sequence[Run]) -> None:
        self.charged_s += sum(run.runtime_s for run in runs)
