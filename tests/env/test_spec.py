"""Ids of the environments, and what their specifications say of machines."""

from typing import Any

import gymnasium
import pytest

import damoos.env
from damoos import catalogue
from damoos.env.register import UNCONTROLLED
from damoos.errors import InputError

WORKLOAD = {"OneShot": "workload", "Tuning": "workloads", "Control": "workloads"}
TIERED = {"tiering": "sim:tiered"}


@pytest.mark.parametrize("preset", catalogue.names("envs"))
@pytest.mark.parametrize("mode", WORKLOAD)
def test_each_preset_is_an_id_of_its_own(mode: str, preset: str) -> None:
    name = f"damoos/{mode}-{preset}-v0"
    arguments: dict[str, Any] = {WORKLOAD[mode]: "zigzag", "backend": TIERED.get(preset, "sim:zram")}
    if mode == "Control" and preset in UNCONTROLLED:
        assert name not in gymnasium.registry
        with pytest.raises(InputError):
            gymnasium.make("damoos/Control-v0", env=preset, **arguments)
        return
    plain = gymnasium.make(f"damoos/{mode}-v0", env=preset, **arguments)
    own = gymnasium.make(name, **arguments)
    assert own.action_space == plain.action_space
    assert own.observation_space == plain.observation_space


@pytest.mark.parametrize("backend", ["sim:zram", "vm:7.3", "host"])
@pytest.mark.parametrize("mode", WORKLOAD)
def test_only_simulated_episodes_are_a_function_of_the_seed(
    monkeypatch: pytest.MonkeyPatch, mode: str, backend: str
) -> None:
    monkeypatch.setenv("DAMOOS_HOST_BACKEND", "off")
    arguments: dict[str, Any] = {WORKLOAD[mode]: "zigzag", "backend": backend}
    real = backend != "sim:zram"
    made = gymnasium.make(f"damoos/{mode}-reclaim-v0", **arguments)
    assert made.spec is not None and made.spec.nondeterministic == real
    assert not gymnasium.spec(f"damoos/{mode}-reclaim-v0").nondeterministic
    if mode != "OneShot":
        many = gymnasium.make_vec(
            f"damoos/{mode}-reclaim-v0", num_envs=2, vectorization_mode="vector_entry_point", **arguments
        )
        assert many.spec is not None and many.spec.nondeterministic == real


def test_one_machine_that_is_real_is_enough() -> None:
    made = gymnasium.make("damoos/Control-v0", workloads="zigzag", backend="sim:zram,vm:7.3")
    assert made.spec is not None and made.spec.nondeterministic


def test_a_name_that_no_id_can_have_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "names", lambda kind: ("reclaim", "my own"))
    damoos.env.register()
    assert not any("my own" in name for name in gymnasium.registry)
