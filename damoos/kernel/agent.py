"""What damoos runs on a machine that it tunes: one file, standard library only, Python 3.8 or newer.

    python3 -I -S agent.py --root DIR [--journal FILE] [--lock FILE] [--silence S]
        serve JSON lines on standard input and output
    python3 -I -S agent.py --root DIR --journal FILE --recover
        undo what a killed agent left, and exit

It reads and writes files below DIR (paths are as the machine names them: `/sys/kernel/...` where DIR is `/`), starts
one workload, samples it, and undoes everything: on request, when standard input ends, when its parent dies, on SIGTERM,
SIGINT and SIGHUP. After `kill -9` the next start with the same journal undoes it, or `--recover`. Undoing means: the
workload and all its descendants are ended, and each file that was written holds what it held before; but a kdamond that
runs and was not started here is left alone, with all that is staged beside it. Symbolic links below DIR are never
followed. `--lock`: a file that is locked, and holds the agent's pid, as long as it lives. `--silence`: s without a
request after which the connection counts as lost. Exit codes: 0 undone, 1 something could not be undone (the journal is
kept), 2 could not start ({"event": "refused", "error"}).

A request is {"id": anything, "do": NAME, ...}, its reply {"id", "ok": true, ...} or {"id", "ok": false, "error", and
where known "errno" (a name), "path", "value"}. File requests are served in their order by a thread of their own, since
some writes to DAMON's files wait for kdamond; so wait for a reply before asking for what depends on it.

hello                                   "pid", "python", "kernel", "machine", "page_size", "uid", "root", "parts",
                                        "recovered"
read PATH                               "value"
write PATH VALUE [keep] [below]         never creates a file. `keep` false: not to be undone. `below`: the write makes
                                        the folder's contents anew, so remember those too
list PATH                               "names": {name: "dir" | "file" | "other"}; PATH "" is the root
kind PATH                               "kind": as above, or null if there is none
tree PATH [flat]                        "files": {path below PATH: text}; left out are those that can't be read, and
                                        what is in subfolders of folders named `flat`
table PATH NAMES                        "rows": {N: texts of the files NAMES} for each folder N of digits below PATH
batch OPS                               "replies" of file requests in order, up to the first that fails
fetch PORT [path] [host]                "text" of http://HOST:PORT/PATH of this machine itself ("127.0.0.1", "::1")
restore                                 undoes the writes: "restored", "gone" (no longer there), "failed"
start ARGV [cwd] [env] [user] [hold]    "pid", "mark", "folder": the run's own, with `files` {name: base64} and the
      [timeout_s] [grace_s] [files]     output, both streams. In ARGV {run} is that folder, {python} this interpreter.
                                        As root it needs a `user`, or SUDO_USER; `env` is added to the agent's. `hold`:
                                        "exec" waits before it becomes the program; "sync": its input is a pipe, its
                                        lines are told as {"event": "line", "t_s", "text"}, and it is over when it
                                        prints {"event": "done"; it then waits for a byte
go [ops] [at_end]                       lets a held workload run; time counts from now. `ops`: file requests that are
                                        done just before ("sync") or just after it ("exec"), to "replies". `at_end`:
                                        file requests for when it is over and its process still there, answered in
                                        "ended"
until T_S [hold]                        replies at that time, or when "ended" was told: "ended", "sample". `hold`: keeps
                                        the CPU busy until the next request, 1 s at most, since virtual time leaps on an
                                        idle one
output [offset] [limit]                 "text", "next", "end" (size now) of the workload's output; gone with the next
                                        `start`
sample [every_s] [pid] [memory]         "sample" now, and if every_s > 0 from now on {"event": "sample"} lines. `pid`:
       [kdamonds] [cgroup]              a process instead of the workload. `memory`: "status", "rollup" (slower; adds
                                        "pss"), or "system" (of all processes). `kdamonds`: pids; `cgroup`: folder of a
                                        version 2 group
ping                                    nothing: it was heard
stop                                    ends the workload: "status" as in the event
drop                                    forgets an ended workload, with its folder
end                                     undoes everything, replies as `restore`, and exits

Events: {"event": "ended", "status" (exit code, -signal), "runtime_s", "timed_out", "left" (descendants killed),
"max_rss_bytes" (at least the agent's own), "user_s", "system_s", "sample", "at_end" (replies)} when the workload has
ended. A sample: "t_s" since the workload's start (or the request), "processes", "rss_bytes", "swap_bytes",
"major_faults" (of the workload's processes and those they have waited for), "vm": {"pswpin", "pswpout", "pgmajfault"}
(pages, events since boot), "psi": {"some_us", "full_us"} of memory, "kdamonds": {pid: CPU s}, "cgroup": {...},
"agent_cpu_s". What a kernel does not have is left out.
"""

from __future__ import annotations

import binascii
import errno
import fcntl
import os
import pwd
import select
import stat
import sys
import time
from _thread import allocate_lock, start_new_thread

# The compiled halves of collections, queue, signal and threading, since the others come with enum, re and more: 2 MiB.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections import deque
    from collections.abc import Iterator
    from queue import SimpleQueue
    from typing import Any
else:
    import _signal as signal
    from _collections import deque
    from _queue import SimpleQueue

VERSION = 2
DEFAULT_EVERY_S = 0.5
DEFAULT_GRACE_S = 3.0
BUSY_S = 5.0  # how long undoing a write is tried again where the kernel says EBUSY
AT_END_S = 20.0  # how long an ended workload's process is kept for `at_end`
HOLD_S = 1.0
LOCK_PATIENCE_S = 2.0
# Kernel: up to 6.14 (seen on 6.12) a command to `state`, of whoever, looks every 100 ms whether it is done or its
# kdamond gone. If DAMON's folders are removed before that, both hang for ever.
COMMAND_LOOKS_S = 0.3
FETCH_S = 5.0
LINE_MAX = 1 << 20
FILE_MAX = 1 << 20
PIPE_BUF = 4096
MARK = "DAMOOS_RUN"
DONE = b'{"event": "done"'
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
# Under another name than __main__, whose warning of fork beside a thread would be shown: the child only prepares exec.
LOADER = """import marshal, os, sys
exec(marshal.loads(os.read(int(sys.argv.pop(1)), 1 << 24)), {"__name__": "agent", "SLIM": True})"""


def codec() -> tuple[Any, Any]:
    """json's dumps and loads, from its compiled half where that works: the other half brings re and enum, 1.3 MiB."""
    try:
        compiled: Any = __import__("_json")

        class Context:
            strict, object_hook, object_pairs_hook = True, None, None
            parse_float, parse_int, parse_constant = float, int, float

        scan = compiled.make_scanner(Context)
        quote = compiled.encode_basestring_ascii
        encode = compiled.make_encoder(None, None, quote, None, ":", ",", False, False, True)

        def dumps(value: Any) -> str:
            return "".join(encode(value, 0))

        def loads(text: str) -> Any:
            text = text.strip()
            try:
                value, end = scan(text, 0)
            except StopIteration:
                raise ValueError("no value") from None
            if end != len(text):
                raise ValueError("more than one value")
            return value

        sample = {"a": [1, -2.5, None, True, '\u00e9\n"'], "b": {}}
        if loads(dumps(sample)) == sample:
            return dumps, loads
    except Exception:
        pass  # another Python than those that this was tried with
    import json

    return json.dumps, json.loads


dumps, loads = codec()


class Refused(Exception):
    """A request that can't be served; `more` goes into the reply."""

    def __init__(self, error: str, **more: Any) -> None:
        super().__init__(error)
        self.more = more

    @classmethod
    def of(cls, error: OSError, **more: Any) -> Refused:
        name = errno.errorcode.get(error.errno or 0, str(error.errno))
        return cls(error.strerror or str(error), errno=name, **more)


class Lost(Exception):
    """Nobody listens any more, or the agent was told to go; its text says which."""


def prctl(option: int, value: int) -> bool:
    """Calls prctl(2); False where this Python can't."""
    try:
        import ctypes
    except ImportError:
        return False
    return ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0


class Tree:
    """The files below one folder, which stands for `/`. Follows no symbolic link, creates nothing."""

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(root)
        if os.environ.get("DAMOOS_HOST_BACKEND") == "off" and self._is_sysfs():
            raise Refused("DAMOOS_HOST_BACKEND=off: this machine's sysfs is not to be touched", path=self.root)
        try:
            self.fd = os.open(self.root, os.O_PATH | os.O_DIRECTORY)
        except OSError as error:
            raise Refused.of(error, path=self.root) from None

    def _is_sysfs(self) -> bool:
        real = os.path.realpath(self.root)
        if real == "/" or (real + "/").startswith("/sys/"):
            return True
        try:
            return os.stat(real).st_dev == os.stat("/sys").st_dev  # bind-mounted somewhere else
        except OSError:
            return False

    def open(self, path: str, flags: int) -> int:
        """A descriptor of a file or folder, which the caller closes. Raises Refused, with the path."""
        path = path if path.startswith("/") else f"/{path}"
        parts = path[1:].split("/") if path != "/" else []
        if any(part in ("", ".", "..") for part in parts):
            raise Refused("not a path below the root", path=path)
        here = self.fd
        try:
            for number, part in enumerate(parts):
                last = number == len(parts) - 1
                step = flags if last else os.O_PATH | os.O_DIRECTORY
                below = os.open(part, step | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=here)
                if here != self.fd:
                    os.close(here)
                here = below
        except OSError as error:
            if here != self.fd:
                os.close(here)
            raise Refused.of(error, path=path) from None
        return here if here != self.fd else os.open(".", flags, dir_fd=self.fd)

    def _open_file(self, path: str, flags: int) -> int:
        fd = self.open(path, flags)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise Refused("not a file", path=path)
        return fd

    def read(self, path: str) -> str:
        fd = self._open_file(path, os.O_RDONLY)
        try:
            chunks: list[bytes] = []
            size = 0
            while size < FILE_MAX:
                chunk = os.read(fd, 65536)
                if not chunk:
                    return b"".join(chunks).decode("utf-8", "surrogateescape")
                chunks.append(chunk)
                size += len(chunk)
        except OSError as error:
            raise Refused.of(error, path=path) from None
        finally:
            os.close(fd)
        raise Refused(f"larger than {FILE_MAX} bytes", path=path)

    def write(self, path: str, value: str) -> None:
        data = value.encode("utf-8", "surrogateescape")
        fd = self._open_file(path, os.O_WRONLY | os.O_TRUNC)
        try:
            if os.write(fd, data) != len(data):  # sysfs takes a value in one call or not at all
                raise Refused("written in part", path=path, value=value)
        except OSError as error:
            raise Refused.of(error, path=path, value=value) from None
        finally:
            os.close(fd)

    def names(self, path: str) -> dict[str, str]:
        fd = self.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return {
                entry.name: "dir"
                if entry.is_dir(follow_symlinks=False)
                else "file"
                if entry.is_file(follow_symlinks=False)
                else "other"
                for entry in os.scandir(fd)
            }
        except OSError as error:
            raise Refused.of(error, path=path) from None
        finally:
            os.close(fd)

    def kind(self, path: str) -> str | None:
        try:
            fd = self.open(path, os.O_PATH)
        except Refused as refused:
            if refused.more.get("errno") in ("ENOENT", "ENOTDIR"):
                return None
            raise
        mode = os.fstat(fd).st_mode
        os.close(fd)
        return "dir" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "other"

    def tree(self, path: str, flat: str | None = None) -> dict[str, str | None]:
        """Every file below a folder: path below it -> text, None if it can't be read.

        Outer ones come first, so that a file that makes folders comes before their files. Of folders named `flat` only
        the files. Raises Refused where the folder can't be listed.
        """
        found: dict[str, str | None] = {}
        folders = deque([("", self.open(path, os.O_RDONLY | os.O_DIRECTORY))])
        try:
            while folders:
                place, here = folders.popleft()
                try:
                    self._list(place, here, flat, found, folders)
                finally:
                    os.close(here)
        except OSError as error:
            raise Refused.of(error, path=path) from None
        finally:
            for _, fd in folders:
                os.close(fd)
        return found

    def table(self, path: str, names: list[str]) -> dict[str, list[str]]:
        """The texts of the files `names` in each folder below `path` whose name is a number: a third of the work that
        `tree` has with DAMON's regions."""
        rows: dict[str, list[str]] = {}
        for name in names:
            if "/" in name:
                raise Refused("not a name", path=name)
        here = self.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for number in os.listdir(here):
                if number.isdecimal():
                    rows[number] = self._row(here, number, names)
        except OSError as error:
            raise Refused.of(error, path=path) from None
        finally:
            os.close(here)
        return rows

    def _row(self, here: int, number: str, names: list[str]) -> list[str]:
        texts = []
        folder = os.open(number, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
        try:
            for name in names:
                fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
                try:
                    texts.append(os.read(fd, PIPE_BUF).decode("utf-8", "surrogateescape"))
                finally:
                    os.close(fd)
        finally:
            os.close(folder)
        return texts

    def _list(self, place: str, here: int, flat: str | None, found: dict[str, str | None], folders: Any) -> None:
        is_flat = flat is not None and place.endswith(f"/{flat}/")
        for name in sorted(os.listdir(here)):
            try:
                fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=here)
            except OSError as error:
                if error.errno != errno.ELOOP:  # a link is nothing of this tree
                    found[place + name] = None
                continue
            if stat.S_ISDIR(os.fstat(fd).st_mode):
                if is_flat:
                    os.close(fd)
                else:
                    folders.append((f"{place}{name}/", fd))
                continue
            try:
                data = os.read(fd, FILE_MAX) if stat.S_ISREG(os.fstat(fd).st_mode) else None
                found[place + name] = None if data is None else data.decode("utf-8", "surrogateescape")
            except OSError as error:
                if error.errno == errno.EBUSY:
                    raise  # worth another try as a whole
                found[place + name] = None
            finally:
                os.close(fd)


def chosen(text: str) -> str:
    """What to write so that a file reads `text` again: the marked word of a choice such as `always [madvise] never`."""
    words = text.split()
    marked = [word[1:-1] for word in words if word.startswith("[") and word.endswith("]")]
    return marked[0] if len(words) > 1 and len(marked) == 1 else text


def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def make_folder_of(path: str) -> None:
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), 0o755, exist_ok=True)
    except OSError as error:
        raise Refused.of(error, path=path) from None


def lock_soon(fd: int) -> None:
    """Locks an open file; waits a little for an owner that was killed, whose last child may not have let go of it yet.

    Raises BlockingIOError.
    """
    until_s = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until_s:
                raise
        time.sleep(0.02)


def hold_lock(path: str) -> int:
    """Locks a file, writes this process's pid into it and returns the descriptor, which holds the lock."""
    make_folder_of(path)
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        lock_soon(fd)
    except BlockingIOError:
        holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
        raise Refused(f"another damoos (pid {holder}) works on this host", path=path, errno="EBUSY") from None
    except OSError as error:
        raise Refused.of(error, path=path) from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, b"%d\n" % os.getpid(), 0)
    return fd


class Journal:
    """What files held before their first write, the runs and the kdamonds started; in memory, and in a file if given.

    Not synced to the disk: it has to outlive this process, not the machine, which forgets sysfs with it.
    """

    def __init__(self, tree: Tree, path: str | None) -> None:
        self.tree = tree
        self.path = path
        self.fd = -1
        self.entries: list[dict[str, Any]] = []
        self.known: set[str] = set()
        self.runs: dict[str, str] = {}  # mark -> folder
        self.started: dict[str, int | None] = {}  # state file -> pid of its kdamond, None if it never got noted
        if path is not None:
            make_folder_of(path)
            self._lock(path)
            self._load()

    def _lock(self, path: str) -> None:
        try:
            while True:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
                lock_soon(fd)
                try:
                    if os.stat(path).st_ino == os.fstat(fd).st_ino:
                        break
                except FileNotFoundError:
                    pass
                os.close(fd)  # its last owner removed it meanwhile
        except BlockingIOError:
            raise Refused("another agent is at work with this journal", path=path) from None
        except OSError as error:
            raise Refused.of(error, path=path) from None
        self.fd = fd

    def _load(self) -> None:
        with open(self.fd, "rb", closefd=False) as file:
            lines = file.read().split(b"\n")
        for line in lines[:-1]:  # what follows the last newline was never finished, so its write never happened
            entry = loads(line.decode("utf-8"))
            if "root" in entry:
                if entry["boot"] != boot_id():
                    break  # the kernel of which this tells is gone, with all that was set in it
                if entry["root"] != self.tree.root:
                    raise Refused(f"this journal is about {entry['root']}", path=self.path)
            elif "mark" in entry:
                self.runs[entry["mark"]] = entry["folder"]
            elif "over" in entry:
                self.runs.pop(entry["over"], None)
            elif "started" in entry:
                self.started[entry["started"]] = entry["pid"]
            else:
                self.entries.append(entry)
        if not self.entries and not self.runs:
            self._clear()

    def _clear(self) -> None:
        self.entries = []
        self.known = set()
        self.started = {}
        if self.fd >= 0:
            os.ftruncate(self.fd, 0)
            self._append({"format": VERSION, "root": self.tree.root, "boot": boot_id()})
            for mark, folder in self.runs.items():  # the workload may still run
                self._append({"mark": mark, "folder": folder})

    def _append(self, entry: dict[str, Any]) -> None:
        if self.fd >= 0:
            os.write(self.fd, dumps(entry).encode("ascii") + b"\n")

    def begin(self, mark: str, folder: str) -> None:
        """Notes a run before anything of it is there."""
        self.runs[mark] = folder
        self._append({"mark": mark, "folder": folder})

    def over(self, mark: str) -> None:
        """Forgets a run of which nothing is left, its folder included."""
        remove_folder(self.runs.pop(mark))
        self._append({"over": mark})

    def kdamond(self, state: str, pid: int | None) -> None:
        """Notes whose kdamond a state file is about: None before it is started, its pid afterwards."""
        self.started[state] = pid
        self._append({"started": state, "pid": pid})

    def remember(self, path: str, below: bool) -> None:
        """Notes what a file holds, before it is written; only the first time. Raises Refused if it can't be read."""
        if path in self.known:
            return
        entry: dict[str, Any] = {"path": path, "old": self.tree.read(path)}
        if below:
            entry["below"] = list(self._contents(path))
        self._append(entry)
        self.entries.append(entry)
        self.known.add(path)

    def _contents(self, path: str) -> Iterator[tuple[str, str]]:
        top = path.rpartition("/")[0]
        for below, text in self._patient_tree(top).items():
            file = f"{top}/{below}"
            if text is not None and file != path and file not in self.known:  # noted before its own first write
                yield file, text

    def _patient_tree(self, path: str) -> dict[str, str | None]:
        deadline = time.monotonic() + BUSY_S
        while True:
            try:
                return self.tree.tree(path, "tried_regions")  # results, which nobody could write back
            except Refused as refused:
                if refused.more.get("errno") != "EBUSY" or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def restore(self) -> dict[str, list[Any]]:
        """Puts every file back, the last written first; may be repeated. What is already right is not written."""
        restored: list[str] = []
        problems: dict[str, str] = {}
        foreign = self._foreign()
        for entry in reversed(self.entries):
            for path, old in [(entry["path"], entry["old"]), *entry.get("below", ())]:
                problems.pop(path, None)
                folder = next((folder for folder in foreign if path.startswith(folder)), None)
                problem = self._put(path, old) if folder is None else foreign[folder]
                if problem is None:
                    restored.append(path)
                elif problem:
                    problems[path] = problem
        first: dict[str, str] = {}  # a file may be noted again, after the write that made it anew
        for entry in self.entries:
            for path, old in [(entry["path"], entry["old"]), *entry.get("below", ())]:
                first.setdefault(path, old)
        wrong = {path: self._wrong(path, old) for path, old in first.items()}
        failed = [
            {"path": path, "old": first[path], "error": problems.get(path, "holds something else")}
            for path, is_wrong in wrong.items()
            if is_wrong
        ]
        if not failed:
            self._clear()
        return {
            "restored": restored,
            "gone": sorted(path for path, is_wrong in wrong.items() if is_wrong is None),
            "failed": failed,
        }

    def _wrong(self, path: str, old: str) -> bool | None:
        # Whether a file that can be written holds something else than it should; None: it is not there any more.
        # Read-only files are counters and the like, noted along with their folder: nothing that was set.
        try:
            fd = self.tree.open(path, os.O_PATH)
        except Refused as refused:
            return None if refused.more.get("errno") in ("ENOENT", "ENOTDIR") else True
        mode = os.fstat(fd).st_mode
        os.close(fd)
        try:
            return bool(mode & 0o222) and self.tree.read(path) != old
        except Refused:
            return True

    def _foreign(self) -> dict[str, str]:
        # Folders of kdamonds where one runs that was not started here -> which: nothing there is ours to change.
        tops = {
            path[: path.index("/kdamonds/") + 10] for path in (e["path"] for e in self.entries) if "/kdamonds/" in path
        }
        found = {}
        for top in tops:
            for state in (f"{top}{name}/state" for name in self._names(top) if name.isdigit()):
                if self._patient_read(state) != "on\n":
                    continue
                pid = int(self._patient_read(state[: -len("state")] + "pid") or -1)
                if state not in self.started or self.started[state] not in (pid, None):
                    found[top] = f"kdamond {pid} of {state} runs and was not started by damoos; end it first"
        return found

    def _names(self, path: str) -> dict[str, str]:
        try:
            return self.tree.names(path.rstrip("/"))
        except Refused:
            return {}

    def _patient_read(self, path: str) -> str:
        deadline = time.monotonic() + BUSY_S
        while True:
            try:
                return self.tree.read(path)
            except Refused as refused:
                if refused.more.get("errno") != "EBUSY" or time.monotonic() > deadline:
                    return ""
                time.sleep(0.01)

    def _put(self, path: str, old: str) -> str | None:
        # None: written; "": it was right or is gone; else why it could not be written.
        deadline = time.monotonic() + BUSY_S
        while True:
            try:
                if self.tree.read(path) == old:
                    return ""
                if self.started and path.endswith("/nr_kdamonds") and is_old_kernel():
                    time.sleep(COMMAND_LOOKS_S)
                self.tree.write(path, chosen(old))
                return None
            except Refused as refused:
                name = refused.more.get("errno")
                if name == "EBUSY" and time.monotonic() < deadline:
                    time.sleep(0.01)
                    continue
                return "" if name in ("ENOENT", "ENOTDIR") else str(refused)

    def close(self) -> None:
        """Removes the file unless something in it is still to be undone."""
        if self.fd >= 0:
            if not self.entries and self.path is not None:
                os.unlink(self.path)
            os.close(self.fd)
            self.fd = -1


def is_old_kernel() -> bool:
    """Whether the kernel is older than 6.15."""
    words = os.uname().release.split(".")
    return tuple(int(word) for word in words[:2] if word.isdigit()) < (6, 15)


def marked(marks: list[str]) -> list[int]:
    """The pids of live processes that were started under one of the marks, wherever they went since."""
    wanted = [f"{MARK}={mark}".encode() for mark in marks]
    found = []
    for name in os.listdir("/proc") if wanted else []:
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    settings = file.read().split(b"\0")
            except OSError:
                continue
            if any(mark in settings for mark in wanted):
                found.append(int(name))
    return found


def kill_marked(marks: list[str], patience_s: float = 5.0) -> int:
    """Kills all that `marked` finds and all that this process has adopted, until none is left or time is up; how many.

    Only when no child of its own runs any more: each child is then one that a workload left.
    """
    killed: set[int] = set()
    deadline = time.monotonic() + patience_s
    while True:
        reap_all()
        pids = marked(marks) + children(os.getpid())
        if not pids or time.monotonic() > deadline:
            return len(killed)
        for pid in pids:
            kill(pid, signal.SIGKILL)
        killed.update(pids)
        time.sleep(0.005)


def reap_all() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def remove_folder(path: str) -> None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        for name in os.listdir(fd):
            os.unlink(name, dir_fd=fd)
        os.rmdir(path)
    except OSError:
        pass  # somebody keeps something there
    finally:
        os.close(fd)


class Workload:
    """One program in a session of its own, started by `start` of the protocol."""

    def __init__(self, request: dict[str, Any], journal: Journal) -> None:
        argv = request.get("argv")
        if not argv or not isinstance(argv, list) or not all(isinstance(part, str) for part in argv):
            raise Refused("argv is not a list of strings", value=argv)
        self.hold = request.get("hold")
        if self.hold not in (None, "exec", "sync"):
            raise Refused("unknown kind of hold", field="hold", value=self.hold)
        self.grace_s = float(request.get("grace_s", DEFAULT_GRACE_S))
        self.account = account(request.get("user"))
        self.mark = os.urandom(12).hex()
        env = {k: v for k, v in os.environ.items() if not k.startswith(("SUDO_", "DAMOOS_"))}
        if self.account is not None:
            env.update(HOME=self.account.pw_dir, USER=self.account.pw_name, LOGNAME=self.account.pw_name)
        env.update(request.get("env") or {})
        env[MARK] = self.mark
        self.timeout_s = None if request.get("timeout_s") is None else float(request["timeout_s"])
        self.journal = journal
        self.folder = os.path.join(os.environ.get("TMPDIR") or "/tmp", f"damoos-{self.mark}")
        self.at_end: list[Any] = []
        self.gate = self.lines = self.report = -1
        self.pending = b""
        self.over_s: float | None = None  # when it had done what it is for
        self.may_go = True
        self.timed_out = self.failed = False
        self.kill_at: float | None = None
        self.ended: dict[str, Any] | None = None
        journal.begin(self.mark, self.folder)
        try:
            self.output = self._make_folder(request.get("files") or {})
            argv = [part.replace("{run}", self.folder).replace("{python}", sys.executable) for part in argv]
            self.pid = self._spawn(argv, request.get("cwd"), env)
        except BaseException:
            journal.over(self.mark)
            raise
        self.begin(None if self.hold else self.timeout_s)

    def begin(self, timeout_s: float | None) -> None:
        """Counts time from now on."""
        self.started = time.monotonic()
        self.deadline = None if timeout_s is None else self.started + timeout_s

    def _make_folder(self, files: dict[str, str]) -> int:
        # Not the workload's own, so that it can't make these files something else; only its output is for no one else.
        try:
            os.mkdir(self.folder, 0o700)
            for name, data in files.items():
                if "/" in name or name in ("", ".", "..", "output"):
                    raise Refused("not a file's name", field="files", value=name)
                fd = os.open(f"{self.folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with open(fd, "wb") as file:
                    file.write(binascii.a2b_base64(data))
                os.chmod(f"{self.folder}/{name}", 0o644)
            os.chmod(self.folder, 0o755)
            return os.open(f"{self.folder}/output", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        except OSError as error:
            raise Refused.of(error, path=self.folder) from None

    def _spawn(self, argv: list[str], cwd: str | None, env: dict[str, str]) -> int:
        result, report = os.pipe()
        gate = os.pipe() if self.hold else (-1, -1)
        lines = os.pipe() if self.hold == "sync" else (-1, -1)
        agent = os.getpid()
        pid = os.fork()
        if pid == 0:
            step = "start"
            try:
                os.setsid()
                if self.account is not None:
                    step = "user"
                    os.initgroups(self.account.pw_name, self.account.pw_gid)
                    os.setgid(self.account.pw_gid)
                    os.setuid(self.account.pw_uid)
                prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # after setuid, which clears it
                if os.getppid() != agent:
                    os._exit(127)
                step = "cwd"
                if cwd is not None:
                    os.chdir(cwd)
                step = "argv"
                os.dup2(gate[0] if self.hold == "sync" else os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(lines[1] if self.hold == "sync" else self.output, 1)
                os.dup2(self.output, 2)
                for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    signal.signal(number, signal.SIG_DFL)
                if self.hold == "exec":
                    os.write(report, b"\n")
                    if not os.read(gate[0], 1):
                        os._exit(127)
                os.execvpe(argv[0], argv, env)
            except BaseException as error:
                code = error.errno if isinstance(error, OSError) else None
                os.write(report, dumps([step, code, str(error)]).encode("ascii"))
            finally:
                os._exit(127)
        for fd in (report, gate[0], lines[1]):
            if fd >= 0:
                os.close(fd)
        self.pid, self.argv, self.cwd = pid, argv, cwd
        self.gate, self.lines, self.report = gate[1], lines[0], result
        if self.lines >= 0:
            os.set_blocking(self.lines, False)
        self.may_go = self.hold is None
        if self.hold == "exec" and os.read(result, 1) == b"\n":
            return pid
        self._check_report(b"" if self.hold != "exec" else b"[")
        return pid

    def _check_report(self, text: bytes) -> None:
        # Waits until the child has become the program. Raises Refused if it could not.
        with open(self.report, "rb") as file:
            text += file.read()
        self.report = -1
        if len(text) > 1:
            if not self.may_go or self.hold is None:  # else it is the main thread's to reap
                os.waitpid(self.pid, 0)
            self.failed = True
            step, code, problem = loads(text.decode("ascii"))
            value = {"argv": self.argv[0], "cwd": self.cwd}.get(step)
            if code is not None:
                raise Refused.of(OSError(code, os.strerror(code)), field=step, value=value)
            raise Refused(problem, field=step, value=value)

    def go(self) -> None:
        """Opens the gate of a held workload. Raises Refused if it can't become its program."""
        if self.may_go:
            raise Refused("the workload is not held", value=self.pid)
        self.may_go = True
        self.open_gate()
        if self.hold == "exec":
            self._check_report(b"")

    def open_gate(self) -> None:
        """One more byte for the workload that waits at its input, or before it is a program."""
        if self.gate >= 0:
            try:
                os.write(self.gate, b"\n")
            except OSError:
                pass  # it has ended

    def read_lines(self) -> list[str]:
        """The complete lines that a "sync" workload has printed since the last call; also kept in its output."""
        try:
            data = os.read(self.lines, 65536)
        except BlockingIOError:
            return []
        if not data:
            os.close(self.lines)
            self.lines = -1
        os.write(self.output, data)
        *lines, self.pending = (self.pending + data).split(b"\n")
        if any(line.startswith(DONE) for line in lines) and self.over_s is None:
            self.over_s = time.monotonic() - self.started
        return [line.decode("utf-8", "replace") for line in lines]

    def close(self) -> None:
        """Forgets it, with its folder."""
        for fd in (self.gate, self.lines, self.output):
            if fd >= 0:
                os.close(fd)
        self.gate = self.lines = self.output = -1
        self.journal.over(self.mark)

    def signal(self, number: int) -> None:
        if self.ended is None:
            try:
                os.killpg(self.pid, number)
            except (ProcessLookupError, PermissionError):
                pass

    def stop(self) -> None:
        """Asks it to end; after the grace time `tick` kills it."""
        if self.ended is None and self.kill_at is None:
            self.kill_at = time.monotonic() + self.grace_s
            self.signal(signal.SIGTERM)

    def tick(self, now: float) -> None:
        if self.deadline is not None and now >= self.deadline and self.ended is None and not self.timed_out:
            self.timed_out = True
            self.stop()
        if self.kill_at is not None and now >= self.kill_at:
            self.kill_at = now + 0.5
            self.signal(signal.SIGKILL)

    def next_tick(self) -> float | None:
        if self.ended is not None:
            return None
        return self.kill_at if self.kill_at is not None else None if self.timed_out else self.deadline

    def is_over(self) -> bool:
        """Whether it has done what it is for; its process is still there, if only as a zombie."""
        if self.over_s is None and self.ended is None:
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                self.over_s = time.monotonic() - self.started
        return self.over_s is not None

    def reap(self) -> bool:
        """Collects ended children, adopted ones too; True when the program itself has just ended."""
        just = False
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return just
            if pid == 0:
                return just
            if pid == self.pid:
                just = True
                self.ended = {
                    "status": os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status),
                    "runtime_s": time.monotonic() - self.started if self.over_s is None else self.over_s,
                    "timed_out": self.timed_out,
                    "max_rss_bytes": usage.ru_maxrss * 1024,
                    "user_s": usage.ru_utime,
                    "system_s": usage.ru_stime,
                }

    def read_output(self, offset: int, limit: int) -> dict[str, Any]:
        data = os.pread(self.output, min(limit, LINE_MAX // 8), offset)
        end = os.fstat(self.output).st_size
        return {"text": data.decode("utf-8", "replace"), "next": offset + len(data), "end": end}


def account(user: str | None) -> pwd.struct_passwd | None:
    """Whose rights the workload gets; None: the agent's own, when it has no others to give."""
    if os.geteuid() != 0:
        if user is not None and pwd.getpwuid(os.geteuid()).pw_name != user:
            raise Refused("only root starts programs as somebody else", field="user", value=user)
        return None
    user = user or os.environ.get("SUDO_USER")
    if not user:
        raise Refused(
            "say as which user the program shall run; root is possible, but only when asked for", field="user"
        )
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise Refused("no such user", field="user", value=user) from None


class Counters:
    """Files of /proc and cgroups, kept open and read again from their start: a third of the cost of opening them."""

    def __init__(self) -> None:
        self.fds: dict[str, int] = {}

    def read(self, path: str) -> bytes:
        """The file's text; empty if it is not there, or no longer."""
        try:
            fd = self.fds.get(path)
            if fd is None:
                fd = self.fds[path] = os.open(path, os.O_RDONLY)
            return os.pread(fd, 65536, 0)
        except OSError:
            self.forget(path)
            return b""

    def forget(self, path: str) -> None:
        fd = self.fds.pop(path, None)
        if fd is not None:
            os.close(fd)


def number_after(text: bytes, key: bytes) -> int | None:
    """The whole number that follows `key` in a table such as /proc/vmstat; None if there is none."""
    at = text.find(key)
    if at < 0:
        return None
    words = text[at + len(key) : at + len(key) + 40].split(None, 1)
    return int(words[0]) if words and words[0].isdigit() else None


class Sampler:
    """Takes the samples that `sample` of the protocol describes."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.every_s = 0.0
        self.next = 0.0
        self.root: int | None = None
        self.rollup = self.system = False
        self.kdamonds: list[int] = []
        self.cgroup: str | None = None
        self.since = time.monotonic()
        self.pids: list[int] = []
        self.last_pid = b""

    def configure(self, request: dict[str, Any], workload: Workload | None) -> None:
        memory = request.get("memory", "status")
        if memory not in ("status", "rollup", "system"):
            raise Refused("unknown kind of memory", field="memory", value=memory)
        self.rollup, self.system = memory == "rollup", memory == "system"
        self.root = request.get("pid")
        self.kdamonds = [int(pid) for pid in request.get("kdamonds") or ()]
        self.cgroup = request.get("cgroup")
        self.every_s = max(float(request.get("every_s") or 0.0), 0.0)
        self.next = time.monotonic() + self.every_s
        self.last_pid = b""

    def due(self, now: float) -> bool:
        if not self.every_s or now < self.next:
            return False
        self.next += self.every_s * (1 + (now - self.next) // self.every_s)  # what was missed is not made up for
        return True

    def take(self, workload: Workload | None) -> dict[str, Any]:
        sample: dict[str, Any] = {"t_s": time.monotonic() - self.since}
        root = self.root or (workload.pid if workload is not None and workload.ended is None else None)
        if self.system:
            self._memory(sample)
        else:
            self._processes(root, sample)
        text = self.counters.read("/proc/vmstat")
        vm = {name: number_after(text, f"\n{name} ".encode()) for name in ("pswpin", "pswpout", "pgmajfault")}
        sample["vm"] = {name: value for name, value in vm.items() if value is not None}
        psi = pressure(self.counters.read("/proc/pressure/memory"))
        if psi:
            sample["psi"] = psi
        if self.kdamonds:
            sample["kdamonds"] = {
                str(pid): cpu for pid in self.kdamonds for cpu in [self._cpu_s(pid)] if cpu is not None
            }
        if self.cgroup is not None:
            sample["cgroup"] = self._group(self.cgroup)
        sample["agent_cpu_s"] = time.process_time()
        return sample

    def _processes(self, root: int | None, sample: dict[str, Any]) -> None:
        # The tree changes only after somebody forked, which the number of the last pid tells.
        last_pid = self.counters.read("/proc/loadavg").rpartition(b" ")[2]
        if last_pid != self.last_pid or root is None or root not in self.pids:
            self.last_pid = last_pid
            now = self._tree(root)
            for pid in set(self.pids) - set(now):
                for name in ("status", "smaps_rollup", "stat"):
                    self.counters.forget(f"/proc/{pid}/{name}")
            self.pids = now
        rss = swap = pss = faults = alive = 0
        for pid in self.pids:
            text = self.counters.read(f"/proc/{pid}/{'smaps_rollup' if self.rollup else 'status'}")
            resident = number_after(text, b"\nRss:" if self.rollup else b"\nVmRSS:")
            if resident is None:
                continue  # ended, or a zombie
            alive += 1
            rss += resident
            swap += number_after(text, b"\nSwap:" if self.rollup else b"\nVmSwap:") or 0
            pss += number_after(text, b"\nPss:") or 0
            # after the name: state, ppid, pgrp, session, tty, tpgid, flags, minflt, cminflt, majflt, cmajflt
            fields = self.counters.read(f"/proc/{pid}/stat").rpartition(b")")[2].split(None, 11)
            faults += int(fields[9]) + int(fields[10]) if len(fields) > 10 else 0
        sample.update(processes=alive, rss_bytes=rss * 1024, swap_bytes=swap * 1024, major_faults=faults)
        if self.rollup:
            sample["pss_bytes"] = pss * 1024

    def _memory(self, sample: dict[str, Any]) -> None:
        text = b"\n" + self.counters.read("/proc/meminfo")
        total, free, swap, swap_free = (
            number_after(text, f"\n{name}:".encode()) or 0
            for name in ("MemTotal", "MemAvailable", "SwapTotal", "SwapFree")
        )
        faults = number_after(self.counters.read("/proc/vmstat"), b"\npgmajfault ") or 0
        sample.update(rss_bytes=(total - free) * 1024, swap_bytes=(swap - swap_free) * 1024, major_faults=faults)

    def _tree(self, root: int | None) -> list[int]:
        # Descendants, and what lost its parent and came to this process as their reaper.
        found = [] if root is None else [root]
        if self.root is None:
            found += [pid for pid in children(os.getpid()) if pid != root]
        for pid in found:
            found.extend(child for child in children(pid) if child not in found)
        return found

    def _cpu_s(self, pid: int) -> float | None:
        words = self.counters.read(f"/proc/{pid}/schedstat").split()
        if words:
            return int(words[0]) / 1e9
        fields = self.counters.read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if len(fields) > 12 else None

    def _group(self, folder: str) -> dict[str, Any]:
        read = self.counters.read
        values: dict[str, Any] = {
            "memory_bytes": number_after(read(folder + "/memory.current"), b""),
            "swap_bytes": number_after(read(folder + "/memory.swap.current"), b""),
            "major_faults": number_after(b"\n" + read(folder + "/memory.stat"), b"\npgmajfault "),
            "cpu_us": number_after(b"\n" + read(folder + "/cpu.stat"), b"\nusage_usec "),
            "psi": pressure(read(folder + "/memory.pressure")) or None,
        }
        return {name: value for name, value in values.items() if value is not None}


def pressure(text: bytes) -> dict[str, int]:
    """The totals, µs, of a pressure file."""
    totals = {}
    for line in text.splitlines():
        total = number_after(line, b"total=")
        if total is not None:
            totals[line.split(None, 1)[0].decode() + "_us"] = total
    return totals


def fetch(host: str, port: int, path: str) -> str:
    """What a server on this machine answers to a GET, as text. Raises Refused."""
    import socket  # half a MiB that few need

    if not (host == "::1" or host.startswith("127.")) or not path.startswith("/") or set(path) & set(" \r\n"):
        raise Refused("not a URL of this machine", value=f"http://{host}:{port}{path}")
    try:
        with socket.create_connection((host, port), FETCH_S) as link:
            # in the old protocol, so that the answer comes in one piece and ends with the connection
            link.sendall(f"GET {path} HTTP/1.0\r\nHost: {host}\r\nAccept: */*\r\n\r\n".encode("ascii"))
            answer = b""
            while len(answer) < FILE_MAX:
                piece = link.recv(65536)
                if not piece:
                    break
                answer += piece
    except OSError as error:
        raise Refused.of(error, value=f"http://{host}:{port}{path}") from None
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(None, 2)
    if len(words) < 2 or words[1] != b"200":
        raise Refused("the server answers " + head[:80].decode("ascii", "replace").split("\r")[0], value=path)
    return body.decode("utf-8", "replace")


def children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found.extend(int(word) for word in file.read().split())
    except OSError:
        pass  # it ended meanwhile
    return found


class Agent:
    """The loop between the two pipes, the workload and the clock."""

    def __init__(self, tree: Tree, journal: Journal, recovered: dict[str, Any], silence_s: float | None) -> None:
        self.tree = tree
        self.journal = journal
        self.recovered = recovered
        self.silence_s = silence_s
        self.heard = time.monotonic()
        self.workload: Workload | None = None
        self.sampler = Sampler()
        self.parent = os.getppid()
        self.told: str | None = None  # why the agent has to go
        self.stop_ids: list[Any] = []
        self.waiting: list[dict[str, Any]] = []  # requests `until`
        self.at_end: tuple[float, list[dict[str, Any]] | None] | None = None  # deadline, replies
        self.hold_until = 0.0
        self.requests: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self.replies: deque[dict[str, Any]] = deque()
        self.files_lock = allocate_lock()
        self.closing = False
        self.last_sample: dict[str, Any] | None = None
        self.wake_in, self.wake_out = os.pipe()
        os.set_blocking(self.wake_in, False)
        os.set_blocking(self.wake_out, False)

    def serve(self) -> int:
        """Serves until it has to go; undoes everything; the exit code."""
        signal.set_wakeup_fd(self.wake_out, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        if not SLIM:
            prctl(PR_SET_CHILD_SUBREAPER, 1)
        start_new_thread(self._serve_files, ())
        end: dict[str, Any] | None = None
        try:
            end = self._loop()
        except Lost:
            pass
        finally:
            report = self._undo()
        if end is not None:
            try:
                self.told = None
                self._send({"id": end.get("id"), "ok": not report["failed"], **report})
            except Lost:
                pass
        return 1 if report["failed"] else 0

    def _on_signal(self, number: int, frame: Any) -> None:
        self.told = f"signal {number}"

    def _loop(self) -> dict[str, Any]:
        poll = select.poll()
        poll.register(0, select.POLLIN)
        poll.register(self.wake_in, select.POLLIN)
        pending = b""
        while True:
            printed = -1 if self.workload is None else self.workload.lines
            if printed >= 0:
                poll.register(printed, select.POLLIN)
            ready = dict(poll.poll(self._patience_ms()))
            if printed >= 0:
                poll.unregister(printed)
            if 0 in ready:
                self.heard = time.monotonic()
            self._check()
            if self.wake_in in ready:
                os.read(self.wake_in, 4096)
            while self.replies:
                self._send(self.replies.popleft())
            if printed in ready and self.workload is not None:
                for text in self.workload.read_lines():
                    self._send({"event": "line", "t_s": time.monotonic() - self.workload.started, "text": text})
            self._tend()
            if 0 in ready:
                self.hold_until = 0.0
                data = os.read(0, 65536)
                if not data:
                    raise Lost("standard input ended")
                *lines, pending = (pending + data).split(b"\n")
                if len(pending) > LINE_MAX:
                    raise Lost("a line without end")
                for line in lines:
                    request = self._parse(line)
                    if request is not None and request.get("do") == "end":
                        return request
                    if request is not None:
                        self._accept(request)

    def _patience_ms(self) -> float:
        if time.monotonic() < self.hold_until:
            return 0.0
        times = [time.monotonic() + 1.0]  # to notice a dead parent
        if self.sampler.every_s:
            times.append(self.sampler.next)
        times += [self.sampler.since + request["t_s"] for request in self.waiting]
        if self.workload is not None:
            tick = self.workload.next_tick()
            times += [] if tick is None else [tick]
        return max(0.0, (min(times) - time.monotonic()) * 1000)

    def _check(self) -> None:
        if self.told is not None:
            raise Lost(self.told)
        if os.getppid() != self.parent:
            raise Lost("the parent died")
        if self.silence_s is not None and time.monotonic() - self.heard > self.silence_s:
            raise Lost("nothing was heard")

    def _tend(self) -> None:
        now = time.monotonic()
        if self.workload is not None and self.workload.ended is None:
            self.workload.tick(now)
            self._tend_end(self.workload)
        if self.sampler.due(now):
            self._send({"event": "sample", **self.sampler.take(self.workload)})
        for request in self.waiting[:]:
            ended = self.workload is not None and self.workload.ended is not None
            if ended or now - self.sampler.since >= request["t_s"]:
                self.waiting.remove(request)
                sample = self.sampler.take(self.workload)
                self._send({"id": request.get("id"), "ok": True, "ended": ended, "sample": sample})
                if request.get("hold"):
                    self.hold_until = time.monotonic() + HOLD_S

    def _tend_end(self, workload: Workload) -> None:
        # Over, then `at_end` by the other thread while the process is there, then the process may go.
        if self.at_end is None and workload.is_over():
            self.last_sample = self.sampler.take(workload)
            self.at_end = (time.monotonic() + AT_END_S, None if workload.at_end else [])
            if workload.at_end:
                self.requests.put({"do": "at_end", "ops": workload.at_end})
        if self.at_end is not None:
            deadline, replies = self.at_end
            if replies is None and time.monotonic() < deadline:
                return
            workload.open_gate()
        if (self.at_end is not None or workload.kill_at is not None) and workload.reap():
            self._ended(workload)

    def _ended(self, workload: Workload) -> None:
        assert workload.ended is not None
        workload.ended["sample"] = self.last_sample or self.sampler.take(None)
        workload.ended["at_end"] = self.at_end[1] if self.at_end is not None else None
        workload.ended["left"] = kill_marked([workload.mark])
        if not workload.failed:
            self._send({"event": "ended", **workload.ended})
        for number in self.stop_ids:
            self._send({"id": number, "ok": True, "status": workload.ended["status"]})
        self.stop_ids = []

    def _parse(self, line: bytes) -> dict[str, Any] | None:
        try:
            request = loads(line.decode("utf-8"))
            if isinstance(request, dict):
                return request
            problem = "not an object"
        except ValueError as error:
            problem = str(error)
        self._send({"id": None, "ok": False, "error": "not a request: " + problem})
        return None

    def _accept(self, request: dict[str, Any]) -> None:
        do = request.get("do")
        if do in FILE_REQUESTS or do in ("restore", "go"):
            self.requests.put(request)
            return
        served = {
            "hello": self._hello, "start": self._start, "output": self._output, "sample": self._sample,
            "drop": self._drop,
        }  # fmt: skip
        try:
            if do == "stop":
                self._stop(request)
                return
            if do == "ping":
                return
            if do == "until":
                self.waiting.append({**request, "t_s": float(request["t_s"])})
                return
            if do not in served:
                raise Refused("unknown request", value=do)
            self._send({"id": request.get("id"), "ok": True, **served[do](request)})
        except Refused as refused:
            self._send({"id": request.get("id"), **refusal(refused)})
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            self._send({"id": request.get("id"), **refusal(Refused(f"bad request: {error}"))})

    def _hello(self, request: dict[str, Any]) -> dict[str, Any]:
        system = os.uname()
        parts = {
            "children": os.path.exists(f"/proc/self/task/{os.getpid()}/children"),
            "psi": os.path.exists("/proc/pressure/memory"),
            "rollup": os.path.exists("/proc/self/smaps_rollup"),
            "schedstat": os.path.exists("/proc/self/schedstat"),
        }
        return {
            "version": VERSION, "pid": os.getpid(), "uid": os.geteuid(), "python": sys.version.split()[0],
            "kernel": system.release, "machine": system.machine, "page_size": os.sysconf("SC_PAGE_SIZE"),
            "root": self.tree.root, "parts": parts, "recovered": self.recovered,
        }  # fmt: skip

    def _start(self, request: dict[str, Any]) -> dict[str, Any]:
        if self.workload is not None and self.workload.ended is None:
            if not self.workload.failed:
                raise Refused("a workload is running", value=self.workload.pid)
            while not self.workload.reap():
                time.sleep(0.001)
        self._drop(request)
        self.workload = Workload(request, self.journal)
        self.sampler.since = self.workload.started
        return {"pid": self.workload.pid, "mark": self.workload.mark, "folder": self.workload.folder}

    def _drop(self, request: dict[str, Any]) -> dict[str, Any]:
        if self.workload is not None and self.workload.ended is None:
            raise Refused("a workload is running", value=self.workload.pid)
        if self.workload is not None:
            old, self.workload = self.workload, None
            old.close()
        self.at_end, self.last_sample = None, None
        return {}

    def _output(self, request: dict[str, Any]) -> dict[str, Any]:
        if self.workload is None:
            raise Refused("no workload was started")
        return self.workload.read_output(int(request.get("offset", 0)), int(request.get("limit", 65536)))

    def _sample(self, request: dict[str, Any]) -> dict[str, Any]:
        self.sampler.configure(request, self.workload)
        return {"sample": self.sampler.take(self.workload)}

    def _stop(self, request: dict[str, Any]) -> None:
        if self.workload is None or self.workload.ended is not None:
            status = None if self.workload is None or self.workload.ended is None else self.workload.ended["status"]
            self._send({"id": request.get("id"), "ok": True, "status": status})
            return
        self.stop_ids.append(request.get("id"))
        self.workload.stop()

    def _send(self, message: dict[str, Any]) -> None:
        # In pieces that a pipe takes whole once poll says so: this must stay able to notice that it has to go.
        data = dumps(message).encode("ascii") + b"\n"
        poll = select.poll()
        poll.register(1, select.POLLOUT)
        while data:
            if poll.poll(200):
                try:
                    data = data[os.write(1, data[:PIPE_BUF]) :]
                except OSError as error:
                    raise Lost(f"standard output: {error.strerror}") from None
            else:
                self._check()

    def _serve_files(self) -> None:
        while True:
            request = self.requests.get()
            if request is None:
                return
            with self.files_lock:
                reply = {"id": request.get("id"), **self._file(request)}
            if request.get("do") == "at_end":
                self.at_end = (0.0, reply.get("replies", [reply]))
            else:
                self.replies.append(reply)
            try:
                os.write(self.wake_out, b"f")
            except BlockingIOError:
                pass  # full: it is awake

    def _file(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            if self.closing:
                raise Refused("the agent is going")
            if request.get("do") == "restore":
                report = self.journal.restore()
                return {"ok": not report["failed"], **report}
            if request["do"] == "go":
                return self._go(request)
            if request["do"] in ("batch", "at_end"):
                return self._all(request["ops"])
            return {"ok": True, **FILE_REQUESTS[request["do"]](self, request)}
        except Refused as refused:
            return refusal(refused)
        except Exception as error:  # this thread has to go on
            return refusal(Refused(f"bad request: {type(error).__name__}: {error}"))

    def _all(self, requests: list[dict[str, Any]]) -> dict[str, Any]:
        replies: list[dict[str, Any]] = []
        for each in requests:
            if each.get("do") not in FILE_REQUESTS or each["do"] == "batch":
                raise Refused("not a file request", value=each.get("do"))
            replies.append(self._file(each))
            if not replies[-1]["ok"]:
                break
        return {"ok": all(reply["ok"] for reply in replies), "replies": replies}

    def _go(self, request: dict[str, Any]) -> dict[str, Any]:
        workload, ops = self.workload, request.get("ops") or []
        first = workload is None or workload.hold == "sync"
        done = self._all(ops if first else [])
        if not done["ok"]:
            return self._told(done)
        self.sampler.since = time.monotonic()
        if workload is not None:
            workload.at_end = request.get("at_end") or []
            workload.begin(workload.timeout_s)
            self.sampler.since = workload.started
            workload.go()
        self.sampler.next = self.sampler.since + self.sampler.every_s
        return done if first else self._told(self._all(ops))

    def _told(self, done: dict[str, Any]) -> dict[str, Any]:
        # What was wrong with the last of several requests as the whole's own.
        return {**done["replies"][-1], **done} if done["replies"] else done

    def _read(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"value": self.tree.read(request["path"])}

    def _write(self, request: dict[str, Any]) -> dict[str, Any]:
        path, value = "/" + request["path"].lstrip("/"), request["value"]
        on = value == "on" and path.endswith("/state") and "/kdamonds/" in path
        if request.get("keep", True):
            self.journal.remember(path, bool(request.get("below")))
            if on:
                self.journal.kdamond(path, None)
        self.tree.write(path, value)
        if on and request.get("keep", True):
            self.journal.kdamond(path, int(self.tree.read(path[: -len("state")] + "pid")))
        return {}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"names": self.tree.names(request["path"])}

    def _tree(self, request: dict[str, Any]) -> dict[str, Any]:
        files = self.tree.tree(request["path"], request.get("flat"))
        return {"files": {path: text for path, text in files.items() if text is not None}}

    def _table(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"rows": self.tree.table(request["path"], request["names"])}

    def _kind(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"kind": self.tree.kind(request["path"])}

    def _fetch(self, request: dict[str, Any]) -> dict[str, Any]:
        host = request.get("host", "127.0.0.1")
        return {"text": fetch(host, int(request["port"]), request.get("path", "/"))}

    def _batch(self, request: dict[str, Any]) -> dict[str, Any]:
        raise Refused("a batch in a batch")

    def _undo(self) -> dict[str, Any]:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if self.workload is not None:
            self.workload.stop()
        self.closing = True
        self.requests.put(None)
        free = self.files_lock.acquire(timeout=BUSY_S)  # a write that waits for kdamond; then go on without
        report: dict[str, Any] = self.journal.restore()
        if free:
            self.files_lock.release()
        if self.workload is not None:
            self._end_workload(self.workload)
            self.workload.close()
        self.journal.close()
        return report

    def _end_workload(self, workload: Workload) -> None:
        deadline = time.monotonic() + workload.grace_s + BUSY_S  # longer only if even SIGKILL does not end it
        while workload.ended is None and time.monotonic() < deadline:
            workload.open_gate()
            workload.reap()
            workload.tick(time.monotonic())
            time.sleep(0.005)
        kill_marked([workload.mark])


FILE_REQUESTS = {
    "fetch": Agent._fetch,
    "read": Agent._read,
    "write": Agent._write,
    "list": Agent._list,
    "kind": Agent._kind,
    "tree": Agent._tree,
    "table": Agent._table,
    "batch": Agent._batch,
}


def refusal(refused: Refused) -> dict[str, Any]:
    return {"ok": False, "error": str(refused), **refused.more}


def options(arguments: list[str]) -> dict[str, Any]:
    # By hand: argparse alone would double what the agent adds to a bare interpreter.
    found: dict[str, Any] = {"--recover": False, "--journal": None, "--lock": None, "--silence": None, "--root": None}
    words = iter(arguments)
    for word in words:
        if word not in found:
            raise Refused("unknown option", value=word)
        found[word] = True if word == "--recover" else next(words, None)
    if found["--root"] is None or (found["--recover"] and found["--journal"] is None):
        raise Refused("usage: agent.py --root DIR [--lock FILE] [--silence S] [--journal FILE [--recover]]")
    return found


def main(arguments: list[str]) -> int:
    try:
        chosen = options(arguments)
        tree = Tree(chosen["--root"])
        if chosen["--lock"] is not None:
            hold_lock(chosen["--lock"])
        journal = Journal(tree, chosen["--journal"])
    except Refused as refused:
        print(dumps({"event": "refused", **refusal(refused)}), flush=True)
        return 2
    marks = list(journal.runs)
    recovered: dict[str, Any] = {"killed": kill_marked(marks), "restored": [], "gone": [], "failed": []}
    for mark in marks:
        journal.over(mark)
    if journal.entries or marks:
        recovered.update(journal.restore())
    if chosen["--recover"] or recovered["failed"]:
        journal.close()
        print(dumps({"event": "recovered", **recovered}), flush=True)
        return 1 if recovered["failed"] else 0
    return Agent(tree, journal, recovered, chosen["--silence"] and float(chosen["--silence"])).serve()


def slim(source: bytes) -> None:
    """Becomes the same program in a process that has not compiled it nor called prctl: 4 MiB less."""
    import marshal

    prctl(PR_SET_CHILD_SUBREAPER, 1)  # outlives exec
    fd = os.memfd_create("damoos-agent", 0)
    os.write(fd, marshal.dumps(compile(source, "agent.py", "exec")))
    os.lseek(fd, 0, os.SEEK_SET)
    os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", LOADER, str(fd), *sys.argv[1:]])


SLIM = "SLIM" in globals()

if __name__ == "__main__":
    if "--recover" not in sys.argv and hasattr(os, "memfd_create"):
        if "source" in globals():  # of the one who read it from a pipe
            slim(globals()["source"])
        with open(__file__, "rb") as file:
            slim(file.read())
if __name__ == "__main__" or SLIM:
    sys.exit(main(sys.argv[1:]))
