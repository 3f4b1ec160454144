"""Backends by name: `sim[:MACHINE]`, `vm[:VERSION or NAME]`, `host`, `ssh:USER@HOST`."""

from __future__ import annotations

import importlib
from typing import Any

from damoos.errors import InputError

from .base import Backend

# Named, not imported: backends are floors above this one and are loaded when asked for.
BACKENDS: dict[str, str] = {
    "sim": "damoos.sim.backend:open_sim",
    "vm": "damoos.kernel.backend:open_vm",
    "host": "damoos.kernel.backend:open_host",
    "ssh": "damoos.kernel.backend:open_ssh",
}


def open_backend(spec: str, **options: Any) -> Backend:
    """The backend that `spec` names: `NAME` or `NAME:DETAIL`. Raises InputError if unknown.

    `options` go to it; all take `timing` ("work" or "time"), `pace` (a Pace, instead of timing), `sample_every_s`,
    `trace`, and `outputs`: a folder where what command workloads print is kept (None: thrown away after the run).
    """
    name, _, detail = spec.partition(":")
    if name not in BACKENDS:
        raise InputError("unknown backend", field="backend", value=spec, allowed=", ".join(sorted(BACKENDS)))
    module, _, function = BACKENDS[name].partition(":")
    return getattr(importlib.import_module(module), function)(detail, **options)
