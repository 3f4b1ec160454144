"""How the simulator's kernels are compiled, and where the compiled code is kept.

numba makes every compiled function a library of its own: optimised together with all that it calls, turned into machine
code, and optimised again in each of its callers. Here only the entry point needs machine code, so kernels stay as they
were lowered until the entry point, which contains them all, is optimised once.

numba's cache notices edits of the file that a cached function is in, not of modules that it inlines. Since the
mechanisms of the simulator live in a file each, the cache folder is keyed by a hash of all of them.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from llvmlite.binding import Linkage
from numba import types
from numba.core import typed_passes, untyped_passes
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase
from numba.core.compiler_machinery import PassManager

from .sources import sources_digest

_njit: Any = numba.njit  # its annotations leave out options that it has


def _cache_dir() -> str:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    root = os.environ.get("DAMOOS_CACHE") or str(Path(base) / "damoos")
    return str(Path(root) / "numba" / f"{numba.__version__}-{sources_digest()}")


class _NoEnvironments:
    # Kernels raise nothing and box nothing, so the Python environment of their code is never looked at.
    @staticmethod
    def set_env(name: str, environment: object) -> None:
        pass


class _PartLibrary(JITCodeLibrary):
    """Code that is only linked into other code: not optimised, and without machine code."""

    codegen = _NoEnvironments

    def get_pointer_to_function(self, name: str) -> int:
        return 0

    def _optimize_functions(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout

    def finalize(self) -> None:
        self._finalized = True


class _WholeLibrary(JITCodeLibrary):
    """Code with all that it calls: what was linked in becomes private, so that it is inlined or dropped."""

    def add_linking_library(self, library: Any) -> None:
        if library in self._linking_libraries:
            return
        super().add_linking_library(library)
        if isinstance(library, _PartLibrary):
            for other in library._linking_libraries:
                self.add_linking_library(other)

    def _optimize_functions(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage == Linkage.linkonce_odr:
                function.linkage = Linkage.internal
        # What the third level and vectors outside loops add takes a fifth of the time and makes nothing faster.
        passes, builder = self._codegen._module_pass_manager(opt=2, slp_vectorize=False)
        passes.run(self._final_module, builder)


class _Compiler(CompilerBase):
    library: type[JITCodeLibrary]

    def define_pipelines(self) -> list[Any]:
        state = self.state
        state.library = self.library(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        passes = PassManager("kernel")
        for step in _PASSES:
            passes.add_pass(step, step.__name__)
        passes.finalize()
        return [passes]


def _remembered(resolve: Callable[..., Any]) -> Callable[..., Any]:
    # What numba's operators and builtins are for given types, which it tries out anew each time.
    known: dict[tuple[Any, ...], Any] = {}

    def get_call_type(self: Any, context: Any, args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        key = (self, args, tuple(kws.items()))
        found = known.get(key)
        if found is None:
            found = known[key] = (resolve(self, context, args, kws), self)
        return found[0]

    return get_call_type


class _PartCompiler(_Compiler):
    library = _PartLibrary


class _WholeCompiler(_Compiler):
    library = _WholeLibrary

    def compile_extra(self, function: Any) -> Any:
        # All that is compiled for it is kept until it is done: there is no garbage to look for.
        was_on = gc.isenabled()
        gc.disable()
        builtin: Any = types.Function
        resolve = builtin.get_call_type
        builtin.get_call_type = _remembered(resolve)
        try:
            return super().compile_extra(function)
        finally:
            builtin.get_call_type = resolve
            if was_on:
                gc.enable()


_PASSES = (
    untyped_passes.TranslateByteCode,
    untyped_passes.FixupArgs,
    untyped_passes.IRProcessing,
    untyped_passes.ReconstructSSA,
    typed_passes.NopythonTypeInference,
    typed_passes.PreLowerStripPhis,
    typed_passes.IRLegalization,
    typed_passes.NativeLowering,
    typed_passes.NoPythonBackend,
)
"""numba's passes, but those for what kernels don't use, such as closures, `with` and array expressions."""


# Without reference counts: kernels allocate nothing, and what they look at outlives the call.
_OPTIONS = {"nogil": True, "error_model": "numpy", "_nrt": False, "no_cfunc_wrapper": True}


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a mechanism that is only called from other compiled code; see `callable_kernel` for tests."""
    return _njit(no_cpython_wrapper=True, pipeline_class=_PartCompiler, **_OPTIONS)(function)


def callable_kernel(compiled: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel that Python can call too."""

    def call(*arguments: Any) -> Any:
        return compiled(*arguments)

    return _njit(pipeline_class=_WholeCompiler, **_OPTIONS)(call)


def entry(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles an entry point that Python calls; its machine code, everything inlined, is kept on disk."""
    # numba picks the cache's place when the function is decorated; restored so that other users of numba in this
    # process keep theirs.
    settings: Any = numba.config
    before = settings.CACHE_DIR
    if not before:
        settings.CACHE_DIR = _cache_dir()
    try:
        return _njit(cache=True, pipeline_class=_WholeCompiler, **_OPTIONS)(function)
    finally:
        settings.CACHE_DIR = before
