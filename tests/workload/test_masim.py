from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from damoos.catalogue import find, names
from damoos.errors import ConfigError
from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region, dumps, load, parse

from .oracle import masim_reads

MALFORMED = Path(__file__).parents[1] / "data" / "malformed-workloads"
INT = "0 to 2147483647"
SIZE = "1 to 9223372036854775807"
MESSAGES = {
    "no-regions": ": has no regions; allowed: a paragraph of lines `name, bytes`, then phases",
    "no-phases": ":1: has no phases; allowed: a blank line, then a phase's name, ms, patterns",
    "region-fields": ":1: region: wrong number of fields, got 'a, 4096, none, 3'; allowed: name, bytes[, file]",
    "size-unit": f":2: bytes: not a decimal number, got '64M'; allowed: {SIZE}",
    "size-zero": f":1: bytes: out of range, got 0; allowed: {SIZE}",
    "file-name": ":1: file: bad file name, got 'my file'; allowed: `none`, or a path without spaces",
    "region-twice": ":2: name: region is there twice, got 'a'",
    "no-time": ":3: phase: phase without a duration, got 'run'; allowed: a line of ms below its name",
    "time-unit": f":4: ms: not a decimal number, got '1.5 s'; allowed: {INT}",
    "pattern-fields": ":6: pattern: wrong number of fields, got 'a, 0, 4096'; allowed: region, random, stride, "
    "probability[, mode]",
    "unknown-region": ":6: region: unknown region, got 'hto'; allowed: hot, cold",
    "hex-stride": f":9: stride: not a decimal number, got '0x1000'; allowed: {INT}",
    "negative-probability": f":5: probability: not a decimal number, got '-1'; allowed: {INT}",
    "unknown-mode": ":5: mode: unknown mode, got 'r'; allowed: ro, wo, rw",
    "not-text": ": is not UTF-8 text",
}

words = st.text("abcxyz09_-./", min_size=1, max_size=12)
titles = st.from_regex(r"[a-z0-9]([ a-z0-9,#]{0,20}[a-z0-9])?", fullmatch=True)
numbers = st.integers(0, 2**31 - 1)
regions = st.builds(Region, words, st.integers(1, 2**63 - 1), st.none() | words.filter(lambda w: w != "none"))


@st.composite
def workloads(draw: st.DrawFn, fewest: int = 0) -> MasimWorkload:
    memory = draw(st.lists(regions, min_size=1, max_size=5, unique_by=lambda r: r.name))
    pattern = st.builds(
        Pattern,
        st.sampled_from([r.name for r in memory]),
        st.booleans(),
        numbers,
        st.integers(0, 10**6),
        st.sampled_from(["ro", "wo", "rw"]),
    )
    phase = st.builds(Phase, titles, numbers, st.lists(pattern, min_size=fewest, max_size=5).map(tuple))
    return MasimWorkload("w", tuple(memory), draw(st.lists(phase, min_size=1, max_size=5).map(tuple)))


@settings(deadline=None)
@given(workloads())
def test_what_is_written_reads_back_the_same(workload: MasimWorkload) -> None:
    assert parse(dumps(workload), "w") == workload


@settings(deadline=None)
@given(workloads(fewest=1))
def test_masim_reads_what_is_written(workload: MasimWorkload) -> None:
    assert masim_reads(dumps(workload), "w") == workload


@pytest.mark.parametrize("name", [n for n in names("workloads") if find("workloads", n).suffix == ".cfg"])
def test_catalogue_means_the_same_to_masim(name: str) -> None:
    path = find("workloads", name)
    assert masim_reads(path.read_text(), name) == load(path)


@pytest.mark.parametrize("name", sorted(path.stem for path in MALFORMED.glob("*.cfg")))
def test_malformed_files_are_refused_in_one_line(name: str) -> None:
    path = MALFORMED / f"{name}.cfg"
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) == f"{path}{MESSAGES[name]}"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.cfg: can't be read: No such file"):
        load(tmp_path / "none.cfg")


PLAIN = "a, 8192, none\nb, 4096, data\n\nrun it\n100\na, 0, 64, 3\nb, 1, 0, 1, rw\n\nidle\n50\n"
VARIANTS = {
    "comments, which don't end a paragraph": "# x\n#\na, 8192, none\n# y\nb, 4096, data\n\n# z\nrun it\n# 200\n100\n"
    "a, 0, 64, 3\nb, 1, 0, 1, rw\n\nidle\n50\n",
    "no last newline": PLAIN.rstrip("\n"),
    "blank lines": "\n\n" + PLAIN.replace("\n\n", "\n \t\n\n\n") + "\n\n",
    "line ends of DOS": PLAIN.replace("\n", "\r\n"),
    "a byte order mark": "\ufeff" + PLAIN,
    "spaces": PLAIN.replace(", ", "  ,\t").replace("\n", " \n"),
    "no spaces": PLAIN.replace(", ", ","),
    "two columns": PLAIN.replace("a, 8192, none", "a, 8192"),
    "explicit default mode": PLAIN.replace("64, 3", "64, 3, wo"),
    "any number is random": PLAIN.replace("b, 1,", "b, 7,"),
    "comments behind values": PLAIN.replace("8192, none", "8192 # pages")
    .replace("100", "100 # ms")
    .replace("3", "3 #"),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_other_ways_to_write_it(variant: str) -> None:
    expected = MasimWorkload(
        "w",
        (Region("a", 8192), Region("b", 4096, "data")),
        (
            Phase("run it", 100, (Pattern("a", False, 64, 3, "wo"), Pattern("b", True, 0, 1, "rw"))),
            Phase("idle", 50, ()),
        ),
    )
    assert parse(VARIANTS[variant], "w") == expected


def test_totals() -> None:
    workload = parse(PLAIN, "w")
    assert (workload.footprint_bytes, workload.duration_ms) == (12288, 150)
