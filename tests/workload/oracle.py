"""masim's own way of reading a configuration (damonitor/masim, masim.c), and of running a phase, done plainly."""

from __future__ import annotations

import re

import numpy as np

from damoos.workload.access import PAGE
from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region
from damoos.workload.pace import MASIM_BATCH


def masim_reads(text: str, name: str) -> MasimWorkload:
    """The workload that masim sees in `text`. Raises AssertionError where masim gives up or would crash."""
    lines = [line for line in text.split("\n")[:-1] if not line.startswith("#")]
    paragraphs: list[list[str]] = [[]]
    for line in lines:
        if line:
            paragraphs[-1].append(line)
        else:
            paragraphs.append([])
    assert len(paragraphs) > 1
    regions = []
    for line in paragraphs[0]:
        fields = line.split(",")
        assert len(fields) in (2, 3)
        file = fields[2].split()[0] if len(fields) == 3 else "none"
        regions.append(Region(fields[0], _atoi(fields[1]), None if file == "none" else file))
    phases = [_phase(block, [r.name for r in regions]) for block in paragraphs[1:]]
    return MasimWorkload(name, tuple(regions), tuple(phases))


def _phase(block: list[str], names: list[str]) -> Phase:
    assert len(block) >= 3, "masim wants a name, a time and a pattern"
    patterns = []
    for line in block[2:]:
        fields = line.split(",")
        assert len(fields) in (4, 5)
        assert fields[0] in names
        mode = fields[4].split()[0][:2] if len(fields) == 5 else "wo"
        assert mode in ("ro", "wo", "rw")
        patterns.append(Pattern(fields[0], _atoi(fields[1]) != 0, _atoi(fields[2]), _atoi(fields[3]), mode))
    return Phase(block[0], _atoi(block[1]), tuple(patterns))


def _atoi(text: str) -> int:
    match = re.match(r"\s*[+-]?\d+", text)
    return int(match[0]) if match else 0


def touched_share(
    phase: Phase, sizes: dict[str, int], batches: int, windows: int, rng: np.random.Generator
) -> dict[str, float]:
    """Mean share of each region's pages that are touched in a window of `batches` batches, over `windows` of them."""
    weights = np.array([p.probability for p in phase.patterns], float)
    place = [0] * len(phase.patterns)
    total = dict.fromkeys(sizes, 0.0)
    for _ in range(windows):
        seen = {name: np.zeros(sz // PAGE, bool) for name, sz in sizes.items()}
        for q in rng.choice(len(weights), size=batches, p=weights / weights.sum()):
            pattern, sz = phase.patterns[q], sizes[phase.patterns[q].region]
            if pattern.random:
                at = rng.integers(0, sz, MASIM_BATCH)
            else:
                turn = -(-sz // pattern.stride)  # accesses until the place is 0 again
                at = (place[q] + 1 + np.arange(MASIM_BATCH)) % turn * pattern.stride
                place[q] = int(at[-1] // pattern.stride)
            seen[pattern.region][at // PAGE] = True
        for name, pages in seen.items():
            total[name] += pages.mean() / windows
    return total
