"""What holds for every test: one thread a library, no real DAMON, nothing phoned home."""

import os

import pytest

for _name, _value in {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "DAMOOS_HOST_BACKEND": "off",
}.items():
    os.environ[_name] = _value

# Shipped in the package, so pytest does not explain its assertions unless told.
pytest.register_assert_rewrite("damoos.backend.testing")
