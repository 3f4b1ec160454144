from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from damoos.backend.registry import BACKENDS
from damoos.tune.request import StudyRequest

from . import fake


@pytest.fixture(autouse=True)
def fake_backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(BACKENDS, "fake", "tests.tune.fake:open_fake")
    yield


@pytest.fixture
def workload(tmp_path: Path) -> Path:
    path = tmp_path / "toy.cfg"
    path.write_text(fake.WORKLOAD)
    return path


@pytest.fixture
def request_of(tmp_path: Path, workload: Path) -> Callable[..., StudyRequest]:
    """A request on the toy backend; keyword arguments change it."""

    def make(**changes: Any) -> StudyRequest:
        values: dict[str, Any] = {
            "workload": str(workload),
            "study": tmp_path / "study.journal",
            "backend": "fake",
            "trials": 14,
            "repeats": 2,
        }
        return StudyRequest(**(values | changes))

    return make
