#!/usr/bin/env python3
"""What the agent costs the machine that it samples: memory, and CPU at two sampling intervals.

    agent_cost.py [VERSION ...]          guests of `damoos vm` with these kernels; default 7.3

In each guest an idle program runs under DAMON's default monitoring while the agent samples it, kdamond and the whole
machine for 60 guest seconds. CPU is the agent's own time over the time that passed.
"""

from __future__ import annotations

import argparse

from damoos.damon.kdamonds import Kdamonds
from damoos.kernel.hosts import kernels, machines, qemu
from damoos.kernel.hosts.image import GUEST_PYTHON
from damoos.kernel.place import Place, connect_booted

SECONDS = 60.0


def resident_mib(text: str) -> float:
    return int(text.split("VmRSS:")[1].split()[0]) / 1024


def cpu_percent(place: Place, every_s: float, kdamond: int) -> float:
    with place.awake():
        place.link.request("sample", every_s=every_s, kdamonds=[kdamond])
        first = place.link.request("until", t_s=0.0)["sample"]
        last = place.link.request("until", t_s=first["t_s"] + SECONDS, patience_s=3600.0)["sample"]
        place.link.events()
    return 100.0 * (last["agent_cpu_s"] - first["agent_cpu_s"]) / (last["t_s"] - first["t_s"])


def measure(series: str) -> str:
    kernel = kernels.find(series)
    with machines.boot(kernel, qemu.Machine()) as vm:
        bare = vm.run([GUEST_PYTHON, "-I", "-S", "-c", "print(open('/proc/self/status').read())"]).out.decode()
        place = connect_booted(vm)
        with place.awake():
            pid = place.link.request("start", argv=["sleep", "3600"], user="root")["pid"]
            place.control.stage(Kdamonds(), [pid])
            kdamond = place.control.turn_on()
        slow, fast = (cpu_percent(place, every_s, kdamond) for every_s in (0.5, 0.1))
        own = resident_mib(vm.read(f"/proc/{place.link.hello['pid']}/status"))
        python = place.link.hello["python"]
        place.close()
    costs = f"{slow:.2f} % | {fast:.2f} % | {own:.1f} MiB | {resident_mib(bare):.1f} MiB"
    return f"| Linux {kernel.release}, Python {python} | {costs} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="*", default=["7.3"], metavar="VERSION")
    print("| guest | every 0.5 s (default) | every 0.1 s | memory of the agent | bare interpreter |")
    print("| --- | --- | --- | --- | --- |")
    for series in parser.parse_args().versions:
        print(measure(series), flush=True)


if __name__ == "__main__":
    main()
