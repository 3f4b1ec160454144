"""The guest's initramfs and its modules, without booting it."""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from damoos.errors import BackendError, ConfigError
from damoos.kernel.hosts import image, kernels, modules
from damoos.kernel.hosts.image import Entry, cpio


def unpack(archive: bytes) -> dict[str, tuple[int, bytes]]:
    """Path -> mode and contents, read as the kernel's documentation of the format says."""
    found, at = {}, 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        mode, size, length = fields[1], fields[6], fields[11]
        name = archive[at + 110 : at + 110 + length - 1].decode()
        assert archive[at + 109 + length] == 0
        start = (at + 110 + length + 3) & ~3
        if name == "TRAILER!!!":
            return found
        assert name not in found
        found[name] = (mode, archive[start : start + size])
        at = (start + size + 3) & ~3


def test_archive_holds_what_was_put_in() -> None:
    entries = [
        Entry("a", stat.S_IFDIR | 0o755),
        Entry("a/file", stat.S_IFREG | 0o640, b"five!"),
        Entry("a/empty", stat.S_IFREG | 0o644),
        Entry("link", stat.S_IFLNK | 0o777, b"a/file"),
    ]
    assert unpack(cpio(entries)) == {entry.path: (entry.mode, entry.data) for entry in entries}
    assert len(cpio(entries)) % 4 == 0


@pytest.mark.skipif(shutil.which("cpio") is None, reason="cpio is not installed")
def test_cpio_reads_the_archive(tmp_path: Path) -> None:
    archive = cpio([Entry("x", stat.S_IFDIR | 0o755), Entry("x/y", stat.S_IFREG | 0o600, b"data" * 1001)])
    subprocess.run(["cpio", "-idm", "--quiet"], input=archive, cwd=tmp_path, check=True)
    assert (tmp_path / "x" / "y").read_bytes() == b"data" * 1001


def module(*needs: str) -> bytes:
    return b"\x7fELF\0license=GPL\0depends=" + ",".join(needs).encode() + b"\0name=x\0"


@pytest.fixture
def kernel(tmp_path: Path) -> kernels.Kernel:
    folder = tmp_path / "kernel" / "drivers"
    folder.mkdir(parents=True)
    (folder / "zram.ko.xz").write_bytes(lzma.compress(module("zsmalloc", "lz4-fast")))
    (folder / "zsmalloc.ko").write_bytes(module())
    (folder / "lz4-fast.ko.gz").write_bytes(gzip.compress(module("lz4_core", "built_in")))
    (folder / "lz4_core.ko").write_bytes(module())
    (folder / "other.ko").write_bytes(module("zram"))
    return kernels.Kernel("9.9.1-test", tmp_path / "vmlinuz", tmp_path)


def test_modules_come_after_those_they_need(kernel: kernels.Kernel) -> None:
    found = modules.modules_for(kernel, ("virtio_pci", "zram"))
    assert [name for name, _ in found] == ["zsmalloc", "lz4_core", "lz4_fast", "zram"]
    assert dict(found)["zram"] == module("zsmalloc", "lz4-fast")


def test_no_modules_for_a_kernel_without_a_folder() -> None:
    assert modules.modules_for(kernels.Kernel("9.9", Path("vmlinuz"), None), ("zram",)) == []


@pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not installed")
def test_zstd_modules(tmp_path: Path) -> None:
    (tmp_path / "m.ko").write_bytes(module())
    subprocess.run(["zstd", "-q", str(tmp_path / "m.ko")], check=True)
    assert modules.unpacked(tmp_path / "m.ko.zst") == module()


def test_zstd_modules_without_zstd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    (tmp_path / "m.ko.zst").write_bytes(b"")
    with pytest.raises(BackendError, match="apt install zstd"):
        modules.unpacked(tmp_path / "m.ko.zst")


def fake_programs(folder: Path, monkeypatch: pytest.MonkeyPatch, *, interpreter: bytes) -> None:
    """A busybox in PATH, besides the programs that are there."""
    program = bytearray(64 + 56)
    program[:5] = b"\x7fELF\x02"
    for at, size, value in ((32, 8, 64), (54, 2, 56), (56, 2, 1)):
        program[at : at + size] = value.to_bytes(size, "little")
    program[64:68] = interpreter
    (folder / "busybox").write_bytes(program)
    (folder / "busybox").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_image_is_complete_repeats_and_is_kept(
    kernel: kernels.Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_programs(tmp_path, monkeypatch, interpreter=b"\1\0\0\0")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    built = image.image_for(kernel)
    files = unpack(built.read_bytes())
    for path in files:
        parent = str(Path(path).parent)
        assert parent == "." or stat.S_ISDIR(files[parent][0])
    program = files["bin/python3"][1].decode()
    assert program.startswith("/") and stat.S_ISREG(files[program.lstrip("/")][0])
    assert files["init"][0] == stat.S_IFREG | 0o755
    assert files["mod/order"][1] == b"zsmalloc\nlz4_core\nlz4_fast\nzram\n"
    library = str(Path(json_of(program)).parent).lstrip("/")
    assert f"{library}/os.pyc" in files and f"{library}/json/__init__.pyc" in files
    assert f"{library}/os.py" not in files
    inode = built.stat().st_ino
    assert image.image_for(kernel) == built and built.stat().st_ino == inode
    # Another module, another image; the old one goes when nobody has used it for long.
    (kernel.modules / "kernel" / "drivers" / "zsmalloc.ko").write_bytes(module() + b"new")  # type: ignore[operator]
    other = image.image_for(kernel)
    assert other != built and built.exists()
    long_ago = built.stat().st_mtime - image.KEEP_UNUSED_S - 60
    os.utime(built, (long_ago, long_ago))
    assert image.image_for(kernel) == other
    assert not built.exists()


def json_of(program: str) -> str:
    """Where the interpreter's own os.py lies."""
    done = subprocess.run([program, "-I", "-S", "-c", "import os; print(os.__file__)"], capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.parametrize("busybox", ["none", "dynamic"])
def test_says_which_package_is_missing(
    kernel: kernels.Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, busybox: str
) -> None:
    if busybox == "none":
        monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    else:
        fake_programs(tmp_path, monkeypatch, interpreter=b"\3\0\0\0")
    with pytest.raises(BackendError, match="apt install busybox-static"):
        image.image_for(kernel)


def boot_image(release: str) -> bytes:
    head = bytearray(0x4000)
    head[0x202:0x206] = b"HdrS"
    head[0x20E:0x210] = (0x3000 - 0x200).to_bytes(2, "little")
    text = f"{release} (me@here) #1 SMP\0".encode()
    head[0x3000 : 0x3000 + len(text)] = text
    return bytes(head)


def test_release_is_read_from_the_image(tmp_path: Path) -> None:
    (tmp_path / "vmlinuz").write_bytes(boot_image("7.3.4+deb13-cloud-amd64"))
    kernel = kernels.from_image(tmp_path / "vmlinuz")
    assert (kernel.release, kernel.series) == ("7.3.4+deb13-cloud-amd64", "7.3")
    for content in (b"", b"\0" * 0x4000, sys.executable.encode() * 1000):
        (tmp_path / "other").write_bytes(content)
        with pytest.raises(ConfigError, match="other: not a Linux image for x86-64"):
            kernels.from_image(tmp_path / "other")
    with pytest.raises(ConfigError, match="No such file"):
        kernels.from_image(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no kernel modules below"):
        kernels.from_image(tmp_path / "vmlinuz", tmp_path / "empty")


def test_newest_of_a_series_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(BackendError, match=r"no kernel 7.3 in .*; `damoos vm fetch 7.3` fetches one"):
        kernels.find("7.3")
    for release in ("7.3.4-a", "7.3.10-a", "6.12.117-a", "10.1-a"):
        boot = kernels.cache_folder() / "kernels" / release / "boot"
        boot.mkdir(parents=True)
        (boot / f"vmlinuz-{release}").write_bytes(boot_image(release))
        (boot.parent / "some.ko").touch()
    assert kernels.find("7.3").release == "7.3.10-a"
    assert kernels.find("7.3.4-a").release == "7.3.4-a"
    assert kernels.find().release == "10.1-a"
    assert [kernel.series for kernel in kernels.cached()] == ["6.12", "7.3", "7.3", "10.1"]
    with pytest.raises(BackendError, match="no kernel 7 "):
        kernels.find("7")


# What Debian's tools do, as far as `fetch` asks them.
TOOLS = {
    "apt-get": """
case " $* " in
*" update "*) grep -q 'deb .* trixie main' "$SOURCES" || exit 1; echo 'W: a warning' >&2; exit 100 ;;
*" download "*) for name; do case $name in linux-*) echo "$name" > "$name.deb" ;; esac; done ;;
esac""",
    "apt-cache": """
echo 'linux-image-6.12.9+deb13-cloud-amd64 - Linux'
echo 'linux-image-6.12.10+deb13-cloud-amd64 - Linux'
echo 'linux-image-7.3.4+deb13-cloud-amd64 - Linux'
echo 'linux-binary-7.3.4+deb13-cloud-amd64 - Linux'
echo 'linux-image-7.3.4+deb13-cloud-amd64-unsigned - Linux'""",
    "dpkg-deb": """
name=$(cat "$2"); release=${name#linux-*-}
mkdir -p "$3/boot"; cp "$IMAGES/$release" "$3/boot/vmlinuz-$release"; echo "$name" >> "$3/packages"; : > "$3/m.ko" """,
}


@pytest.mark.skipif(not Path("/bin/sh").exists(), reason="needs a shell")
def test_fetch_takes_the_newest_packages_of_a_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, script in TOOLS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script.strip()}\n")
        (tmp_path / name).chmod(0o755)
    for release in ("6.12.10+deb13-cloud-amd64", "7.3.4+deb13-cloud-amd64"):
        (tmp_path / release).write_bytes(boot_image(release))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("IMAGES", str(tmp_path))
    monkeypatch.setenv("SOURCES", str(kernels.cache_folder() / "apt" / "sources.list"))
    monkeypatch.setattr(kernels, "_mirror", lambda: ("http://mirror/debian", "/usr/share/keyrings/some.gpg"))
    told: list[str] = []
    assert kernels.fetch("6.12", told.append).release == "6.12.10+deb13-cloud-amd64"
    assert told[-1] == "fetching linux-image-6.12.10+deb13-cloud-amd64"
    kernel = kernels.fetch("7.3")
    assert kernel.modules is not None
    assert sorted((kernel.modules / "packages").read_text().split()) == [
        "linux-binary-7.3.4+deb13-cloud-amd64",
        "linux-modules-7.3.4+deb13-cloud-amd64",
    ]
    assert sorted(p.name for p in (kernels.cache_folder() / "kernels").iterdir()) == [
        "6.12.10+deb13-cloud-amd64",
        "7.3.4+deb13-cloud-amd64",
    ]
    told.clear()
    kernels.fetch("7.3", told.append)
    assert told == ["looking for Linux 7.3 in trixie, trixie-backports, sid"]
    with pytest.raises(BackendError, match=r"no package of Linux 7.9 \(found: 6.12, 7.3\). W: a warning"):
        kernels.fetch("7.9")


def test_fetch_elsewhere_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="kernel: not a kernel series, got '7'"):
        kernels.fetch("7")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendError, match="apt-get, apt-cache, dpkg-deb; elsewhere give a kernel of your own"):
        kernels.fetch("7.3")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.sources", "Types: deb\nURIs: http://deb/debian-security\nSuites: s\n\n# why\nTypes: deb\n{}"),
        ("a.list", "# deb http://old/debian x main\ndeb http://deb/debian-security s main\n{}"),
    ],
)
def test_mirror_is_the_one_in_use(name: str, text: str) -> None:
    stanza = "URIs: http://deb/debian/\nSuites: bookworm\nSigned-By: /k.gpg\n"
    line = "deb [arch=amd64 signed-by=/k.gpg] http://deb/debian/ bookworm main\n"
    read = kernels._stanza_sources if name.endswith(".sources") else kernels._one_line_sources
    found = read(text.format(stanza if name.endswith(".sources") else line))
    assert found == [("http://deb/debian-security", ""), ("http://deb/debian/", "/k.gpg")]
