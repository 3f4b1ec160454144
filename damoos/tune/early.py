"""Ends runs that have no hope while they run.

Two things can be known before a run's end. It will be too slow: the time that it has taken, and what the rest will take
at the least, pass the runtime limit. Or it can't win: even if the rest needed no memory at all, its score stays below
those of the trials that go to the final. What the rest takes is known from the course of the baseline of the same seed:
where a workload says how far it is, from there to the baseline's end, and a little less; of others nothing is assumed.

Where a trial has several runs, the mean counts, so the runs to come are taken to be better than the one that is judged,
within what runs of one point differ by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from damoos.backend.result import Course
from damoos.damon.kdamonds import Kdamonds
from damoos.damon.schemes import Action

from .objective import Objective, mean
from .outcome import Repeat, Run, Stopped, Trial

COURSE_POINTS = 400
"""Moments of a course that are kept; beyond that every second one is dropped, and so on."""
FASTER, MUCH_FASTER = 0.1, 0.5
"""By how much the rest of a run may be faster than the baseline's, of its time: under schemes that take memory away,
and under others, which can make a program faster."""
SLOWING = frozenset(
    {Action.PAGEOUT, Action.COLD, Action.LRU_DEPRIO, Action.MIGRATE_COLD, Action.NOHUGEPAGE, Action.STAT}
)
ALIKE = 0.5
"""The runs to come of a trial are taken to be slowed by this share of what the present one is."""
ALIKE_SCORE = 5.0
"""By so much are the scores of the runs to come taken to be better than the present one's."""


class Hopeless(Exception):
    """Ends a run, and then its trial: `stopped` says why, `repeats` are the trial's runs that had ended."""

    def __init__(self, stopped: Stopped, repeats: tuple[Repeat, ...] = ()) -> None:
        super().__init__(stopped.text)
        self.stopped, self.repeats = stopped, repeats


@dataclass(frozen=True)
class Rules:
    """What trials are held to: the objective's runtime limit, against the `baseline` of the trial's seeds, and a score
    `to_beat` (None: no score is too low)."""

    objective: Objective
    baseline: tuple[Run, ...]
    to_beat: float | None = None

    @classmethod
    def of(cls, objective: Objective, baseline: Sequence[Run], trials: Sequence[Trial], finalists: int) -> Rules:
        """The rules after `trials`, the best `finalists` of which would go to the final."""
        scores = sorted(t.score for t in trials if t.state == "complete" and t.feasible and t.score is not None)
        return cls(objective, tuple(baseline), scores[-finalists] if len(scores) >= finalists else None)


@dataclass
class Judge:
    """Judges the runs of one trial under `kdamonds`; several threads may tell it of one run each."""

    rules: Rules
    kdamonds: Kdamonds
    _repeats: list[Repeat] = field(default_factory=list)

    def look(self, seed: int, t_s: float, work_ms: float, byte_s: float) -> None:
        """Judges the run with `seed`, `t_s` s after its start: `work_ms` of the workload's nominal time are done,
        memory has come to `byte_s` bytes times s. Raises Hopeless."""
        objective, base = self.rules.objective, self._base(seed)
        at_least_s = t_s + self._rest_s(base, work_ms)
        slower = 100.0 * (at_least_s / base.runtime_s - 1.0) if objective.speed == "runtime" else 0.0
        self._judge(seed, t_s, slower, objective.score_at_most(at_least_s, byte_s, base))

    def ended(self, runs: Sequence[Run | Hopeless]) -> tuple[Run, ...]:
        """Takes runs that went side by side into account, and returns them. Raises Hopeless if one was ended or those
        to come can't mend the trial, and WorkloadError as `Objective.repeat`."""
        whole = tuple(run for run in runs if not isinstance(run, Hopeless))
        cut = [run.stopped for run in runs if isinstance(run, Hopeless)]
        self._repeats += [self.rules.objective.repeat(run, self._base(run.seed)) for run in whole]
        if cut:
            raise Hopeless(replace(cut[0], spent_s=sum(stopped.at_s for stopped in cut)), tuple(self._repeats))
        if len(self._repeats) < len(self.rules.baseline):
            try:
                self._judge(whole[-1].seed, whole[-1].runtime_s, None, None)
            except Hopeless as error:
                raise Hopeless(replace(error.stopped, spent_s=0.0), tuple(self._repeats)) from None
        return whole

    def _base(self, seed: int) -> Run:
        return next(run for run in self.rules.baseline if run.seed == seed)

    def _rest_s(self, base: Run, work_ms: float) -> float:
        if base.course is None or work_ms <= 0:
            return 0.0
        left_s = base.runtime_s - base.course.later_s(work_ms, base.runtime_s)
        slowing = all(scheme.action in SLOWING for scheme in self.kdamonds.context.schemes)
        return max(left_s, 0.0) * (1.0 - (FASTER if slowing else MUCH_FASTER))

    def _judge(self, seed: int, t_s: float, slower_percent: float | None, score_at_most: float | None) -> None:
        """`slower_percent`, `score_at_most`: bounds of a run that goes on, None where that is none."""
        objective = self.rules.objective
        done = self._repeats
        slower = [repeat.runtime_overhead_percent for repeat in done]
        slower += [] if slower_percent is None else [slower_percent]
        left = len(self.rules.baseline) - len(slower)
        overhead = mean(slower + [ALIKE * slower[-1]] * left)
        scores = [repeat.score for repeat in done] + ([] if score_at_most is None else [score_at_most])
        score = None
        if objective.kind == "damoos" and len(scores) == len(slower):
            score = mean(scores + [scores[-1] + ALIKE_SCORE] * left)
        why = None
        if objective.speed == "runtime" and overhead > objective.limit_percent:
            why = "too slow"
        elif score is not None and self.rules.to_beat is not None and score < self.rules.to_beat:
            why = "no final"
        if why is not None:
            raise Hopeless(Stopped(why, seed, t_s, t_s, overhead, score))


@dataclass
class Follower:
    """Follows one run by what its session shows at each step. `byte_s`: what memory has come to at the least, since
    between two samples it counts as the smaller one."""

    t_s: float = 0.0
    byte_s: float = 0.0
    work_ms: float = 0.0
    _rss_bytes: int = 0
    _course: list[tuple[float, float]] = field(default_factory=list)
    _every: int = 1
    _steps: int = 0

    def step(self, t_s: Sequence[float], rss_bytes: Sequence[int], work_ms: float) -> None:
        """The samples of a step, times since the run's start, and the work that was done by its end."""
        for moment_s, rss in zip(t_s, rss_bytes, strict=True):
            self.byte_s += min(self._rss_bytes, rss) * (moment_s - self.t_s)
            self.t_s, self._rss_bytes = moment_s, rss
        self.work_ms = work_ms
        self._steps += 1
        if self._steps % self._every == 0:
            self._course.append((self.t_s, work_ms))
        if len(self._course) > COURSE_POINTS:
            self._course = self._course[1::2]
            self._every *= 2

    @property
    def course(self) -> Course:
        """How the run came along."""
        return Course(tuple(t_s for t_s, _ in self._course), tuple(work_ms for _, work_ms in self._course))
