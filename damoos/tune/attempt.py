"""One trial of a study: as faithful as the strategy wants it, without what was run before, ended early without hope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from damoos.damon.damo_format import to_damo

from .early import Rules
from .fidelity import WHOLE, Fidelity, Ladder, share_of
from .meter import Meter, Plan
from .objective import Objective
from .outcome import Run, Trial
from .space import Space, Values
from .trial import evaluate


@dataclass(frozen=True)
class Baselines:
    """The runs without DAMON that trials are compared with: of the whole workload one a seed, and of each share of it
    that the ladder has one."""

    whole: tuple[Run, ...]
    parts: Mapping[float, tuple[Run, ...]]

    @classmethod
    def measured(cls, meter: Meter, seeds: Sequence[int], ladder: Ladder | None) -> Baselines:
        """Runs what isn't remembered. Raises as `Meter.remembered`."""
        rungs = () if ladder is None else ladder.rungs
        shares = sorted({share_of(meter.bench.workload, rung) for rung in rungs} - {1.0})
        meter.enter("baseline", 0, len(seeds) + len(shares))
        whole = meter.remembered(None, seeds)
        return cls(whole, {share: meter.remembered(None, seeds[:1], share) for share in shares})

    def at(self, fidelity: Fidelity) -> tuple[float, tuple[Run, ...]]:
        """The share of the workload that is run, and what is compared with."""
        share = fidelity.share if fidelity.share in self.parts else 1.0
        runs = self.parts.get(share, self.whole)
        return share, runs if fidelity.often else runs[:1]


@dataclass(frozen=True)
class Attempts:
    """How the trials of a study are run. `finalists`: how many go to the final; None where no run is ended early."""

    meter: Meter
    space: Space
    objective: Objective
    baselines: Baselines
    ladder: Ladder | None
    finalists: int | None

    def run(self, number: int, values: Values, trials: Sequence[Trial]) -> Trial:
        """Trial `number` at `values`, after `trials`. Raises as `evaluate`."""
        fidelity = WHOLE if self.ladder is None else self.ladder.fidelity(number)
        share, base = self.baselines.at(fidelity)
        known = self._known(values, share, base, trials) if self.ladder is not None else ()
        rules = None
        # The default is what others are compared with, and a part says too little of the whole.
        if self.finalists is not None and number and share == 1.0:
            rules = Rules.of(self.objective, base, trials, self.finalists)
        plan = Plan(rules, share, known)
        trial = evaluate(partial(self.meter.run, plan=plan), self.space, self.objective, number, values, base)
        whole = share == 1.0 and len(base) == len(self.baselines.whole)
        return replace(
            trial,
            state="partial" if trial.state == "complete" and not whole else trial.state,
            share=share,
            reused=tuple(run.seed for run in known),
            steered=self.meter.bench.steering is not None,
        )

    def _known(self, values: Values, share: float, base: Sequence[Run], trials: Sequence[Trial]) -> tuple[Run, ...]:
        tree = to_damo(self.space.kdamonds(values))
        same = [trial for trial in trials if trial.share == share and trial.kdamonds == tree]
        runs = {repeat.run.seed: repeat.run for trial in same for repeat in trial.repeats}
        return tuple(runs[run.seed] for run in base if run.seed in runs)
