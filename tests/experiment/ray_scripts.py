"""What the tests of Ray run in a process of its own: `python -m tests.experiment.ray_scripts NAME ARGUMENTS`."""

import os
import sys
import time
from pathlib import Path

from damoos.errors import BackendError
from damoos.experiment.engine import HereEngine, PoolEngine
from damoos.experiment.matrix import load_matrix
from damoos.experiment.on_ray import LOCAL, RayEngine
from damoos.experiment.outputs import rows_csv
from damoos.experiment.run import Progress, run_matrix


def lose_a_node(folder: str) -> None:
    """Courses on two nodes, one of which is killed when a third of them is done."""
    from ray.cluster_utils import Cluster

    path = Path(folder)
    matrix = load_matrix(path)
    (path / "here.csv").write_text(rows_csv(run_matrix(matrix, path / "here", HereEngine())))
    (path / "pool.csv").write_text(rows_csv(run_matrix(matrix, path / "pool", PoolEngine(2))))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    other = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    alive = [_alive(cluster)]

    def on_progress(now: Progress) -> None:
        if now.fresh == now.total // 3:
            cluster.remove_node(other, allow_graceful=False)
            alive.append(_alive(cluster))

    courses = run_matrix(matrix, path / "ray", RayEngine(cluster.address, 1), on_progress)
    (path / "ray.csv").write_text(rows_csv(courses))
    print(f"nodes {alive[0]}, then {alive[1]}")
    cluster.shutdown()


def on_kernels(folder: str) -> None:
    """Jobs that need a kernel, on a node that has four CPUs and one kernel."""
    engine = RayEngine(LOCAL, 4, on_kernels=True)
    jobs = [(folder, number) for number in range(6)]
    print(*sorted(number for number, _ in engine.run(_alone, jobs)))
    print("at most", max(beside for _, beside in engine.run(_alone, jobs)))


def raises() -> None:
    """A job that fails on purpose."""
    try:
        list(RayEngine(LOCAL, 1).run(_unlucky, range(5)))
    except BackendError as error:
        print(f"{type(error).__name__}: {error}")


def not_there() -> None:
    """A cluster at an address where there is none."""
    try:
        list(RayEngine("127.0.0.1:1", 1).run(_unlucky, [0]))
    except BackendError as error:
        print(f"{type(error).__name__}: {error}")


def _alive(cluster: object) -> int:
    return len(cluster.list_all_nodes())  # type: ignore[attr-defined]


def _alone(job: tuple[str, int]) -> tuple[int, int]:
    """The job's number, and how many ran beside it, itself included."""
    folder, number = job
    mark = Path(folder) / f"running-{os.getpid()}"
    mark.touch()
    time.sleep(0.1)
    beside = len(list(Path(folder).glob("running-*")))
    mark.unlink()
    return number, beside


def _unlucky(number: int) -> int:
    if number == 3:
        raise BackendError(f"no luck with {number}")
    return number


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
