"""What is installed works without the checkout: the wheel, in an environment of its own, from another folder."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an environment with the wheel, which borrows the dependencies of the one that runs the tests."""
    work = tmp_path_factory.mktemp("package")
    # Offline: hatchling is a test requirement, and no dependency is resolved.
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(work), str(CHECKOUT))
    (wheel,) = work.glob("*.whl")
    environment = work / "environment"
    venv.create(environment, with_pip=False, symlinks=True)
    python = environment / "bin/python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        str(wheel),
    )
    # A path in a .pth file does not have its own .pth files read, so an editable damoos stays out.
    site = run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    (Path(site) / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return environment


def run(*command: str, cwd: Path | None = None) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in ("DAMOOS_CATALOGUE", "PYTHONPATH")}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_wheel_holds_the_code_and_the_catalogues(installed: Path, tmp_path: Path) -> None:
    code = "import damoos, pathlib; print(pathlib.Path(damoos.__file__).parent)"
    package = Path(run(str(installed / "bin/python"), "-c", code, cwd=tmp_path).strip())
    assert package.is_relative_to(installed)
    kinds = {"workloads": ".cfg", "envs": ".toml", "machines": ".toml", "training": ".toml"}
    for kind, ending in {**kinds, "policies": ".npz"}.items():
        ours = {path.name for path in (CHECKOUT / kind).rglob(f"*{ending}")}
        assert ours and {path.name for path in (package / "_catalogue" / kind).rglob(f"*{ending}")} == ours
    assert not (package / "tests").exists()


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("--help", "tune"),
        ("workloads list", "zigzag"),
        ("rl list", "control-reclaim"),
        ("strategies show policy:control-reclaim-quota", "Steers each run"),
        pytest.param("run zigzag", "zigzag", marks=pytest.mark.slow),  # compiles the simulator anew
    ],
)
def test_commands_work_from_anywhere(installed: Path, tmp_path: Path, command: str, expected: str) -> None:
    assert expected in run(str(installed / "bin/damoos"), *command.split(), cwd=tmp_path)


def test_a_policy_of_the_wheel_acts_as_that_of_the_checkout(installed: Path, tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np\nsys.modules['torch'] = sys.modules['stable_baselines3'] = None\n"
        "from damoos.rl.policy import load_policy\np = load_policy({!r})\n"
        "seen = np.random.default_rng(0).random((50, p.observations))\n"
        "print(p.actor()(seen, np.zeros(50, bool)).tobytes().hex())"
    )
    for folder in (CHECKOUT / "policies").glob("*/"):
        ours = run(sys.executable, "-c", code.format(str(folder)), cwd=CHECKOUT)
        assert run(str(installed / "bin/python"), "-c", code.format(folder.name), cwd=tmp_path) == ours
