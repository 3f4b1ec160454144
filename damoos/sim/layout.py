"""The simulated process: its address space, who touches what, and the three ranges that vaddr monitors.

The address space imitates a small static program on x86-64 without address randomisation, as the recorded runs show
it: text, data and heap low (419 pages), the workload's regions at the top of the mmap area with the first one highest,
vvar and vdso 503 pages above them, the stack (33 pages) above all. Page numbers are relative to the lowest workload
region, so those below it are negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from damoos.workload.masim import MasimWorkload

PAGE = 4096
SPAN = 1 << 36
"""Pages from one address space to the next: more than the 47 bits of address that a process has on x86-64."""
LOW_PAGES = 419
STACK_PAGES = 33
COLD_PAGES = 91
"""Resident pages of the program that it does not need while it runs: they can be paged out."""
_PROGRAM_START = 0x400000
_TOP_TO_LOW = 34_359_704_064  # pages between the start of the program and the end of the workload's regions
_VDSO_GAP, _VDSO_PAGES = 503, 8
_STACK_GAP = 33_246


@dataclass(frozen=True)
class Area:
    """Pages [start, end) that are touched alike.

    `hot_pages` of them belong to the program's own loop, which touches them around each batch of accesses while the
    phase is one of `first_phase`..`last_phase`; `loop_pages` of these with each access.
    """

    name: str
    start: int
    end: int
    hot_pages: int = 0
    first_phase: int = 0
    last_phase: int = 2**31
    anonymous: bool = True
    loop_pages: int = 0
    resident_pages: int | None = None  # before the workload's first access, of what the workload does not touch itself


class Part(NamedTuple):
    """What of a layout is one process's: its areas and mappings, from the first to the one behind the last."""

    first_area: int
    end_area: int
    first_mapped: int
    end_mapped: int


@dataclass(frozen=True)
class Layout:
    """`areas`: sorted, workload regions (by index in `region_area`) and the program's own hot spots; pages in no area
    are never touched. `mapped`: (name, start, end) of what exists; `special`: what madvise refuses (vvar, vdso).
    `parts`: one a process; process c's page p is numbered p + c * targets.SPAN."""

    areas: tuple[Area, ...]
    region_area: tuple[int, ...]
    mapped: tuple[tuple[str, int, int], ...]
    special: tuple[tuple[int, int], ...]
    parts: tuple[Part, ...]

    @property
    def base_address(self) -> int:
        """Address of page 0 in bytes: the program starts where a static x86-64 program does."""
        return _PROGRAM_START - self.mapped[0][1] * PAGE


def lay_out(workload: MasimWorkload, program_pages: int = 0, program_hot_pages: int = 0) -> Layout:
    """The address space of a process that runs `workload`.

    `program_pages`: what the program has besides a small static one, of which it uses `program_hot_pages` around each
    batch, anywhere in them (an interpreter and its heap).
    """
    placed: list[Area] = []
    page = 0
    for region in reversed(workload.regions):
        pages = -(-region.sz // PAGE)
        placed.append(Area(region.name, page, page + pages))
        page += pages
    top, low, stack = page, page - _TOP_TO_LOW, page + _STACK_GAP
    vdso = top + _VDSO_GAP
    # Where the recorded program is hot: code, the description of the running phase, static variables, the heap's
    # bookkeeping, the clock's pages, the top of the stack.
    own = [
        Area("[text]", low + 1, low + 3, 2, anonymous=False, loop_pages=1),
        *_phase_pages(low + 178, len(workload.phases)),
        Area("[cold]", low + 190, low + 370, anonymous=False, resident_pages=COLD_PAGES),
        Area("[bss]", low + 378, low + 379, 1),
        Area("[heap]", low + 385, low + 386, 1),
        Area("[vvar]", vdso, vdso + 1, 1),
        Area("[vdso]", vdso + 6, vdso + 7, 1),
        Area("[stack]", stack + STACK_PAGES - 1, stack + STACK_PAGES, 1),
    ]
    program_end = low + LOW_PAGES + program_pages
    if program_pages > 0:
        own.append(Area("[interpreter]", low + LOW_PAGES, program_end, program_hot_pages))
    areas = tuple(sorted([*placed, *own], key=lambda a: a.start))
    index = {a.start: i for i, a in enumerate(areas)}
    mapped = (
        ("[program]", low, program_end),
        ("[workload]", 0, top),
        ("[vdso]", vdso, vdso + _VDSO_PAGES),
        ("[stack]", stack, stack + STACK_PAGES),
    )
    return Layout(
        areas=areas,
        region_area=tuple(index[a.start] for a in reversed(placed)),
        mapped=mapped,
        special=((vdso, vdso + _VDSO_PAGES),),
        parts=(Part(0, len(areas), 0, len(mapped)),),
    )


def side_by_side(layouts: Sequence[Layout]) -> Layout:
    """The address spaces of several processes as one layout."""
    areas: list[Area] = []
    region_area: list[int] = []
    mapped: list[tuple[str, int, int]] = []
    special: list[tuple[int, int]] = []
    parts = []
    for c, one in enumerate(layouts):
        # All programs start at one address.
        shift = c * SPAN + layouts[0].mapped[0][1] - one.mapped[0][1]
        parts.append(
            Part(len(areas), len(areas) + len(one.areas), len(mapped), len(mapped) + len(one.mapped)),
        )
        region_area += [len(areas) + a for a in one.region_area]
        areas += [replace(area, start=area.start + shift, end=area.end + shift) for area in one.areas]
        mapped += [(name, start + shift, end + shift) for name, start, end in one.mapped]
        special += [(start + shift, end + shift) for start, end in one.special]
    return Layout(tuple(areas), tuple(region_area), tuple(mapped), tuple(special), tuple(parts))


def _phase_pages(first_page: int, phases: int) -> list[Area]:
    # A phase's description takes 3,200 bytes, so the hot page moves on with the phases; at most eight areas.
    together = -(-phases // 8) or 1
    areas: list[Area] = []
    for first in range(0, phases, together):
        last = min(first + together, phases) - 1
        start = first_page + first * 3200 // PAGE
        end = first_page + last * 3200 // PAGE + 1
        if areas and areas[-1].end > start:
            before = areas.pop()
            areas.append(Area("[phases]", before.start, max(end, before.end), 1, before.first_phase, last))
        else:
            areas.append(Area("[phases]", start, end, 1, first, last))
    return areas


def three_ranges(mapped: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The ranges around the two largest gaps between `mapped` ranges (start, end); [] if there are less than two gaps.

    Kernel: mm/damon/vaddr.c __damon_va_three_regions(): a later gap replaces an earlier one only if larger.
    """
    gaps: list[tuple[int, int]] = []
    ordered = sorted(mapped)
    first = second = (0, 0)
    for (_, end), (start, _) in zip(ordered, ordered[1:], strict=False):
        gap = (end, start)
        size = start - end
        if size > first[1] - first[0]:
            first, second = gap, first
        elif size > second[1] - second[0]:
            second = gap
    gaps = sorted(g for g in (first, second) if g[1] > g[0])
    if len(gaps) < 2:
        return []
    return [(ordered[0][0], gaps[0][0]), (gaps[0][1], gaps[1][0]), (gaps[1][1], ordered[-1][1])]
