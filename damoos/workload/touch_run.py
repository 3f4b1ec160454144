"""Executes a masim workload on real memory: `python3 -I -S touch_run.py PLAN`. One file, standard library, Python 3.8+.

PLAN is a JSON file that `damoos.workload.touch.plan` makes (`-`: standard input); it carries the compiled loops, so
this file can be sent with it to a machine or a virtual machine of the same architecture that has no damoos.

What it prints, with "json" in the plan one JSON object a line:
{"event": "ready", "pid", "rss_bytes" (of this process without the workload's memory), "init_ms", "regions": [{"name",
"bytes", "address"}]}; with "sync", about once a second {"event": "work", "nominal_ms"}, how much of the running phase's
nominal time is done; per phase {"event": "phase", "name", "nominal_ms", "elapsed_ms", "accesses"}; at the end
{"event": "done", "elapsed_ms", "accesses"}, when the memory is given back. With "sync" it waits for a byte (or the end)
of standard input after "ready", and again after "done" (with PLAN `-` it can't: the plan takes all of the input).
"""

from __future__ import annotations

import base64
import bisect
import ctypes
import itertools
import json
import mmap
import os
import sys
import time
from typing import Any, Callable  # noqa: UP035 - Python 3.8

PAGE = 4096
ALL_BITS = 2**64 - 1
TELL_S = 1.0


class Memory:
    """One region: private anonymous memory, `size` bytes rounded up to pages, not touched yet."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self.pages = -(-size // PAGE)
        self.map = mmap.mmap(-1, self.pages * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        export = ctypes.c_char.from_buffer(self.map)
        self.address = ctypes.addressof(export)

    def load(self, path: str) -> None:
        """Fills the region from the start of a file, which must be at least as large."""
        with open(path, "rb", buffering=0) as source:
            view, done = memoryview(self.map), 0
            while done < self.size:
                count = source.readinto(view[done : self.size])
                if not count:
                    raise SystemExit(f"damoos touch: {path}: smaller than region {self.name}")
                done += count
            view.release()


class Random:
    """xorshift64 for the choices between patterns; `state` is never 0."""

    def __init__(self, seed: int) -> None:
        self.state = (seed * 0x9E3779B97F4A7C15 & ALL_BITS) | 1

    def next(self) -> int:
        """Uniform in 1..2**64-1: also a seed for a compiled loop."""
        x = self.state
        x ^= x << 13 & ALL_BITS
        x ^= x >> 7
        x ^= x << 17 & ALL_BITS
        self.state = x
        return x

    def below(self, n: int) -> int:
        """Uniform in 0..n-1."""
        return self.next() * n >> 64


class Pattern:
    """A compiled loop over one region, with the state that it goes on from."""

    def __init__(self, memory: Memory, loop: Callable[..., int], stride: int, state: int) -> None:
        self.arguments = (memory.address, memory.size)
        self.loop = loop
        self.stride = stride
        self.state = state

    def touch(self, n: int) -> None:
        """Makes n > 0 accesses."""
        self.state = self.loop(*self.arguments, self.state, self.stride, n)


class Pacer:
    """Makes accesses no faster than `limit` a ms (None: at once), busy, in steps of a quarter of a millisecond.

    Of time lost to faults or other tasks at most 1 ms is caught up.
    """

    def __init__(self, limit: float | None) -> None:
        self.limit = limit
        self.deadline = 0.0

    def touch(self, pattern: Pattern, n: int) -> None:
        if self.limit is None:
            pattern.touch(n)
            return
        step = max(int(self.limit / 4), 1)
        while n:
            count = min(n, step)
            n -= count
            self.deadline = max(self.deadline, time.perf_counter() - 0.001) + count / self.limit / 1000
            pattern.touch(count)
            while time.perf_counter() < self.deadline:
                pass


def load_loops(machine: str, encoded: dict[str, str]) -> dict[str, Callable[..., int]]:
    """The compiled loops as functions; the memory they lie in is never writable and executable at once."""
    if os.uname().machine != machine:
        raise SystemExit(f"damoos touch: compiled for {machine}, this is {os.uname().machine}")
    blobs = {name: base64.b64decode(text) for name, text in encoded.items()}
    file = os.memfd_create("damoos-touch")
    offsets, end = {}, 0
    for name, blob in blobs.items():
        offsets[name] = end
        end += os.write(file, blob.ljust(-(-len(blob) // 64) * 64, b"\0"))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    kinds: list[Any] = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    libc.mmap.argtypes = kinds
    base = libc.mmap(None, end, mmap.PROT_READ | mmap.PROT_EXEC, mmap.MAP_PRIVATE, file, 0)
    if base == ctypes.c_void_p(-1).value:
        raise SystemExit(f"damoos touch: compiled code may not run here: {os.strerror(ctypes.get_errno())}")
    os.close(file)
    form = ctypes.CFUNCTYPE(*[ctypes.c_uint64] * 6)
    return {name: form(base + offset) for name, offset in offsets.items()}


def rss_bytes() -> int:
    """Resident memory of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Run:
    """A plan being executed."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.loops = load_loops(plan["machine"], plan["loops"])
        self.random = Random(plan["seed"])
        self.pacer = Pacer(plan["limit_per_ms"])
        self.memories: list[Memory] = []
        self.accesses = 0

    def say(self, event: str, text: str, **values: Any) -> None:
        print(json.dumps({"event": event, **values}) if self.plan["json"] else text, flush=True)

    def wait(self) -> None:
        if self.plan["sync"]:
            os.read(0, 1)

    def prepare(self) -> None:
        base, start = rss_bytes(), time.perf_counter()
        for name, size, data_file in self.plan["regions"]:
            memory = Memory(name, size)
            self.memories.append(memory)
            if data_file is not None:
                memory.load(data_file)
            elif self.plan["prefault"]:
                self.random.state = self.loops["fill"](memory.address, 0, self.random.state, 0, memory.pages * 512)
        init_ms = (time.perf_counter() - start) * 1000
        regions = [{"name": m.name, "bytes": m.size, "address": m.address} for m in self.memories]
        places = ", ".join(f"{m.name} at {m.address:#x}" for m in self.memories)
        text = f"pid {os.getpid()}: {places}"
        self.say("ready", text, pid=os.getpid(), rss_bytes=base, init_ms=init_ms, regions=regions)
        self.wait()

    def run_phase(self, name: str, ms: int, rows: list[Any]) -> None:
        start = time.perf_counter()
        end = start + ms / 1000
        accesses = 0
        patterns = [
            Pattern(
                self.memories[region], self.loops[loop], stride, self.random.next() if loop.startswith("random") else 0
            )
            for region, loop, stride, _ in rows
        ]
        sums = list(itertools.accumulate(weight for *_, weight in rows))
        batch = self.plan["batch"]
        told = start
        if not rows:
            time.sleep(ms / 1000)
        elif not sums[-1]:
            while time.perf_counter() < end:  # masim chooses in vain, on a busy CPU
                pass
        else:
            todo = None if self.plan["accesses_per_ms"] is None else int(self.plan["accesses_per_ms"] * ms)
            while todo is None or accesses < todo:
                count = batch if todo is None else min(batch, todo - accesses)
                self.pacer.touch(patterns[bisect.bisect_right(sums, self.random.below(sums[-1]))], count)
                accesses += count
                now = time.perf_counter()
                if self.plan["sync"] and now >= told + TELL_S:
                    told = now
                    done_ms = (now - start) * 1000 if todo is None else ms * accesses / todo
                    self.say("work", f"{name}: {done_ms:.0f} ms of it done", nominal_ms=done_ms)
                if todo is None and time.perf_counter() >= end:
                    break
        elapsed_ms = (time.perf_counter() - start) * 1000
        self.accesses += accesses
        text = f"{name}: {elapsed_ms:.1f} ms, {accesses} accesses"
        self.say("phase", text, name=name, nominal_ms=ms, elapsed_ms=elapsed_ms, accesses=accesses)

    def run(self) -> None:
        self.prepare()
        start = time.perf_counter()
        for phase in self.plan["phases"]:
            self.run_phase(*phase)
        elapsed_ms = (time.perf_counter() - start) * 1000
        for memory in self.memories:
            memory.map.close()
        text = f"done: {elapsed_ms:.1f} ms, {self.accesses} accesses"
        self.say("done", text, elapsed_ms=elapsed_ms, accesses=self.accesses)
        self.wait()


def main(arguments: list[str]) -> None:
    if len(arguments) != 1:
        raise SystemExit("usage: python3 -I -S touch_run.py PLAN")
    try:
        with open(0 if arguments[0] == "-" else arguments[0], closefd=arguments[0] != "-") as file:
            plan = json.load(file)
        Run(plan).run()
    except OSError as error:
        raise SystemExit(f"damoos touch: {error.filename or 'memory'}: {error.strerror}") from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main(sys.argv[1:])
