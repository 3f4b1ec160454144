"""The floors of the package: imports go down only, and starting up stays cheap."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import damoos

PACKAGE = Path(damoos.__file__).parent
# Lowest first; the rooms of one line are on one floor and don't import each other.
FLOORS = (
    ("errors",),
    ("units", "catalogue", "files"),
    ("damon",),
    ("workload",),
    ("backend",),
    ("sim", "kernel"),
    ("tune", "ops"),
    ("env", "experiment"),
    ("rl", "report"),
    ("cli",),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
# Registries that name modules of higher floors in strings, to import them when asked by name.
LATE = {"backend/registry.py", "tune/strategies/families.py"}
HEAVY = ("numba", "optuna", "plotly", "ray", "scipy", "stable_baselines3", "torch", "yaml")

MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def room_of(module: str) -> str:
    """`sim` of damoos.sim.regions; empty for the package itself."""
    return (module.split(".") + [""])[1]


def imports(tree: ast.AST, file: str) -> Iterator[tuple[int, str]]:
    """Line and full name of every damoos module that a file imports, at whatever depth."""
    package = ["damoos", *file.split("/")[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.split(".")[0] == "damoos")
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *((node.module or "").split(".") if node.module else [])])
            if module == "damoos":
                yield from ((node.lineno, f"damoos.{alias.name}") for alias in node.names)
            elif module.startswith("damoos."):
                yield node.lineno, module


def named_modules(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of every damoos module that a string names, such as `damoos.sim.backend:open_sim`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = re.fullmatch(r"(damoos(\.\w+)+)(:\w+)?", node.value)
            if found and (PACKAGE / room_of(found[1])).is_dir():
                yield node.lineno, found[1]


def trespasses(file: str, source: str) -> list[str]:
    """What in a file reaches up or sideways."""
    tree = ast.parse(source)
    reached = [*imports(tree, file), *(named_modules(tree) if file not in LATE else ())]
    room = file.split("/")[0].removesuffix(".py")
    wrong = []
    for line, module in sorted(reached):
        other = room_of(module)
        if room == "__init__":
            wrong.append(f"damoos/{file}:{line}: the package itself stays empty, but imports {module}")
        elif other in FLOOR and other != room and FLOOR[other] >= FLOOR[room]:
            wrong.append(f"damoos/{file}:{line}: {room} (floor {FLOOR[room]}) reaches {module} (floor {FLOOR[other]})")
    return wrong


@pytest.mark.parametrize("file", MODULES)
def test_imports_go_down(file: str) -> None:
    room = file.split("/")[0].removesuffix(".py")
    assert room == "__init__" or room in FLOOR, f"{room}: give it a floor in FLOORS"
    assert not trespasses(file, (PACKAGE / file).read_text())


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("damon/x.py", "from damoos.workload.masim import load"),
        ("backend/x.py", "def f():\n    from ..sim import engine"),
        ("sim/x.py", "import damoos.kernel.abi"),
        ("tune/x.py", "from damoos import ops"),
        ("sim/x.py", "MODULE = 'damoos.tune.study:run'"),
        ("__init__.py", "from .errors import DamoosError"),
    ],
)
def test_reaching_up_or_sideways_is_noticed(file: str, source: str) -> None:
    assert len(trespasses(file, source)) == 1


def test_registries_name_modules_that_exist() -> None:
    for file in LATE:
        for line, module in named_modules(ast.parse((PACKAGE / file).read_text())):
            path = PACKAGE.parent / module.replace(".", "/")
            assert path.with_suffix(".py").exists() or path.is_dir(), f"damoos/{file}:{line}: {module}"


@pytest.mark.parametrize("module", ["damoos", "damoos.cli.main"])
def test_starting_up_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.split() == []


@pytest.mark.parametrize("file", MODULES)
def test_public_names_are_sorted_and_exist(file: str) -> None:
    tree = ast.parse((PACKAGE / file).read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            names = ast.literal_eval(node.value)
            assert list(names) == sorted(names)
            bound = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            bound |= {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
            bound |= {
                (alias.asname or alias.name)
                for n in ast.walk(tree)
                if isinstance(n, ast.ImportFrom | ast.Import)
                for alias in n.names
            }
            assert set(names) <= bound
