"""Many points decoded at once come to what each comes to alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from damoos import catalogue
from damoos.damon.kdamonds import Kdamonds
from damoos.tune.preset import load_env
from damoos.tune.space import Parameter, Space
from damoos.tune.space_many import Decoder, decode_many, values_of

from .spaces import ACTION, AGE, MIXED, QUOTA, SCHEME, WEIGHT, points

CONDITIONAL = Space((AGE, ACTION, QUOTA, WEIGHT), Kdamonds.of(schemes=[SCHEME]))
STEPPED = Space(
    (Parameter("weight", "w", "schemes[0].quotas.weights.age_permil", "percent", 2.5, 0.5, 10.5, step=0.5),),
    Kdamonds.of(schemes=[SCHEME]),
)


def same(space: Space, many: np.ndarray) -> None:
    for point, row in zip(many, decode_many(space, many), strict=True):
        alone = space.decode(point)
        found = values_of(space, row)
        assert found == alone
        assert [type(value) for value in found.values()] == [type(value) for value in alone.values()]


@given(st.lists(points(MIXED), min_size=1, max_size=4))
@settings(deadline=None)
def test_every_kind_of_parameter(many: list[list[float]]) -> None:
    same(MIXED, np.array(many))


@given(st.lists(points(CONDITIONAL), min_size=1, max_size=4))
@settings(deadline=None)
def test_parameters_that_depend_on_others(many: list[list[float]]) -> None:
    same(CONDITIONAL, np.array(many))


@given(st.lists(points(STEPPED), min_size=1, max_size=4))
@settings(deadline=None)
def test_parameters_with_a_step(many: list[list[float]]) -> None:
    same(STEPPED, np.array(many))


@pytest.mark.parametrize("name", catalogue.names("envs"))
def test_presets_at_random_points_at_corners_and_outside(name: str) -> None:
    space, rng = load_env(name).space, np.random.default_rng(7)
    corners = rng.integers(0, 2, (20, space.dimensions)).astype(float)
    same(space, np.concatenate([rng.random((500, space.dimensions)), corners, corners * 3.0 - 1.0]))


def test_where_rounding_turns_a_point_alone_decides() -> None:
    space = Space((AGE,), MIXED.base)
    # Midway between grid values, so that the last bits of the exponential matter.
    many = np.array([[AGE.coordinate(value)] for value in (100_500, 999_500, 1_005_000, 9_995_000, 10_050_000)])
    same(space, many)


@pytest.mark.parametrize("space", [MIXED, CONDITIONAL], ids=["mixed", "conditional"])
@pytest.mark.parametrize("columns", [[], [0], [1], [2, 3], [0, 1, 2, 3]])
def test_coordinates_that_stay_are_decoded_once(space: Space, columns: list[int]) -> None:
    rng = np.random.default_rng(3)
    columns = [i for i in columns if i < space.dimensions]
    point, coordinates = rng.random(space.dimensions), rng.uniform(-0.1, 1.1, (50, len(columns)))
    many = np.tile(point, (50, 1))
    many[:, columns] = coordinates
    found = Decoder(space, point, columns)(coordinates)
    assert np.array_equal(found, decode_many(space, many), equal_nan=True)
    same(space, many)
