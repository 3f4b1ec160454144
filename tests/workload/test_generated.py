"""Workloads drawn at random: the same again, of their split alone, of the kinds that are promised."""

from __future__ import annotations

from collections import Counter

import pytest

from damoos.errors import ConfigError
from damoos.tune.program import find_workload
from damoos.workload import masim
from damoos.workload.generated import COURSES, SPLITS, course_of, generate, in_brief, named

MIB = 2**20


def test_a_name_is_always_the_same_workload_and_masim_reads_it() -> None:
    for split in SPLITS:
        for number in range(40):
            workload = generate(split, number)
            assert workload == named(workload.name) == find_workload(workload.name)
            assert masim.parse(masim.dumps(workload), workload.name) == workload


def test_no_workload_is_in_two_splits() -> None:
    texts = [masim.dumps(generate(split, number)) for split in SPLITS for number in range(100)]
    assert len(set(texts)) == len(texts)


def test_they_are_of_the_size_and_length_that_is_promised() -> None:
    for number in range(200):
        workload = generate("train", number)
        assert 3 <= len(workload.regions) <= 7
        assert 90 * MIB <= workload.footprint_bytes <= 768 * MIB
        assert 45_000 <= workload.duration_ms <= 125_000
        used = {pattern.region for phase in workload.phases for pattern in phase.patterns}
        assert used == {region.name for region in workload.regions}


def test_all_courses_come_up_and_do_what_they_say() -> None:
    seen = Counter(course_of(generate("test", number)) for number in range(120))
    assert seen.keys() == COURSES.keys() and min(seen.values()) >= 8
    for number in range(120):
        workload = generate("test", number)
        course = course_of(workload)
        sleeps = any(not phase.patterns for phase in workload.phases)
        assert sleeps == (course == "bursty")
        stages = {phase.patterns for phase in workload.phases[course != "growing" :]}
        assert (len(stages) == 1) == (course == "steady")
        if course == "growing":
            first = [pattern.region for pattern in workload.phases[0].patterns]
            assert first == [workload.regions[0].name]


@pytest.mark.parametrize(
    ("name", "said"), [("generated-tset-1", "unknown split.*tset"), (f"generated-test-{2**31}", "out of range")]
)
def test_a_wrong_name_is_explained(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        find_workload(name)


def test_runs_of_numbers_are_said_in_brief() -> None:
    names = ["zigzag", *(f"generated-train-{i}" for i in (0, 1, 2, 4)), "generated-test-5", "generated-test-6", "comb"]
    said = ["zigzag", "generated-train-0:3", "generated-train-4", "generated-test-5:7", "comb"]
    assert in_brief(names) == said
