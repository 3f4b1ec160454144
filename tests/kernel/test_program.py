"""What a workload means on a real kernel."""

from __future__ import annotations

from typing import Any, cast

import pytest

from damoos.errors import InputError
from damoos.kernel.program import program_of
from damoos.workload.pace import Pace
from damoos.workload.processes import find_masim


def test_several_processes_are_refused_before_anything_is_asked_of_the_machine() -> None:
    nowhere = cast(Any, None)
    with pytest.raises(InputError, match="hot-beside-cold'; allowed: one masim workload"):
        program_of(find_masim("hot-beside-cold"), nowhere, Pace(), 1)
