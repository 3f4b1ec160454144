"""Kernels to boot: fetched with Debian's package tools into a cache, or any image with its folder of modules.

Nothing is installed: apt gets its own list of sources and its own folders, the packages are only unpacked.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from damoos.errors import BackendError, ConfigError

SUITES = ("trixie", "trixie-backports", "sid")
"""Debian's suites that carry kernels with DAMON switched on, oldest first."""

_PACKAGE = re.compile(r"linux-(?:image|binary)-(?P<release>(?P<version>\d+\.\d+)\S*)-cloud-amd64")
_ELSEWHERE = "give a kernel of your own with --kernel VMLINUZ --modules DIR"
# Offsets of the x86 boot protocol: the signature, and where the version text lies, counted from 0x200.
_SIGNATURE_AT, _VERSION_AT, _SETUP_AT = 0x202, 0x20E, 0x200


@dataclass(frozen=True)
class Kernel:
    """A kernel to boot: `release` as `uname -r` prints it, its bzImage, a folder below which its modules lie."""

    release: str
    image: Path
    modules: Path | None

    @property
    def series(self) -> str:
        """`7.3` of 7.3.4+deb13-cloud-amd64."""
        return ".".join(re.split(r"[.+-]", self.release)[:2])


def cache_folder() -> Path:
    """Where kernels and images are kept: `$XDG_CACHE_HOME/damoos/vm`, by default below ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "damoos" / "vm"


def from_image(image: Path, modules: Path | None = None) -> Kernel:
    """The kernel in a bzImage. Raises ConfigError if it is none, or if its modules are not below `modules`."""
    try:
        with open(image, "rb") as file:
            head = file.read(0x10000)
    except OSError as error:
        raise ConfigError(f"can't be read: {error.strerror}", file=image) from error
    start = int.from_bytes(head[_VERSION_AT : _VERSION_AT + 2], "little") + _SETUP_AT
    text = head[start:].split(b"\0", 1)[0].decode("ascii", "replace").split()
    if head[_SIGNATURE_AT : _SIGNATURE_AT + 4] != b"HdrS" or not text:
        raise ConfigError("not a Linux image for x86-64", file=image, allowed="a bzImage, such as /boot/vmlinuz-*")
    if modules is not None and not any(modules.rglob("*.ko*")):
        raise ConfigError("no kernel modules below this folder", file=modules, allowed="such as /lib/modules/RELEASE")
    return Kernel(text[0], image, modules)


def cached() -> tuple[Kernel, ...]:
    """The kernels in the cache, oldest first."""
    found = []
    for folder in (cache_folder() / "kernels").glob("*"):
        images = [*folder.glob("boot/vmlinuz-*"), *folder.glob("usr/lib/modules/*/vmlinuz")]
        if images and not folder.name.startswith("."):
            found.append(from_image(images[0], folder))
    return tuple(sorted(found, key=lambda kernel: _age(kernel.release)))


def find(series: str = "") -> Kernel:
    """The newest cached kernel of a series such as `7.3` (empty: of all). Raises BackendError with what to do."""
    for kernel in reversed(cached()):
        if series in ("", kernel.series, kernel.release):
            return kernel
    named = f" {series}" if series else ""
    raise BackendError(f"no kernel{named} in {cache_folder()}; `damoos vm fetch{named}` fetches one, or {_ELSEWHERE}")


def fetch(series: str, tell: Callable[[str], None] = lambda text: None) -> Kernel:
    """Fetches the newest kernel of a series (`7.3`) with apt, unless the cache has that one, and returns it.

    `tell` gets a line per step. Raises ConfigError for what is no series, BackendError with apt's words.
    """
    if not re.fullmatch(r"\d+\.\d+", series):
        raise ConfigError("not a kernel series", field="kernel", value=series, allowed="6.12, 7.3 and the like")
    missing = [tool for tool in ("apt-get", "apt-cache", "dpkg-deb") if shutil.which(tool) is None]
    if missing or os.uname().machine != "x86_64":
        raise BackendError(f"kernels are fetched on x86-64 with {', '.join(missing) or 'apt'}; elsewhere {_ELSEWHERE}")
    kernels = cache_folder() / "kernels"
    kernels.mkdir(parents=True, exist_ok=True)
    apt = _Apt(cache_folder() / "apt")
    tell(f"looking for Linux {series} in {', '.join(SUITES)}")
    problems = apt.update()
    packages = apt.packages_of(series)
    if not packages:
        found = ", ".join(sorted(apt.series(), key=_age)) or "none"
        raise BackendError(f"no package of Linux {series} (found: {found}). {problems}".strip())
    folder = kernels / packages[0].removeprefix("linux-image-").removeprefix("linux-binary-")
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=kernels, prefix=".") as work:
            tell(f"fetching {' and '.join(packages)}")
            _run(["apt-get", *apt.options, "download", *packages], folder=Path(work))
            for archive in Path(work).glob("*.deb"):
                _run(["dpkg-deb", "-x", str(archive), f"{work}/unpacked"])
            os.rename(f"{work}/unpacked", folder)
    return find(folder.name)


class _Apt:
    # apt with lists, caches and sources of its own, so that the system's stay as they are; needs no root.
    def __init__(self, folder: Path) -> None:
        for name in ("lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        uri, signed_by = _mirror()
        trust = f" signed-by={signed_by}" if signed_by else ""
        lines = [f"deb [arch=amd64{trust}] {uri} {suite} main\n" for suite in SUITES]
        (folder / "sources.list").write_text("".join(lines), encoding="utf-8")
        settings = {
            "Dir::Etc::sourcelist": folder / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::State::lists": folder / "lists",
            "Dir::Cache": folder / "cache",
            "Acquire::Languages": "none",
        }
        if os.geteuid() == 0:
            settings["APT::Sandbox::User"] = "root"  # apt's own user can't write into root's cache
        self.options = [f"-o{name}={value}" for name, value in settings.items()]

    def update(self) -> str:
        """Reads the mirror's lists; what went wrong, since the suites that are there may be enough."""
        done = subprocess.run(["apt-get", *self.options, "update"], capture_output=True, text=True, check=False)
        return " ".join(line for line in done.stderr.splitlines() if line.startswith(("E:", "W:")))

    def packages_of(self, series: str) -> list[str]:
        """What to download for the newest kernel of a series; empty if there is none."""
        names = self._names()
        releases = {match["release"] for match in names if match["version"] == series}
        if not releases:
            return []
        release = max(releases, key=_age)
        # Newer packages keep image and modules apart; linux-image is then a mere list of both.
        binary = f"linux-binary-{release}-cloud-amd64"
        if any(match[0] == binary for match in names):
            return [binary, f"linux-modules-{release}-cloud-amd64"]
        return [f"linux-image-{release}-cloud-amd64"]

    def series(self) -> set[str]:
        return {match["version"] for match in self._names()}

    def _names(self) -> list[re.Match[str]]:
        pattern = r"^linux-(image|binary)-[0-9].*-cloud-amd64$"
        text = _run(["apt-cache", *self.options, "search", "--names-only", pattern])
        matches = (_PACKAGE.fullmatch(line.split(" ", 1)[0]) for line in text.splitlines())
        return [match for match in matches if match]


def _mirror() -> tuple[str, str]:
    # The Debian archive that this machine uses already, and the keyring named with it.
    folder = Path("/etc/apt")
    for file in [folder / "sources.list", *sorted(folder.glob("sources.list.d/*"))]:
        if file.suffix not in (".list", ".sources") or not file.is_file():
            continue
        text = file.read_text(encoding="utf-8", errors="replace")
        for uri, signed_by in _one_line_sources(text) if file.suffix == ".list" else _stanza_sources(text):
            if re.search(r"/debian/?$", uri):
                return uri, signed_by
    raise BackendError(f"no Debian archive in this machine's apt sources; {_ELSEWHERE}")


def _one_line_sources(text: str) -> list[tuple[str, str]]:
    lines = re.findall(r"^\s*deb\s+(?:\[([^]]*)\]\s+)?(\S+)", text, re.MULTILINE)
    return [(uri, match[1] if (match := re.search(r"signed-by=(\S+)", options)) else "") for options, uri in lines]


def _stanza_sources(text: str) -> list[tuple[str, str]]:
    found = []
    for stanza in re.split(r"\n\s*\n", text):
        fields = dict(re.findall(r"^([\w-]+):[ \t]*(\S+)", stanza, re.MULTILINE))
        if "URIs" in fields and fields.get("Enabled") != "no":
            signed_by = fields.get("Signed-By", "")
            found.append((fields["URIs"], signed_by if signed_by.startswith("/") else ""))
    return found


def _age(release: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", release)]


def _run(command: list[str], folder: Path | None = None) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BackendError(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
