"""The simulator owes what every backend owes, on any machine model and at either pace."""

from damoos.backend.base import Backend
from damoos.backend.registry import open_backend
from damoos.backend.testing import PROCESSES, BackendConformance


class TestZram(BackendConformance):
    def make_backend(self, *, trace: bool = False) -> Backend:
        return open_backend("sim:zram", trace=trace)


class TestZramByTime(BackendConformance):
    def make_backend(self, *, trace: bool = False) -> Backend:
        return open_backend("sim:zram", timing="time", trace=trace)


class TestVmLab(BackendConformance):
    def make_backend(self, *, trace: bool = False) -> Backend:
        return open_backend("sim:vm-lab", trace=trace)


class TestProcesses(BackendConformance):
    workload = PROCESSES

    def make_backend(self, *, trace: bool = False) -> Backend:
        return open_backend("sim:vm-lab", trace=trace)
