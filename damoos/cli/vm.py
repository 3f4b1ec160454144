"""`damoos vm`: virtual machines with real kernels, to try DAMON where nothing can break."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from damoos.errors import BackendError, InputError

from . import console

if TYPE_CHECKING:
    from damoos.kernel.hosts.kernels import Kernel

DEFAULT_SERIES = "7.3"

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Virtual machines with real kernels.")


class Accel(StrEnum):
    """How the guest's instructions are executed; see `damoos.kernel.hosts.qemu.Machine`."""

    TCG = "tcg"
    KVM = "kvm"


Image = Annotated[
    Path | None,
    typer.Option(
        "--kernel", exists=True, dir_okay=False, metavar="VMLINUZ", help="A bzImage to boot instead of a fetched one."
    ),
]
Modules = Annotated[
    Path | None,
    typer.Option(exists=True, file_okay=False, metavar="DIR", help="Where the modules of --kernel lie."),
]


@app.command()
def fetch(
    series: Annotated[list[str] | None, typer.Argument(metavar="[SERIES]...", help="Kernel series: 6.12, 7.3.")] = None,
) -> None:
    """Fetch the newest kernel of each SERIES (7.3) with Debian's package tools into a cache. Nothing is installed.

    Examples:

      damoos vm fetch
      damoos vm fetch 6.12 7.3
    """
    from damoos.kernel.hosts import kernels

    for each in series or [DEFAULT_SERIES]:
        kernel = kernels.fetch(each, lambda text: console.stderr().print(text, style="dim"))
        console.stdout().print(f"{kernel.release}: {kernel.image}", soft_wrap=True)


@app.command()
def start(
    series: Annotated[str, typer.Argument(metavar="[SERIES]", help="The series of a fetched kernel.")] = DEFAULT_SERIES,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="What to call it; by default its series.")] = None,
    image: Image = None,
    modules: Modules = None,
    memory: Annotated[str, typer.Option(metavar="SIZE", help="RAM.")] = "1 GiB",
    far_memory: Annotated[
        str, typer.Option(metavar="SIZE", help="RAM of a second NUMA node without CPU, as a CXL tier.")
    ] = "0",
    zram: Annotated[
        str, typer.Option(metavar="SIZE", help="Size of the compressed swap device; 0: no swap.")
    ] = "1 GiB",
    accel: Annotated[
        Accel, typer.Option(help="tcg: in virtual time, repeatable. kvm: in real time, where this machine can.")
    ] = Accel.TCG,
    cpus: Annotated[int, typer.Option(metavar="N", help="CPUs; more than one only with kvm.")] = 1,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the guest's random numbers.")] = 1,
    damon_stat: Annotated[
        bool, typer.Option("--damon-stat", help="Leave the kernel's own user of DAMON on (7.x has one).")
    ] = False,
) -> None:
    """Boot a VM that stays up until `damoos vm stop`; its time passes only while something runs in it.

    Examples:

      damoos vm start
      damoos vm start 6.12 --memory 2GiB --far-memory 1GiB
      damoos vm start --kernel /boot/vmlinuz-6.14 --modules /lib/modules/6.14 --name mine
    """
    from damoos.kernel.hosts import kernels, machines, qemu
    from damoos.units import parse_size_bytes

    sizes = {
        option: parse_size_bytes(value, field=f"--{option.replace('_', '-')}") >> 20
        for option, value in (("memory", memory), ("far_memory", far_memory), ("zram", zram))
    }
    machine = qemu.Machine(
        memory_mib=sizes["memory"],
        far_mib=sizes["far_memory"],
        zram_mib=sizes["zram"],
        accel=accel.value,
        cpus=cpus,
        seed=seed,
        damon_stat=damon_stat,
    )
    kernel = kernels.find(series) if image is None else _own(image, modules)
    called = name or kernel.series
    console.stderr().print(f"booting Linux {kernel.release}", style="dim")
    machines.start(kernel, machine, called)
    console.stdout().print(f"{called}: Linux {kernel.release}, {machine.time_kind} time")
    console.stderr().print(f"try: damoos vm exec --name {called} -- uname -a", style="dim")


@app.command(name="exec", context_settings={"ignore_unknown_options": True})
def execute(
    argv: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="What to run there, as root.")],
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Which VM, where several run.")] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0.001, metavar="S", help="Kill it after S seconds of the VM's time.")
    ] = None,
    stdin: Annotated[
        bool, typer.Option("--stdin", "-i", help="Send all of the standard input first; without it there is none.")
    ] = False,
) -> None:
    """Run a COMMAND in a VM that `damoos vm start` left; its outputs and its exit code become this command's.

    Examples:

      damoos vm exec -- cat /proc/meminfo
      damoos vm exec --name 6.12 -- sh -c 'dmesg | tail'
      damoos vm exec -i -- python3 - < script.py
    """
    from damoos.kernel.hosts import machines

    streams = {"out": sys.stdout.buffer, "err": sys.stderr.buffer}

    def tell(kind: str, data: bytes) -> None:
        streams[kind].write(data)
        streams[kind].flush()

    given = sys.stdin.buffer.read() if stdin else b""
    with machines.attach(name or _only()) as host:
        done = host.run(argv, stdin=given, timeout_s=timeout, tell=tell)
    if done.timed_out:
        raise BackendError(f"{argv[0]} was killed after {timeout:g} s")
    raise typer.Exit(done.status if done.status >= 0 else 128 - done.status)


@app.command(name="list")
def list_machines(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the VMs that run, and the kernels that were fetched.

    Examples:

      damoos vm list
      damoos vm list --json
    """
    from damoos.kernel.hosts import kernels, machines

    from .run_text import plain_table

    guests, fetched = machines.running(), kernels.cached()
    if as_json:
        tree = {
            "format": 1,
            "running": [dataclasses.asdict(guest) for guest in guests],
            "kernels": [{"release": kernel.release, "image": str(kernel.image)} for kernel in fetched],
        }
        typer.echo(json.dumps(tree, indent=1))
        return
    table = plain_table("running", "kernel", "memory", "time", "", left=2)
    for guest in guests:
        memory = f"{guest.machine.memory_mib} MiB"
        if guest.machine.far_mib:
            memory += f" + {guest.machine.far_mib} MiB far"
        table.add_row(guest.name, guest.release, memory, guest.machine.time_kind, "in use" if guest.busy else "idle")
    screen = console.stdout()
    screen.print(table if guests else "no VM is running")
    screen.print("fetched: " + (", ".join(kernel.release for kernel in fetched) or "no kernels; see damoos vm fetch"))


@app.command()
def stop(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Which VM, where several run.")] = None,
) -> None:
    """Switch a VM off.

    Examples:

      damoos vm stop
      damoos vm stop 6.12
    """
    from damoos.kernel.hosts import machines

    machines.stop(name or _only())


@app.command()
def clean() -> None:
    """Switch all VMs off and remove what was fetched and built. Refuses while a VM is in use.

    Example:

      damoos vm clean
    """
    from damoos.kernel.hosts import kernels, machines

    for guest in machines.running():
        machines.stop(guest.name)
    folder = kernels.cache_folder()
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    shutil.rmtree(folder, ignore_errors=True)
    console.stdout().print(f"removed {size >> 20} MiB in {folder}", soft_wrap=True)


def _own(image: Path, modules: Path | None) -> Kernel:
    from damoos.kernel.hosts import kernels

    kernel = kernels.from_image(image, modules)
    if modules is None:
        console.stderr().print("without --modules there is swap only if zram is built in", style="dim")
    return kernel


def _only() -> str:
    from damoos.kernel.hosts import machines

    names = [guest.name for guest in machines.running()]
    if not names:
        raise BackendError("no VM is running; `damoos vm start` starts one")
    if len(names) > 1:
        raise InputError("several VMs are running; say which", field="name", allowed=", ".join(names))
    return names[0]
