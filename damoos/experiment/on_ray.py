"""Courses on a Ray cluster: core tasks, one a CPU; those on real kernels one at a time on each node that has one."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from damoos.errors import BackendError, InputError, MissingExtraError

Job = TypeVar("Job")
Done = TypeVar("Done")

LOCAL = "local"
KERNEL = "damoos_kernel"
"""The resource of nodes on whose kernel may be tuned: `ray start --resources '{"damoos_kernel": 1}'`."""
CONNECT_S = 10.0
RETRIES = 10
"""How often a job runs again whose node or worker was lost."""


@dataclass(frozen=True)
class RayEngine:
    """The cluster at `address` ("local": one that is started here, with `processes` CPUs, and ends with the jobs).

    `on_kernels`: jobs run on real kernels, at most one at a time on a node. Raises MissingExtraError without Ray.
    """

    address: str
    processes: int
    on_kernels: bool = False

    @property
    def text(self) -> str:
        """In words."""
        return "on a Ray cluster of this machine" if self.address == LOCAL else f"on the Ray cluster {self.address}"

    def run(self, work: Callable[[Job], Done], jobs: Sequence[Job]) -> Iterator[Done]:
        """See Engine."""
        ray = _ray()
        self._connect(ray)
        try:
            yield from self._as_they_come(ray, work, jobs)
        finally:
            ray.shutdown()

    def _connect(self, ray: Any) -> None:
        host, _, port = self.address.removeprefix("ray://").rpartition(":")
        if host and port.isdigit():
            _check_reachable(self.address, host, int(port))
        local: dict[str, Any] = {"num_cpus": self.processes, "include_dashboard": False, "resources": {KERNEL: 1}}
        where = local if self.address == LOCAL else {"address": self.address}
        try:
            ray.init(**where, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise BackendError(f"no Ray cluster at {self.address}: {reason}") from error
        if self.on_kernels and not ray.cluster_resources().get(KERNEL):
            ray.shutdown()
            raise InputError(
                f"no node of the cluster has the resource {KERNEL}",
                field="--ray",
                value=self.address,
                allowed=f"nodes started with --resources '{{\"{KERNEL}\": 1}}'",
            )

    def _as_they_come(self, ray: Any, work: Callable[[Job], Done], jobs: Sequence[Job]) -> Iterator[Done]:
        needs: dict[str, Any] = {"num_cpus": 0, "resources": {KERNEL: 1}} if self.on_kernels else {"num_cpus": 1}
        remote = ray.remote(work_on).options(max_retries=RETRIES, **needs)
        ahead = 4 * max(int(ray.cluster_resources().get("CPU", 1)), 1)
        waiting, running = list(jobs), list[Any]()
        while waiting or running:
            while waiting and len(running) < ahead:
                running.append(remote.remote(work, waiting.pop(0)))
            done, running = ray.wait(running, num_returns=1)
            try:
                yield ray.get(done[0])
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error
            except ray.exceptions.RayError as error:
                raise BackendError(f"a job was lost {RETRIES} times: {str(error).splitlines()[0]}") from error


def work_on(work: Callable[[Job], Done], job: Job) -> Done:
    """What runs on a node."""
    return work(job)


def _check_reachable(address: str, host: str, port: int) -> None:
    # Ray itself tries for many minutes.
    try:
        socket.create_connection((host, port), CONNECT_S).close()
    except OSError as error:
        raise BackendError(f"no Ray cluster at {address}: {error.strerror or error}") from error


def _ray() -> Any:
    # Read when Ray is imported; a token file in the user's home would be a surprise.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    try:
        import ray
    except ImportError:
        raise MissingExtraError("ray", "sweep") from None
    return ray
