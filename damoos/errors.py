"""The errors of damoos.

DamoosError                 anything that damoos itself reports; never a traceback on the command line
├── InputError              what the user gave is wrong: file, line, field, value, what is allowed (exit code 2)
│   ├── UnitError           a quantity that can't be read ("5 sec")
│   ├── ConfigError         a workload, env, machine or kdamonds file
│   └── KdamondsError       values that the kernel would refuse
├── BackendError            a backend could not do what it was asked (exit code 1)
│   ├── SetUpError          a run could not be started or was lost; says nothing about its scheme, worth another try
│   ├── WorkloadError       the workload itself failed: exit code, timeout, no metric in its output
│   ├── HostError           a file of the tuned machine could not be read or written: path, value, errno
│   └── DamonInUseError     somebody else uses DAMON there; says who and how to free it (exit code 2)
├── StudyError              a study file that can't be continued (exit code 2)
└── MissingExtraError       an optional package is not installed (exit code 1)
"""

from __future__ import annotations

from pathlib import Path
from typing import Self


class DamoosError(Exception):
    """Anything that damoos reports on purpose. `exit_code` is what the command line ends with."""

    exit_code = 1


class InputError(DamoosError):
    """What the user gave is wrong; the message names the place, the value and what is allowed."""

    exit_code = 2

    def __init__(
        self,
        problem: str,
        *,
        file: str | Path | None = None,
        line: int | None = None,
        field: str | None = None,
        value: object = None,
        allowed: str | None = None,
    ) -> None:
        self.problem = problem
        self.file = None if file is None else str(file)
        self.line = line
        self.field = field
        self.value = value
        self.allowed = allowed
        place = ":".join(str(x) for x in (self.file, line) if x is not None)
        text = problem if field is None else f"{field}: {problem}"
        if value is not None:
            text += f", got {value!r}"
        if allowed is not None:
            text += f"; allowed: {allowed}"
        super().__init__(f"{place}: {text}" if place else text)

    def at(self, *, file: str | Path | None = None, line: int | None = None, field: str | None = None) -> InputError:
        """The same error with the place filled in where it was unknown; `field` becomes a prefix of the field."""
        joined = ".".join(x for x in (field, self.field) if x) or None
        return type(self)(
            self.problem,
            file=self.file if self.file is not None else file,
            line=self.line if self.line is not None else line,
            field=joined,
            value=self.value,
            allowed=self.allowed,
        )


class UnitError(InputError):
    """A quantity that can't be read."""


class ConfigError(InputError):
    """A workload, env, machine or kdamonds file that can't be used."""


class KdamondsError(InputError):
    """Values that the kernel would refuse; `errno`: with what, such as "-EINVAL", where that is known."""

    errno: str | None = None

    def answered(self, errno: str) -> Self:
        """The same error with the kernel's answer, unless it has one."""
        self.errno = self.errno or errno
        return self

    def at(self, *, file: str | Path | None = None, line: int | None = None, field: str | None = None) -> InputError:
        """As `InputError.at`."""
        placed = super().at(file=file, line=line, field=field)
        return placed if self.errno is None or not isinstance(placed, KdamondsError) else placed.answered(self.errno)

    def __str__(self) -> str:
        text = super().__str__()
        return text if self.errno is None else f"{text} (Linux: {self.errno})"


class BackendError(DamoosError):
    """A backend could not do what it was asked."""


class SetUpError(BackendError):
    """A run could not be started, or its machine was lost meanwhile: nothing about the scheme, worth another try."""


class WorkloadError(BackendError):
    """The workload ran and failed: exit code, signal, timeout, or no metric where it should be."""


class HostError(BackendError):
    """A file of the tuned machine could not be read or written.

    `path` as that machine names it, `value` what was to be written (None while reading), `errno` the system's number
    (`errno.EBUSY`, …), 0 where there is none.
    """

    def __init__(self, path: str, errno: int, reason: str, *, value: str | None = None) -> None:
        self.path, self.errno, self.reason, self.value = path, errno, reason, value
        asked = f"can't read {path}" if value is None else f"can't write {value!r} to {path}"
        super().__init__(f"{asked}: {reason}")


class DamonInUseError(BackendError):
    """Somebody else uses DAMON on the tuned machine; the message says who, and how to free it."""

    exit_code = 2


class StudyError(DamoosError):
    """A study file that can't be continued as asked."""

    exit_code = 2


class MissingExtraError(DamoosError):
    """An optional package is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; `pip install 'damoos[{extra}]'` brings it")
