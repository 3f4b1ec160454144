"""DAMON on a tuned machine: staging a configuration, starting, committing, stopping, reading back.

A Control assumes that DAMON is its own: look with `guards.refuse_if_used` first, hold a `guards.HostLock`, and hand it
a `journal.JournalingHost` where what it does has to be undone. One Control a host, used by one thread.
"""

from __future__ import annotations

import dataclasses
import errno
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial

from damoos.damon.attrs import Intervals
from damoos.damon.kdamonds import Context, Kdamond, Kdamonds
from damoos.damon.validation import validate
from damoos.errors import BackendError, HostError, KdamondsError

from . import abi
from .host import Host, read_tree
from .patience import Patience
from .plan import Difference, Write, as_wanted, differences, is_input, plan
from .tree import Wanted, decode, encode


@dataclass(frozen=True)
class Applied:
    """What was asked for (pids filled in), what the files say afterwards, where these differ, and what was written."""

    asked: Kdamonds
    applied: Kdamonds
    differences: tuple[Difference, ...]
    writes: tuple[Write, ...]


class Control:
    """The kdamonds of one host. `files`: patterns of the files that its kernel has, from `features.probe`."""

    def __init__(self, host: Host, files: Collection[str], patience: Patience | None = None) -> None:
        self.host = host
        self.files = frozenset(files)
        self.patience = patience if patience is not None else Patience()
        self._intervals: tuple[tuple[Intervals, ...], ...] = ()
        # Input files as they were left here; None where they have to be read. Reading them all takes the CPU of the
        # tuned machine as long as a look at DAMON's regions does.
        self._left: dict[str, str] | None = None

    def plan(self, kdamonds: Kdamonds, pids: Sequence[int] = ()) -> tuple[Write, ...]:
        """What `stage` would write. Raises KdamondsError as it does, HostError."""
        return plan(self.inputs(), self._encode(with_pids(kdamonds, pids)))

    def stage(self, kdamonds: Kdamonds, pids: Sequence[int] = ()) -> Applied:
        """Brings the files to `kdamonds` with the fewest writes; nothing takes effect before `turn_on` or `commit`.

        `pids` go to the targets without one, in order. Raises KdamondsError for what this kernel refuses or lacks
        (with the field), HostError.
        """
        asked, self._left = with_pids(kdamonds, pids), None
        writes = self._write(self.inputs(), self._encode(asked))
        self._remember(asked)
        return self._read_back(asked, writes)

    def read_back(self) -> Kdamonds:
        """What the files say: what is staged, which is what runs if it was committed. Raises HostError."""
        return decode(self.inputs())

    def inputs(self) -> dict[str, str]:
        """Every input file: path below KDAMONDS -> text. Raises HostError."""
        values = self.patience(lambda: read_tree(self.host, abi.KDAMONDS))
        return {path: text for path, text in values.items() if is_input(path)}

    def read_input(self, path: str) -> str:
        """What an input file holds, which need not be asked for where this Control left it so. Raises HostError."""
        if self._left is not None and (below := path.removeprefix(f"{abi.KDAMONDS}/")) in self._left:
            return self._left[below]
        return self.patience(lambda: self.host.read(path))

    def forget(self) -> None:
        """Has all files read again when they are needed next: something else has written into some."""
        self._left = None

    def turn_on(self, kdamond: int = 0) -> int:
        """Starts what is staged; the pid of the kernel thread. Raises BackendError if the kernel does not."""
        if self.is_on(kdamond):
            raise BackendError(f"kdamond {kdamond} is on already")
        try:
            self.command("on", kdamond)
        except HostError as error:
            raise why_not_on(error) from error
        return self.pid(kdamond)

    def turn_off(self, kdamond: int = 0) -> None:
        """Stops a kdamond and waits for it; fine if it has ended or never ran. Raises HostError."""
        try:
            self.command("off", kdamond)
        except HostError as error:
            # Kernel: EINVAL if it never ran, up to 7.2 EPERM if it has ended by itself.
            if error.errno not in (errno.EINVAL, errno.EPERM) or self.is_on(kdamond):
                raise

    def commit(self, kdamonds: Kdamonds, pids: Sequence[int] = ()) -> Applied:
        """Stages `kdamonds` and makes running kdamonds take it over; statistics and regions live on.

        Where the kernel tunes intervals and the same ones are asked for again, they stay as tuned so far. A refusal
        leaves files and kdamonds as they were. Raises KdamondsError, HostError; BackendError if a kdamond has ended,
        before or (Linux up to 6.17, on values it can't use) because of the commit.
        """
        asked = with_pids(kdamonds, pids)
        self._encode(asked)
        numbers = range(len(asked.kdamonds))
        there = self.read_input(f"{abi.KDAMONDS}/nr_kdamonds")
        if there != str(len(numbers)):
            raise KdamondsError("can't change while they run", field="kdamonds", value=len(numbers), allowed=there)
        for number in numbers:
            self._check_on(number)
        tuned = self._with_tuned_intervals(asked)
        before, self._left = self.inputs() if self._left is None else self._left, None
        committed: list[int] = []
        try:
            writes = self._write(before, encode(tuned, self.files))
            for number in numbers:
                self.command("commit", number)
                committed.append(number)
        except (HostError, KdamondsError):
            self._write(self.inputs(), as_wanted(before))
            for number in committed:
                self.command("commit", number)
            raise
        for number in numbers:
            self._check_on(number, "ended at the commit")
        self._remember(asked)
        changes = {write.path.removeprefix(f"{abi.KDAMONDS}/"): write.new for write in writes}
        # A count makes folders anew.
        unknown = any(abi.BY_PATTERN[abi.pattern_of(path)].kind is abi.Kind.COUNT for path in changes)
        unknown = unknown or any(map(_tunes, tuned.kdamonds))
        return self._read_back(tuned, writes, None if unknown else before | changes)

    def commit_goals(self, values: Sequence[int], scheme: int = 0, kdamond: int = 0) -> None:
        """Sets `current_value` of the goals of a scheme and commits only goals: what a user_input goal is fed with."""
        self.forget()
        goals = f"{abi.KDAMONDS}/{kdamond}/contexts/0/schemes/{scheme}/quotas/goals"
        for number, value in enumerate(values):
            self.host.write(f"{goals}/{number}/current_value", str(value))
        self.command("commit_schemes_quota_goals", kdamond)

    def command(self, keyword: str, kdamond: int = 0) -> None:
        """Writes a keyword to `state` and waits for its effect. Raises HostError: EINVAL also where it is unknown."""
        self.patience(lambda: self.host.write(_path(kdamond, "state"), keyword))

    def is_on(self, kdamond: int = 0) -> bool:
        """Whether a kdamond runs; it ends by itself when all its target processes have. Raises HostError."""
        return self.patience(lambda: self.host.read(_path(kdamond, "state"))) == "on"

    def pid(self, kdamond: int = 0) -> int:
        """The pid of a kdamond's kernel thread, -1 while it is off. Raises HostError."""
        return int(self.patience(lambda: self.host.read(_path(kdamond, "pid"))))

    def _encode(self, asked: Kdamonds) -> tuple[Wanted, ...]:
        validate(asked)
        return encode(asked, self.files)

    def _write(self, current: dict[str, str], wanted: Sequence[Wanted]) -> tuple[Write, ...]:
        fields = {f"{abi.KDAMONDS}/{row.path}": row.field for row in wanted}
        writes = plan(current, wanted)
        for write in writes:
            try:
                self.patience(partial(self.host.write, write.path, write.new))
            except HostError as error:
                if error.errno not in (errno.EINVAL, errno.ERANGE):
                    raise
                raise KdamondsError(
                    f"this kernel refuses it ({error.reason})", field=fields[write.path], value=write.new
                ) from error
        return writes

    def _read_back(self, asked: Kdamonds, writes: tuple[Write, ...], left: dict[str, str] | None = None) -> Applied:
        # `left`: the input files as they are now, where that is known.
        left = self.inputs() if left is None else left
        self._left = None if any(map(_tunes, asked.kdamonds)) else left
        applied = decode(left)
        return Applied(asked, applied, differences(asked, applied), writes)

    def _check_on(self, kdamond: int, what: str = "has ended") -> None:
        if not self.is_on(kdamond):
            raise BackendError(f"{_path(kdamond, 'state')}: kdamond {kdamond} {what}")

    def _remember(self, asked: Kdamonds) -> None:
        self._intervals = tuple(tuple(c.intervals for c in kdamond.contexts) for kdamond in asked.kdamonds)

    def _with_tuned_intervals(self, asked: Kdamonds) -> Kdamonds:
        """`asked` with the intervals that the kernel has tuned to, where it tunes and nothing about it changes."""
        again = tuple(tuple(c.intervals for c in kdamond.contexts) for kdamond in asked.kdamonds) == self._intervals
        kdamonds = list(asked.kdamonds)
        for number, kdamond in enumerate(kdamonds):
            if again and _tunes(kdamond):
                self.command("update_tuned_intervals", number)
                now = self.read_back().kdamonds[number].contexts
                contexts = (_tuned(c, there) for c, there in zip(kdamond.contexts, now, strict=True))
                kdamonds[number] = dataclasses.replace(kdamond, contexts=tuple(contexts))
        return dataclasses.replace(asked, kdamonds=tuple(kdamonds))


_WHY_NOT_ON = {
    errno.EBUSY: "Another user of DAMON holds it: `damoos doctor` says who.",
    errno.EINVAL: "A target process may have ended, or the kernel lacks the operations set.",
    errno.ENOMEM: "A scheme names something that is not there, such as a cgroup.",
}


def why_not_on(error: HostError) -> BackendError:
    """What it means that the kernel refused to start a kdamond."""
    return BackendError(f"{error}. {_WHY_NOT_ON.get(error.errno, '')}".rstrip())


def with_pids(kdamonds: Kdamonds, pids: Sequence[int]) -> Kdamonds:
    """The same with `pids` in the targets of vaddr and fvaddr contexts that have none, in order.

    Raises KdamondsError if there are more or fewer such targets than pids.
    """
    left = list(pids)
    open_targets = 0
    filled = []
    for kdamond in kdamonds.kdamonds:
        contexts = []
        for context in kdamond.contexts:
            targets = []
            for target in context.targets:
                if target.pid is None and context.ops != "paddr":
                    open_targets += 1
                    target = dataclasses.replace(target, pid=left.pop(0) if left else None)
                targets.append(target)
            contexts.append(dataclasses.replace(context, targets=tuple(targets)))
        filled.append(dataclasses.replace(kdamond, contexts=tuple(contexts)))
    if open_targets != len(pids):
        raise KdamondsError(
            "as many processes as targets without one are needed",
            field="pids",
            value=list(pids),
            allowed=str(open_targets),
        )
    return dataclasses.replace(kdamonds, kdamonds=tuple(filled))


def _tunes(kdamond: Kdamond) -> bool:
    # Then the kernel writes into the files of the intervals.
    return any(context.intervals.intervals_goal.aggrs for context in kdamond.contexts)


def _tuned(context: Context, there: Context) -> Context:
    intervals = dataclasses.replace(
        context.intervals, sample_us=there.intervals.sample_us, aggr_us=there.intervals.aggr_us
    )
    return dataclasses.replace(context, intervals=intervals)


def _path(kdamond: int, name: str) -> str:
    return f"{abi.KDAMONDS}/{kdamond}/{name}"
