"""One workload running once on a real kernel, behind the `Session` seam."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from damoos.backend.base import Placed, Workload
from damoos.backend.result import PhaseResult, Result, Samples
from damoos.damon.kdamonds import Kdamonds
from damoos.damon.snapshot import SchemeStats, Snapshot
from damoos.errors import BackendError, DamonInUseError, HostError, KdamondsError, SetUpError, WorkloadError
from damoos.workload.attached import AttachedWorkload
from damoos.workload.command import Metric
from damoos.workload.pace import Pace

from . import abi
from .control import why_not_on
from .guards import refuse_if_used
from .place import Place
from .program import Program, program_of, shown, staged
from .readings import parse_stats, read_snapshot, read_stats, read_tuned_intervals
from .sampling import Recorder, mean_over_time

STEP_S = 30.0
"""How long a run is waited for in one go, s of its own time: a lost machine is noticed after that."""
READY_S = 60.0
ENDING_LOOKS = 8
OUTPUT_MAX = 1 << 22
_TAIL_LINES = 5


@dataclass(frozen=True)
class Setting:
    """What a session is about. `outputs`: file that gets what the workload printed."""

    backend: str
    time_kind: str
    workload: Workload
    kdamonds: Kdamonds | None
    seed: int
    pace: Pace
    sample_every_s: float
    output: Path | None


class KernelSession:
    """A run on a connected machine, which has it alone until `close`. See `damoos.backend.base.Session`.

    `leave` is called once at the end with whether the machine is still good for another run.
    """

    def __init__(self, place: Place, setting: Setting, leave: Callable[[bool], None]) -> None:
        self._place, self._setting, self._leave = place, setting, leave
        self._closed = False
        self._t_s = 0.0
        self._lines: list[dict[str, Any]] = []
        self._ended: dict[str, Any] | None = None
        self._stats: tuple[SchemeStats, ...] = ()
        self._counted = (0.0, 0)
        self._nr_regions = 0.0
        self._applied: Kdamonds | None = None
        self._result: Result | None = None
        self._output = ""
        try:
            with self._talking():
                self._begin()
        except BaseException:
            self.close()
            raise

    # ---- the seam ----

    @property
    def done(self) -> bool:
        """Whether the workload has ended."""
        return self._ended is not None

    def commit(self, kdamonds: Kdamonds) -> Kdamonds:
        """See Session.commit."""
        if self._applied is None or self.done:
            raise BackendError("commit: DAMON is not running here")
        with self._talking():
            try:
                done = self._place.control.commit(staged(kdamonds, self._program), self._pids)
            except BackendError:
                if not self._has_just_ended():
                    raise
                return self._applied
        self._applied = shown(done.applied, kdamonds)
        return self._applied

    def advance(self, seconds: float) -> Samples:
        """See Session.advance."""
        self._must_be_open()
        first, until_s = self._recorder.count, self._t_s + seconds
        while not self.done and self._t_s < until_s:
            with self._talking():
                self._wait(min(until_s, self._t_s + STEP_S))
        return self._recorder.samples(first, self._runtime_s if self.done else float("inf"))

    def snapshot(self) -> Snapshot:
        """See Session.snapshot."""
        if self._applied is None:
            raise BackendError("this run was started without DAMON: it has no regions")
        self._must_be_open()
        with self._talking():
            if self._applied.context.intervals.intervals_goal.aggrs and not self.done:
                read_tuned_intervals(self._place.control)
            return read_snapshot(self._place.control, self._t_s, scheme=len(self._applied.context.schemes))

    def placed(self) -> tuple[Placed, ...]:
        """See Session.placed; the program does not say where it put its regions."""
        return ()

    def stats(self) -> tuple[SchemeStats, ...]:
        """See Session.stats."""
        self._must_be_open()
        if self._applied is not None and not self.done:
            with self._talking():
                try:
                    self._take_stats(read_stats(self._place.control))
                except BackendError:
                    if not self._has_just_ended():  # then its last ones are there
                        raise
        return self._stats[:-1]

    def work_done_ms(self) -> float:
        """The phases that are over, and what the program last said of the running one."""
        done_ms = part_ms = 0.0
        for line in self._lines:
            if line.get("event") == "phase":
                done_ms, part_ms = done_ms + line["nominal_ms"], 0.0
            elif line.get("event") == "work":
                part_ms = line["nominal_ms"]
        return done_ms + part_ms

    def finish(self) -> Result:
        """See Session.finish."""
        if self._result is None:
            while not self.done:
                self.advance(STEP_S)
            with self._talking():
                self._result = self._record()
        return self._result

    def close(self) -> None:
        """See Session.close."""
        if self._closed:
            return
        self._closed = True
        good = False
        try:
            with self._place.awake():
                self._place.link.request_raw("stop", patience_s=self._place.patience_s(10.0))
                self._place.link.request_raw("drop")
                self._place.link.request_raw("sample")  # no more of them
                report = self._place.link.request_raw("restore", patience_s=self._place.patience_s(10.0))
                self._place.link.events()
            if report.get("failed"):
                paths = ", ".join(f"{entry['path']} ({entry['error']})" for entry in report["failed"])
                raise BackendError(f"{self._place.name}: can't be undone: {paths}")
            good = True
        except BackendError:
            # Where the machine is gone so is what was to be undone, or its agent does it by itself.
            if self._place.is_alive():
                raise
        finally:
            self._leave(good)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- beginning ----

    def _begin(self) -> None:
        place, setting = self._place, self._setting
        refuse_if_used(place.host)
        place.link.events()
        self._program = program_of(setting.workload, place, setting.pace, setting.seed)
        self._pids: tuple[int, ...] = self._program.pids
        if self._program.start is not None:
            self._pids = (self._start(self._program),)
        ops: list[dict[str, Any]] = []
        at_end: list[dict[str, Any]] = []
        if setting.kdamonds is not None:
            asked = staged(setting.kdamonds, self._program)
            pids = self._pids if len(self._program.pids) < 2 else ()
            self._applied = shown(place.control.stage(asked, pids).applied, setting.kdamonds)
            state = f"{abi.KDAMONDS}/0/state"
            ops = [_write(state, "on"), {"do": "read", "path": f"{abi.KDAMONDS}/0/pid"}]
            at_end = [
                _write(state, "update_schemes_stats"),
                {"do": "tree", "path": _SCHEMES, "flat": "tried_regions"},
                _write(state, "off"),
            ]
        watch = self._program.watch
        zero = place.link.request("sample", **watch)["sample"]
        self._recorder = Recorder(zero, place.link.hello["page_size"])
        reply = place.link.request_raw("go", ops=ops, at_end=at_end)  # a lost agent is no fault of the workload's
        try:
            replies = place.link.answer(reply)["replies"]
        except HostError as error:
            raise why_not_on(error) from error
        except BackendError as error:
            raise WorkloadError(f"{setting.workload.name}: {error}") from error
        # Not before: samples from then would have another clock.
        kdamonds = [int(replies[1]["value"])] if ops else []
        place.link.request("sample", every_s=setting.sample_every_s, kdamonds=kdamonds, **watch)

    def _start(self, program: Program) -> int:
        place, name = self._place, self._setting.workload.name
        reply = place.link.request_raw("start", **(program.start or {}))
        try:
            pid = int(place.link.answer(reply)["pid"])
        except HostError:
            raise
        except BackendError as error:
            raise WorkloadError(f"{name} can't be started: {error}") from error
        if program.start and program.start["hold"] == "sync":
            ready = place.link.wait("line", place.patience_s(READY_S))
            if ready is None or _event(ready).get("event") != "ready":
                tail = _tail(place.link.request("output")["text"])
                raise SetUpError(f"{name} does not get ready{tail}")
        return pid

    # ---- running ----

    def _wait(self, until_s: float) -> None:
        place, limit_s = self._place, self._program.duration_s
        over = limit_s is not None and until_s >= limit_s
        target_s = limit_s if over and limit_s is not None else until_s
        patience_s = place.patience_s(max(target_s - self._t_s, 0.0))
        reply = place.link.request("until", t_s=target_s, hold=True, patience_s=patience_s)
        for event in place.link.events():
            if event["event"] == "sample":
                self._recorder.add(event, self._nr_regions)
            elif event["event"] == "line":
                self._lines.append(_event(event))
            elif event["event"] == "ended":
                self._end(event)
        if not self.done:
            sample = reply["sample"]
            self._recorder.add(sample, self._nr_regions)
            self._t_s = max(float(sample["t_s"]), target_s)
            if over:
                self._stop_watching(sample)

    def _has_just_ended(self) -> bool:
        # Between two looks a workload ends unseen, and kdamond with it. What was asked of kdamond since the last look
        # may have taken longer than an aggregation, and the workload takes a while to be gone.
        until_s = self._t_s + 1.0
        for _ in range(ENDING_LOOKS):
            self._wait(until_s)
            if self.done:
                return True
            until_s = self._t_s + 0.5
        return False

    def _stop_watching(self, sample: dict[str, Any]) -> None:
        if self._program.watch.get("pid") and not sample["processes"]:
            raise WorkloadError(f"process {self._program.watch['pid']} has ended")
        if self._applied is not None:
            self._take_stats(read_stats(self._place.control))
            self._place.control.turn_off()
        self._ended = {"status": 0, "runtime_s": sample["t_s"], "timed_out": False, "sample": sample, "at_end": []}

    def _end(self, event: dict[str, Any]) -> None:
        self._ended = event
        self._t_s = self._runtime_s
        replies = event.get("at_end") or []
        if self._applied is not None and len(replies) > 1 and all(reply["ok"] for reply in replies[:2]):
            # Sizes in bytes: only paddr may have another unit, and nothing that was started is paddr.
            found = {path: text.removesuffix("\n") for path, text in replies[1]["files"].items()}
            self._take_stats(parse_stats(found, len(self._applied.context.schemes) + 1, 1))
        self._output = self._read_output()
        name = self._setting.workload.name
        if event["timed_out"]:
            raise WorkloadError(f"{name} did not end within its timeout{_tail(self._output)}")
        if event["status"] != 0:
            what = f"exit code {event['status']}" if event["status"] > 0 else f"signal {-event['status']}"
            raise WorkloadError(f"{name} failed: {what}{_tail(self._output)}")

    def _take_stats(self, stats: tuple[SchemeStats, ...]) -> None:
        self._stats = stats
        watch, (t_s, tried) = stats[-1], self._counted
        applied = self._applications(self._t_s - t_s)
        if applied > 0 and watch.nr_tried > tried:
            self._nr_regions = (watch.nr_tried - tried) / applied
            self._counted = (self._t_s, watch.nr_tried)

    def _applications(self, seconds: float) -> float:
        assert self._applied is not None
        return seconds * 1e6 / max(self._applied.context.intervals.aggr_us, 1)

    def _read_output(self) -> str:
        text, offset = "", 0
        while len(text) < OUTPUT_MAX:
            piece = self._place.link.request("output", offset=offset)
            text += piece["text"]
            if piece["next"] >= piece["end"] or piece["next"] == offset:
                break
            offset = piece["next"]
        if self._setting.output is not None:
            self._setting.output.parent.mkdir(parents=True, exist_ok=True)
            self._setting.output.write_text(text, encoding="utf-8")
        return text

    # ---- the record ----

    @property
    def _runtime_s(self) -> float:
        done = [line for line in self._lines if line.get("event") == "done"]
        if done:
            return float(done[0]["elapsed_ms"]) / 1000
        assert self._ended is not None
        return float(self._ended["runtime_s"])

    def _record(self) -> Result:
        assert self._ended is not None
        setting, runtime_s = self._setting, self._runtime_s
        samples = self._recorder.samples(0, runtime_s)
        faults, swapped_in, swapped_out, kdamond_cpu_s = self._recorder.totals(self._ended["sample"])
        phases = [line for line in self._lines if line.get("event") == "phase"]
        return Result(
            workload=setting.workload.name,
            backend=setting.backend,
            machine=self._place.machine,
            time_kind=setting.time_kind,
            seed=setting.seed,
            runtime_s=runtime_s,
            rss_mean_bytes=mean_over_time(samples.t_s, samples.rss_bytes, runtime_s),
            rss_peak_bytes=int(samples.rss_bytes.max()),
            rss_last_bytes=int(samples.rss_bytes[-1]),
            major_faults=faults,
            swap_in_bytes=swapped_in * 4096,
            swap_out_bytes=swapped_out * 4096,
            kdamond_cpu_s=kdamond_cpu_s,
            nr_regions_mean=self._mean_regions(runtime_s),
            scheme_stats=self._stats[:-1],
            phases=tuple(PhaseResult(p["name"], p["nominal_ms"], p["elapsed_ms"], p["accesses"]) for p in phases),
            samples=samples,
            asked=setting.kdamonds,
            applied=self._applied,
            metric=self._metric(),
            stall_s=self._recorder.stall_s(self._ended["sample"]),
            versions={"kernel": self._place.link.hello["kernel"], "python there": self._place.link.hello["python"]},
        )

    def _mean_regions(self, runtime_s: float) -> float:
        if not self._stats:
            return 0.0
        watch = self._stats[-1]
        return watch.nr_tried / (watch.nr_snapshots or max(self._applications(runtime_s), 1.0))

    def _metric(self) -> float | None:
        metric: Metric | None = getattr(self._setting.workload, "metric", None)
        if metric is None:
            return None
        try:
            return metric.value(self._metric_text(metric))
        except HostError as error:
            raise WorkloadError(f"metric: {error}") from error
        except BackendError as error:
            raise WorkloadError(str(error)) from error

    def _metric_text(self, metric: Metric) -> str:
        place = metric.place or ""
        if metric.source == "output":
            return self._output
        if metric.source == "file":
            folder = getattr(self._setting.workload, "cwd", None) or self._place.folder or "/"
            return self._place.host.read(str(PurePosixPath(folder) / place))
        url = urlsplit(place)
        host = "::1" if url.hostname == "::1" else "127.0.0.1"
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        return str(self._place.link.request("fetch", port=url.port or 80, path=path, host=host)["text"])

    # ---- talking ----

    def _must_be_open(self) -> None:
        if self._closed:
            raise BackendError("this session is closed")

    @contextmanager
    def _talking(self) -> Iterator[None]:
        # Lets the machine's time pass, and tells a lost machine from one that says no.
        self._must_be_open()
        try:
            with self._place.awake():
                yield
        except (SetUpError, WorkloadError, DamonInUseError, KdamondsError):
            raise
        except BackendError as error:
            if self._place.is_alive():
                raise
            raise SetUpError(f"{self._place.name} was lost: {error}") from error


_SCHEMES = f"{abi.KDAMONDS}/0/contexts/0/schemes"


def _write(path: str, value: str) -> dict[str, Any]:
    return {"do": "write", "path": path, "value": value}


def _event(line: dict[str, Any]) -> dict[str, Any]:
    try:
        found = json.loads(line["text"])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _tail(output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()][-_TAIL_LINES:]
    return "; it printed: " + " | ".join(lines) if lines else ""


def is_speed_measured(workload: Workload) -> bool:
    """Whether a run of this workload says how fast it was: one that is only watched does by its metric alone."""
    return not isinstance(workload, AttachedWorkload) or workload.metric is not None
