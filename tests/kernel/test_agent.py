"""The agent as a real process, on a folder in place of sysfs and with real little workloads."""

from __future__ import annotations

import ast
import base64
import fcntl
import http.server
import json
import os
import pwd
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from damoos.errors import BackendError, HostError
from damoos.kernel.guards import lock_holder
from damoos.kernel.link import AGENT, BOOTSTRAP, AgentHost, AgentLink, agent_argv

ME = pwd.getpwuid(os.geteuid()).pw_name
BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
FILES = {
    "sys/a/value": "12\n",
    "sys/a/choice": "always [madvise] never\n",
    "sys/a/empty": "",
    "sys/a/nr_children": "1\n",
    "sys/a/0/deep": "old \u00e9 text\n",
    "sys/a/0/other": "7",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def link(root: Path, tmp_path: Path) -> Iterator[AgentLink]:
    link = AgentLink(agent_argv(str(root), str(tmp_path / "journal")))
    yield link
    link.close()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def untouched(root: Path) -> bool:
    return contents(root) == {name: text.encode() for name, text in FILES.items()}


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


SLEEP = python("import time; time.sleep(60)")


def alive(mark: str) -> list[int]:
    """Live processes of a run, found by what the agent put into their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"DAMOOS_RUN={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def until(condition: Any, timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.01)


def test_says_what_it_is(link: AgentLink, root: Path) -> None:
    hello = link.hello
    assert (hello["root"], hello["uid"], hello["kernel"]) == (str(root), os.geteuid(), os.uname().release)
    assert hello["recovered"] == {"killed": 0, "restored": [], "gone": [], "failed": []}


def test_a_host_of_files(link: AgentLink, root: Path) -> None:
    host = AgentHost(link, "test")
    assert host.read("/sys/a/value") == "12"
    assert host.read("/sys/a/0/deep") == "old \u00e9 text"
    assert host.listdir("/sys/a") == ["0", "choice", "empty", "nr_children", "value"]
    assert host.listdir("/") == ["sys"]
    assert host.exists("/sys/a/value") and host.exists("/sys/a") and not host.exists("/sys/a/value/x")
    assert not host.exists("/nothing")
    host.write("/sys/a/value", "13")
    assert (root / "sys/a/value").read_text() == "13"
    with pytest.raises(HostError) as missing:
        host.write("/sys/a/new", "1")
    assert (missing.value.path, missing.value.errno) == ("/sys/a/new", 2)
    assert not (root / "sys/a/new").exists()


@pytest.mark.parametrize("path", ["../outside", "sys/../../outside", "sys//a", "link", "folder/outside", "sys/."])
def test_never_leaves_its_root(link: AgentLink, root: Path, tmp_path: Path, path: str) -> None:
    (tmp_path / "outside").write_text("secret")
    (root / "link").symlink_to(tmp_path / "outside")
    (root / "folder").symlink_to(tmp_path)
    for request in ({"do": "read"}, {"do": "write", "value": "x"}):
        with pytest.raises(BackendError):
            link.request(request.pop("do"), path=path, **request)
    with pytest.raises(BackendError):
        link.request("list", path="folder")
    assert (tmp_path / "outside").read_text() == "secret"


def test_a_link_inside_the_root_is_not_followed_either(link: AgentLink, root: Path) -> None:
    (root / "again").symlink_to("sys")
    with pytest.raises(HostError):
        link.request("read", path="again/a/value")
    assert link.request("list", path="")["names"] == {"sys": "dir", "again": "other"}


def test_closing_undoes_everything(link: AgentLink, root: Path, tmp_path: Path) -> None:
    host = AgentHost(link, "test")
    for value in ("1", "2"):
        host.write("/sys/a/value", value)
        link.request("write", path="sys/a/value", value=value * 3)
        host.write("/sys/a/empty", value)
        host.write("/sys/a/0/deep", value)
    assert (tmp_path / "journal").exists()
    report = link.close()
    assert untouched(root)
    assert sorted(report["restored"]) == ["/sys/a/0/deep", "/sys/a/empty", "/sys/a/value"]
    assert report["failed"] == report["gone"] == []
    assert not (tmp_path / "journal").exists()


def test_a_marked_choice_is_undone_by_its_word(link: AgentLink, root: Path) -> None:
    link.request("write", path="sys/a/choice", value="never")
    report = link.request_raw("restore")
    # a plain file then holds the word and not the list, which the agent says
    assert (root / "sys/a/choice").read_text() == "madvise"
    assert [entry["path"] for entry in report["failed"]] == ["/sys/a/choice"]
    (root / "sys/a/choice").write_text(FILES["sys/a/choice"])
    assert link.request("restore")["failed"] == []


def test_contents_that_a_write_makes_anew_are_put_back(link: AgentLink, root: Path) -> None:
    link.request("write", path="sys/a/nr_children", value="1", below=True)
    shutil.rmtree(root / "sys/a/0")  # as the kernel does on such a write
    for name in ("deep", "other"):
        (root / "sys/a/0").mkdir(exist_ok=True)
        (root / "sys/a/0" / name).write_text("default")
    (root / "sys/a/1").mkdir()
    (root / "sys/a/1/new").write_text("default")
    link.request("write", path="sys/a/1/new", value="set")
    shutil.rmtree(root / "sys/a/1")
    report = link.request("restore")
    assert untouched(root)
    assert report["gone"] == ["/sys/a/1/new"]


def test_what_is_not_to_be_kept_is_not_undone(link: AgentLink, root: Path) -> None:
    link.request("write", path="sys/a/value", value="commit", keep=False)
    assert link.request("restore")["restored"] == []
    assert (root / "sys/a/value").read_text() == "commit"


def test_a_batch_stops_at_the_first_failure(link: AgentLink, root: Path) -> None:
    write = {"do": "write", "path": "sys/a/value", "value": "5"}
    ops = [write, {"do": "read", "path": "sys/a/value"}, {"do": "read", "path": "none"}, {**write, "value": "6"}]
    reply = link.request_raw("batch", ops=ops)
    assert [each["ok"] for each in reply["replies"]] == [True, True, False]
    assert (root / "sys/a/value").read_text() == "5"
    with pytest.raises(BackendError):
        link.request("batch", ops=[{"do": "batch", "ops": []}])


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"asked {self.path}".encode()
        self.send_response(200 if self.path != "/missing" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def test_fetches_from_the_machine_itself_and_nowhere_else(link: AgentLink) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_port
        assert link.request("fetch", port=port, path="/metrics?a=b")["text"] == "asked /metrics?a=b"
        with pytest.raises(BackendError, match="404"):
            link.request("fetch", port=port, path="/missing")
        for wrong in ({"host": "10.0.0.1"}, {"path": "/a b"}, {"path": "x"}, {"host": "localhost.example.org"}):
            with pytest.raises(BackendError, match="not a URL of this machine"):
                link.request("fetch", port=port, **wrong)
        server.shutdown()
    with pytest.raises(BackendError, match="refused"):
        link.request("fetch", port=port)


def test_bad_requests_get_an_answer_and_harm_nothing(link: AgentLink) -> None:
    for do, fields in (
        ("nonsense", {}),
        ("read", {}),
        ("write", {"path": "sys/a/value"}),
        ("read", {"path": 5}),
        ("start", {"argv": "ls"}),
        ("start", {"argv": []}),
        ("start", {"argv": ["true"], "user": "no-such-user"}),
        ("start", {"argv": ["true"], "user": ME, "timeout_s": "soon"}),
        ("sample", {"memory": "all"}),
        ("output", {}),
    ):
        with pytest.raises(BackendError):
            link.request(do, **fields)
    assert link.request("read", path="sys/a/value")["value"] == "12\n"


def test_runs_a_workload_and_keeps_its_output(link: AgentLink, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    code = "import os, sys; print(os.getcwd(), os.environ['X']); sys.stderr.write('oops'); sys.exit(3)"
    started = link.request("start", argv=python(code), cwd=str(tmp_path / "work"), env={"X": "y"}, user=ME)
    event = link.wait("ended", 20)
    assert event is not None
    assert (event["status"], event["timed_out"], event["left"]) == (3, False, 0)
    assert 0 < event["runtime_s"] < 10 and event["max_rss_bytes"] > 1 << 20
    assert started["pid"] > 0
    output = link.request("output")
    assert output["text"] in (f"{tmp_path / 'work'} y\noops", f"oops{tmp_path / 'work'} y\n")
    assert link.request("output", offset=2, limit=3)["text"] == output["text"][2:5]
    assert output["next"] == output["end"] == len(output["text"])


def test_runtimes_are_exact(link: AgentLink) -> None:
    link.request("start", argv=python("import time; time.sleep(0.5)"), user=ME)
    event = link.wait("ended", 20)
    assert event is not None and 0.5 <= event["runtime_s"] < 10


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"argv": ["/no/such/program"]}, "argv"),
        ({"argv": ["true"], "cwd": "/no/such/folder"}, "cwd"),
        ({"argv": ["true"], "cwd": "/no/such/folder", "hold": "exec"}, "cwd"),
        ({"argv": ["/no/such/program"], "hold": "sync"}, "argv"),
    ],
)
def test_a_workload_that_can_not_start_says_why(link: AgentLink, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(BackendError, match=f"{field}.*No such file"):
        link.request("start", user=ME, **fields)
    link.request("start", argv=["true"], user=ME)
    assert link.wait("ended", 20)


def test_a_held_program_that_can_not_start_says_so_when_it_goes(link: AgentLink) -> None:
    link.request("start", argv=["/no/such/program"], user=ME, hold="exec")
    with pytest.raises(BackendError, match="argv.*No such file"):
        link.request("go")
    link.request("start", argv=["true"], user=ME)
    assert link.wait("ended", 20)


def test_files_of_a_run_are_there_and_vanish_with_it(link: AgentLink) -> None:
    code = "import sys; print(open(sys.argv[1]).read())"
    files = {"note.txt": base64.b64encode(b"hello").decode()}
    started = link.request("start", argv=["{python}", *python(code)[1:], "{run}/note.txt"], user=ME, files=files)
    assert link.wait("ended", 20)
    assert link.request("output")["text"] == "hello\n"
    folder = Path(started["folder"])
    assert sorted(path.name for path in folder.iterdir()) == ["note.txt", "output"]
    with pytest.raises(BackendError, match="not a file's name"):
        link.request("start", argv=["true"], user=ME, files={"../evil": ""})
    assert not folder.exists()
    again = Path(link.request("start", argv=["true"], user=ME)["folder"])
    assert link.wait("ended", 20)
    link.close()
    assert not again.exists()


def test_a_held_workload_starts_when_told_and_time_counts_from_then(link: AgentLink, root: Path) -> None:
    started = link.request("start", argv=python("import time; time.sleep(0.2)"), user=ME, hold="exec", timeout_s=5)
    time.sleep(0.5)
    assert Path(f"/proc/{started['pid']}/cmdline").read_bytes().count(b"time.sleep(0.2)") == 0
    write = {"do": "write", "path": "/sys/a/value", "value": "13"}
    read = {"do": "read", "path": "/sys/a/value"}
    assert link.request("go", ops=[write], at_end=[read, {"do": "kind", "path": f"/proc/{started['pid']}"}])["ok"]
    event = link.wait("ended", 20)
    assert event is not None and event["status"] == 0
    assert 0.2 <= event["runtime_s"] < 0.5 + 5
    assert event["runtime_s"] < event["sample"]["t_s"] + 0.2
    assert [reply["ok"] for reply in event["at_end"]] == [True, True]
    assert event["at_end"][0]["value"] == "13"


SYNC = (
    'import os, time; print(\'{"event": "ready"}\', flush=True); os.read(0, 1); time.sleep(0.3); '
    'print(\'{"event": "done"}\', flush=True); os.read(0, 1)'
)


def test_a_synchronous_workload_is_over_at_its_last_line(link: AgentLink) -> None:
    pid = link.request("start", argv=python(SYNC), user=ME, hold="sync")["pid"]
    ready = link.wait("line", 20)
    assert ready is not None and json.loads(ready["text"]) == {"event": "ready"}
    link.request("sample", every_s=0.05)
    alive_at_end = {"do": "read", "path": "/sys/a/choice"}
    reply = link.request("go", ops=[{"do": "read", "path": "/sys/a/value"}], at_end=[alive_at_end])
    assert reply["replies"][0]["value"] == "12\n"
    early = link.request("until", t_s=0.1)
    assert not early["ended"] and 0.1 <= early["sample"]["t_s"] < 0.3
    late = link.request("until", t_s=100.0, hold=True)
    assert late["ended"]
    event = link.wait("ended", 1)
    assert event is not None and event["status"] == 0 and 0.3 <= event["runtime_s"] < 5
    assert event["sample"]["processes"] == 1  # it was still there
    assert event["at_end"][0]["value"] == FILES["sys/a/choice"]
    assert gone(pid)


def test_a_refused_request_keeps_the_workload_held(link: AgentLink) -> None:
    link.request("start", argv=python(SYNC), user=ME, hold="sync")
    with pytest.raises(HostError, match="/sys/a/none"):
        link.request("go", ops=[{"do": "write", "path": "/sys/a/none", "value": "1"}])
    assert not link.request("until", t_s=0.5)["ended"]
    link.request("stop")
    with pytest.raises(BackendError, match="not held"):
        link.request("start", argv=SLEEP, user=ME)
        link.request("go")


def test_a_tree_comes_in_one_reply(link: AgentLink) -> None:
    files = link.request("tree", path="/sys/a")["files"]
    assert files == {name.removeprefix("sys/a/"): text for name, text in FILES.items()}
    trimmed = {path: text.removesuffix("\n") for path, text in files.items()}
    assert AgentHost(link, "x").read_tree("/sys/a") == trimmed


def test_a_table_has_the_same_files_of_each_numbered_folder(link: AgentLink, root: Path) -> None:
    for number, text in {"0": "1\n", "12": "7\n", "word": "3\n"}.items():
        (root / "sys/t" / number).mkdir(parents=True)
        for name in ("start", "end", "other"):
            (root / "sys/t" / number / name).write_text(name[0] + text)
    (root / "sys/t/5").write_text("no folder\n")
    with pytest.raises(HostError, match="/sys/t"):
        link.request("table", path="/sys/t", names=["start"])
    (root / "sys/t/5").unlink()
    assert AgentHost(link, "x").read_table("/sys/t", ["start", "end"]) == {0: ["s1", "e1"], 12: ["s7", "e7"]}
    with pytest.raises(HostError, match="/sys/t"):
        link.request("table", path="/sys/t", names=["none"])
    with pytest.raises(BackendError, match="not a name"):
        link.request("table", path="/sys/t", names=["../secret"])
    (root / "sys/t/3").symlink_to(root / "sys/t/0")
    with pytest.raises(HostError, match="/sys/t"):
        link.request("table", path="/sys/t", names=["start"])


def kdamond_tree(root: Path) -> Path:
    folder = root / "sys/kernel/mm/damon/admin/kdamonds"
    (folder / "0").mkdir(parents=True)
    for name, text in {"nr_kdamonds": "1\n", "0/state": "off\n", "0/pid": "-1\n", "0/value": "5\n"}.items():
        (folder / name).write_text(text)
    return folder


def test_a_kdamond_of_somebody_else_is_left_alone(root: Path, tmp_path: Path) -> None:
    folder, journal = kdamond_tree(root), tmp_path / "journal"
    link = AgentLink(agent_argv(str(root), str(journal)))
    host = AgentHost(link, "x")
    (folder / "0/pid").write_text("41\n")
    host.write("/sys/kernel/mm/damon/admin/kdamonds/0/value", "6")
    host.write("/sys/kernel/mm/damon/admin/kdamonds/0/state", "on")
    host.write("/sys/a/value", "13")
    (folder / "0/state").write_text("on\n")  # as the kernel shows it
    (folder / "0/pid").write_text("42\n")  # ours ended; this is another one
    report = link.close()
    assert {entry["path"].rpartition("/")[2] for entry in report["failed"]} == {"value", "state"}
    assert all("was not started by damoos" in entry["error"] for entry in report["failed"])
    assert ((folder / "0/value").read_text(), (folder / "0/state").read_text()) == ("6", "on\n")
    assert (root / "sys/a/value").read_text() == "12\n"
    (folder / "0/state").write_text("off\n")
    done = subprocess.run([*agent_argv(str(root), str(journal)), "--recover"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert (folder / "0/value").read_text() == "5\n"


def test_a_kdamond_of_its_own_is_stopped(root: Path, tmp_path: Path) -> None:
    folder = kdamond_tree(root)
    with AgentLink(agent_argv(str(root), str(tmp_path / "journal"))) as link:
        (folder / "0/pid").write_text("41\n")
        AgentHost(link, "x").write("/sys/kernel/mm/damon/admin/kdamonds/0/state", "on")
        (folder / "0/state").write_text("on\n")
        assert link.close()["failed"] == []
    assert (folder / "0/state").read_text() == "off\n"


def test_goes_when_nothing_is_heard_for_too_long(root: Path) -> None:
    argv = [*agent_argv(str(root), None), "--silence", "0.5"]
    with AgentLink(argv, keep_alive_s=0.1) as link:
        AgentHost(link, "x").write("/sys/a/value", "13")
        time.sleep(1.5)
        assert AgentHost(link, "x").read("/sys/a/value") == "13"
    link = AgentLink(argv)
    AgentHost(link, "x").write("/sys/a/value", "13")
    until(lambda: untouched(root))
    link.abandon()


def test_the_agent_may_come_through_the_pipe(root: Path, tmp_path: Path) -> None:
    source = AGENT.read_bytes()
    words = agent_argv(str(root), None)
    argv = [*words[:3], "-c", BOOTSTRAP, str(len(source)), *words[4:]]
    with AgentLink(argv, preamble=source) as link:
        AgentHost(link, "x").write("/sys/a/value", "13")
    assert untouched(root)


def test_one_agent_a_host(root: Path, tmp_path: Path) -> None:
    lock = tmp_path / "run" / "lock"
    argv = [*agent_argv(str(root), None), "--lock", str(lock)]
    with AgentLink(argv) as link:
        assert lock_holder(lock) == str(link.hello["pid"])
        with pytest.raises(BackendError, match=f"another damoos.*{link.hello['pid']}"):
            AgentLink(argv)
    assert lock_holder(lock) is None
    with AgentLink(argv):
        pass


def test_a_timeout_ends_it(link: AgentLink) -> None:
    mark = link.request("start", argv=SLEEP, user=ME, timeout_s=0.3)["mark"]
    event = link.wait("ended", 20)
    assert event is not None and event["timed_out"] and event["status"] == -signal.SIGTERM
    assert alive(mark) == []


def test_stop_ends_what_ignores_it(link: AgentLink) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    mark = link.request("start", argv=python(code), user=ME, grace_s=0.2)["mark"]
    until(lambda: link.request("output")["end"])
    assert link.request("stop")["status"] == -signal.SIGKILL
    assert alive(mark) == []
    assert link.request("stop")["status"] == -signal.SIGKILL


def test_no_descendant_outlives_the_workload(link: AgentLink) -> None:
    # a daemon in its own session whose parent is gone
    code = f"import os\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: os.execv({SLEEP[0]!r}, {SLEEP!r})\n"
    mark = link.request("start", argv=python(code), user=ME)["mark"]
    event = link.wait("ended", 20)
    assert event is not None and event["status"] == 0
    assert alive(mark) == []


def test_a_descendant_without_the_mark_is_found_as_an_orphan(link: AgentLink) -> None:
    # it has left its session, lost its parent and cleared its environment
    code = (
        "import os\nr, w = os.pipe()\nif os.fork() == 0:\n    os.setsid()\n"
        f"    print(os.getpid(), flush=True)\n    os.execve({SLEEP[0]!r}, {SLEEP!r}, {{}})\n"
        "os.close(w)\nos.read(r, 1)"  # which ends when the child's end is closed, at execve
    )
    link.request("start", argv=python(code), user=ME)
    event = link.wait("ended", 20)
    assert event is not None and event["left"] == 1
    assert gone(int(link.request("output")["text"]))


def test_samples_follow_memory_of_children_too(link: AgentLink) -> None:
    grow = "import time; x = bytearray(b'1') * (64 << 20); time.sleep(60)"
    code = f"import subprocess; subprocess.run({python(grow)!r})"
    link.request("start", argv=[sys.executable, "-c", code], user=ME)
    link.request("sample", every_s=0.05)
    until(lambda: any(e["rss_bytes"] > 64 << 20 and e["processes"] == 2 for e in link.events()))
    until(lambda: link.request("sample", memory="rollup")["sample"]["pss_bytes"] > 64 << 20)
    sample = link.request("sample", memory="rollup", kdamonds=[os.getpid()])["sample"]
    assert sample["rss_bytes"] > 64 << 20 and 64 << 20 < sample["pss_bytes"] <= sample["rss_bytes"]
    assert sample["kdamonds"][str(os.getpid())] > 0
    assert set(sample["vm"]) == {"pswpin", "pswpout", "pgmajfault"}
    link.events()
    time.sleep(0.2)
    assert link.events() == []  # without every_s they stop


def test_samples_keep_their_pace(link: AgentLink) -> None:
    link.request("start", argv=SLEEP, user=ME)
    link.request("sample", every_s=0.1)
    time.sleep(1.5)
    times = [event["t_s"] for event in link.events()]
    assert 8 <= len(times) <= 16
    assert times == sorted(times)


def test_any_process_can_be_sampled(link: AgentLink) -> None:
    with subprocess.Popen(SLEEP) as process:
        try:
            until(lambda: link.request("sample", pid=process.pid)["sample"]["rss_bytes"] > 1 << 20)
            assert link.request("sample", pid=process.pid)["sample"]["processes"] == 1
        finally:
            process.kill()


def test_a_cgroup_is_read_where_there_is_one(link: AgentLink, tmp_path: Path) -> None:
    (tmp_path / "memory.current").write_text("4096\n")
    (tmp_path / "memory.stat").write_text("anon 1\npgmajfault 7\n")
    (tmp_path / "cpu.stat").write_text("usage_usec 99\nuser_usec 1\n")
    (tmp_path / "memory.pressure").write_text("some avg10=0.00 total=5\nfull avg10=0.00 total=3\n")
    group = link.request("sample", cgroup=str(tmp_path))["sample"]["cgroup"]
    assert group == {"memory_bytes": 4096, "major_faults": 7, "cpu_us": 99, "psi": {"some_us": 5, "full_us": 3}}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_never_runs_as_root_unless_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = pwd.getpwnam("nobody")
    argv = ["/bin/sh", "-c", "id -u; id -g; id -G; echo $USER"]
    monkeypatch.delenv("SUDO_USER", raising=False)
    with AgentLink(agent_argv(str(root), None)) as link:
        with pytest.raises(BackendError, match="which user"):
            link.request("start", argv=argv)
    monkeypatch.setenv("SUDO_USER", "nobody")
    with AgentLink(agent_argv(str(root), None)) as link:
        link.request("start", argv=argv)
        assert link.wait("ended", 20)
        assert link.request("output")["text"] == f"{nobody.pw_uid}\n{nobody.pw_gid}\n{nobody.pw_gid}\nnobody\n"


def test_refuses_sysfs_when_switched_off() -> None:
    for root in ("/", "/sys", "/sys/kernel/mm"):
        with pytest.raises(BackendError, match="DAMOOS_HOST_BACKEND"):
            AgentLink(agent_argv(root, None))


def test_two_agents_do_not_share_a_journal(link: AgentLink, root: Path, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="another agent"):
        AgentLink(agent_argv(str(root), str(tmp_path / "journal")))


def test_waits_for_what_is_about_to_let_go_of_the_journal(root: Path, tmp_path: Path) -> None:
    with open(tmp_path / "journal", "w") as journal:
        fcntl.flock(journal, fcntl.LOCK_EX)
        soon = threading.Timer(0.3, fcntl.flock, (journal, fcntl.LOCK_UN))
        soon.start()
        with AgentLink(agent_argv(str(root), str(tmp_path / "journal"))) as link:
            assert link.hello["recovered"]["restored"] == []
        soon.join()


def test_is_one_file_for_an_old_bare_python(root: Path, tmp_path: Path) -> None:
    source = AGENT.read_text()
    ast.parse(source, feature_version=(3, 8))
    found = [shutil.which("python3.8"), *map(str, Path.home().glob(".pyenv/versions/3.8*/bin/python3.8"))]
    old = next((p for p in found if p and subprocess.run([p, "-c", ""], capture_output=True).returncode == 0), None)
    if old is None:
        pytest.skip("no Python 3.8 here")
    alone = tmp_path / "agent.py"
    alone.write_text(source)
    with AgentLink(agent_argv(str(root), str(tmp_path / "journal"), python=old, agent=str(alone))) as link:
        AgentHost(link, "test").write("/sys/a/value", "1")
        link.request("start", argv=["true"], user=ME)
        assert link.wait("ended", 20)
        assert link.request("sample")["sample"]["processes"] == 0
    assert untouched(root)


def test_is_small(root: Path) -> None:
    bare = ["-I", "-S", "-c", "print(open('/proc/self/status').read().split('VmRSS:')[1].split()[0])"]
    alone_kb = int(subprocess.run([sys.executable, *bare], capture_output=True, text=True, check=True).stdout)
    with AgentLink(agent_argv(str(root), None)) as link:
        link.request("start", argv=SLEEP, user=ME)
        link.request("sample", every_s=0.02)
        time.sleep(1.0)
        status = Path(f"/proc/{link.hello['pid']}/status").read_text()
        # In all below 10 MiB where a bare interpreter takes 8: Python 3.8 to 3.11 and 3.13.
        assert int(status.split("VmRSS:")[1].split()[0]) - alone_kb < 2 * 1024
        first, last = (link.request("sample", every_s=0.02)["sample"] for _ in range(2) if not time.sleep(1.0))
        # fifty samples a second here; the default is two: at most 0.5 % of a CPU then is 12.5 % here
        assert last["agent_cpu_s"] - first["agent_cpu_s"] < 0.125 * (last["t_s"] - first["t_s"])


CONTROLLER = """
import json, sys, time
from damoos.kernel.guards import lock_holder
from damoos.kernel.link import *
root, journal, me, sleep = sys.argv[1:]
link = AgentLink(agent_argv(root, journal))
started = link.request("start", argv=json.loads(sleep), user=me, grace_s=1)
print(link.hello["pid"], started["mark"], flush=True)
link.request("sample", every_s=0.01)
host = AgentHost(link, "test")
for number in range(10**9):
    for name in ("value", "empty", "0/deep", "0/other", "nr_children"):
        host.write("/sys/a/" + name, str(number))
    link.events()
"""


def controller(root: Path, journal: Path) -> tuple[subprocess.Popen[str], int, str]:
    """A controller that writes without end, in a session of its own; the agent's pid and the workload's mark."""
    code = f"import subprocess; subprocess.run({SLEEP!r})"
    argv = [sys.executable, "-c", CONTROLLER, str(root), str(journal), ME, json.dumps(python(code))]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pid, mark = process.stdout.readline().split()
    until(lambda: (root / "sys/a/nr_children").read_text() != FILES["sys/a/nr_children"])
    return process, int(pid), mark


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("seed", range(4))
def test_kill_9_of_the_controller_leaves_nothing(root: Path, tmp_path: Path, seed: int) -> None:
    process, agent, mark = controller(root, tmp_path / "journal")
    with process:
        time.sleep(random.Random(seed).uniform(0, 0.2))
        process.kill()
    until(lambda: gone(agent))
    assert untouched(root)
    assert alive(mark) == []
    assert not (tmp_path / "journal").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_undo_everything(root: Path, tmp_path: Path, number: int) -> None:
    process, agent, mark = controller(root, tmp_path / "journal")
    with process:
        os.kill(agent, number)
        until(lambda: gone(agent))
        process.kill()
    assert untouched(root)
    assert alive(mark) == []


@pytest.mark.parametrize("seed", range(4))
def test_kill_9_of_the_agent_is_made_good_by_the_next(root: Path, tmp_path: Path, seed: int) -> None:
    process, agent, mark = controller(root, tmp_path / "journal")
    with process:
        until(lambda: not untouched(root))
        time.sleep(random.Random(seed).uniform(0, 0.2))
        os.kill(agent, signal.SIGKILL)
        until(lambda: gone(agent))
        process.kill()
    argv = agent_argv(str(root), str(tmp_path / "journal"))
    if seed % 2:
        done = subprocess.run([*argv, "--recover"], capture_output=True, text=True, timeout=30)
        report = json.loads(done.stdout)
        assert done.returncode == 0
    else:
        with AgentLink(argv) as link:
            report = link.hello["recovered"]
    assert report["restored"] and report["failed"] == []
    assert untouched(root)
    assert alive(mark) == []
    assert not (tmp_path / "journal").exists()


def test_a_torn_last_line_of_the_journal_never_happened(root: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    whole = [{"format": 1, "root": str(root), "boot": BOOT}, {"path": "/sys/a/value", "old": "12\n"}]
    journal.write_text("".join(json.dumps(line) + "\n" for line in whole) + '{"path": "/sys/a/empty", "ol')
    (root / "sys/a/value").write_text("9")
    done = subprocess.run([*agent_argv(str(root), str(journal)), "--recover"], capture_output=True, text=True)
    assert done.returncode == 0 and untouched(root)


def test_a_journal_from_before_a_reboot_is_void(root: Path, tmp_path: Path) -> None:
    old = [{"format": 1, "root": str(root), "boot": "another"}, {"path": "/sys/a/value", "old": "99\n"}]
    (tmp_path / "journal").write_text("".join(json.dumps(line) + "\n" for line in old))
    with AgentLink(agent_argv(str(root), str(tmp_path / "journal"))) as link:
        assert link.hello["recovered"]["restored"] == []
    assert untouched(root)


def test_a_journal_of_another_root_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "journal").write_text(json.dumps({"format": 1, "root": "/elsewhere", "boot": BOOT}) + "\n")
    with pytest.raises(BackendError, match="/elsewhere"):
        AgentLink(agent_argv(str(root), str(tmp_path / "journal")))


def test_a_controller_that_does_not_listen_stops_nothing(root: Path, tmp_path: Path) -> None:
    # the pipe is full and nobody reads: the agent must still notice that it has to go
    process = subprocess.Popen(
        agent_argv(str(root), str(tmp_path / "journal")), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b'{"do": "write", "path": "sys/a/value", "value": "5"}\n')
    process.stdin.write(b'{"do": "list", "path": "sys/a"}\n' * 3000)
    process.stdin.flush()
    until(lambda: (root / "sys/a/value").read_text() == "5")
    time.sleep(0.5)
    process.terminate()
    assert process.wait(20) == 0
    process.stdin.close()
    process.stdout.close()
    assert untouched(root)
