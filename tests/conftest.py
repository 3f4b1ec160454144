"""What holds for every test: one thread a library, no real DAMON, nothing phoned home, in CI the same examples."""

import os

import hypothesis
import pytest

for _name, _value in {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "DAMOOS_HOST_BACKEND": "off",
}.items():
    os.environ[_name] = _value

# A change is judged by what it does, not by the examples of the day; without CI set, hypothesis looks for new ones.
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, database=None)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")

# Shipped in the package, so pytest does not explain its assertions unless told.
pytest.register_assert_rewrite("damoos.backend.testing", "damoos.tune.testing")
