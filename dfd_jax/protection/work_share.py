"""Which part of a list of independent files this process does, when several share the list.

The processes need not know of each other: no connection, no order of starting, and one that dies
stops nobody. InputFile k of the whole list is process k mod N's, so a restart finds the same slice.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class WorkShare:
    """Every `count`-th file, from `index` on."""

    index: int = 0
    count: int = 1

    def of(self, files: Sequence[T]) -> list[T]:
        """This process's share of the files."""
        return list(files[self.index :: self.count])


ALL = WorkShare()


def choose(
    processes: int | None, process: int | None, environment: Mapping[str, str] = os.environ
) -> WorkShare:
    """The slice asked for, or the one that the cluster's environment says, or all.

    Slurm says it to every task that `srun` started, a multi-host TPU to its hosts where
    TPU_WORKER_ID and TPU_WORKER_HOSTNAMES are set, as on GKE. ValueError if the numbers do not fit.
    """
    if (processes is None) != (process is None):
        raise ValueError(
            "give both --processes, how many there are, and --process, 0 for the first"
        )
    if processes is None or process is None:
        processes, process = _found(environment)
    if not 0 <= process < processes:
        raise ValueError(
            f"found process {process} of {processes}, expected 0 to {processes - 1}: the first of "
            "N processes is number 0"
        )
    return WorkShare(process, processes)


def _found(environment: Mapping[str, str]) -> tuple[int, int]:
    """How many processes there are, and the number of this one."""
    # not SLURM_NTASKS: the batch script has that too, though srun starts the tasks
    if "SLURM_STEP_NUM_TASKS" in environment and "SLURM_PROCID" in environment:
        return int(environment["SLURM_STEP_NUM_TASKS"]), int(environment["SLURM_PROCID"])
    hosts = environment.get("TPU_WORKER_HOSTNAMES", "").split(",")
    if len(hosts) > 1 and "TPU_WORKER_ID" in environment:
        return len(hosts), int(environment["TPU_WORKER_ID"])
    return 1, 0
