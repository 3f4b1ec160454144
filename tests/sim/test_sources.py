"""Which simulator it is follows from its sources, wherever they lie."""

import importlib.util
import shutil
from pathlib import Path

from damoos.sim import sources
from damoos.sim.jit import _cache_dir

PACKAGE = Path(sources.__file__).parent


def digest_in(folder: Path) -> str:
    spec = importlib.util.spec_from_file_location("sources_there", folder / "sources.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    digest: str = module.sources_digest()
    return digest


def test_any_change_of_any_module_is_another_simulator(tmp_path: Path) -> None:
    there = shutil.copytree(PACKAGE, tmp_path / "sim", ignore=shutil.ignore_patterns("__pycache__"))
    assert digest_in(there) == sources.sources_digest()
    quotas = there / "quotas.py"
    quotas.write_text(quotas.read_text() + "\n")
    changed = digest_in(there)
    assert changed != sources.sources_digest()
    quotas.rename(there / "limits.py")
    assert digest_in(there) not in (changed, sources.sources_digest())


def test_compiled_code_is_kept_under_it() -> None:
    assert Path(_cache_dir()).name.endswith(f"-{sources.sources_digest()}")
