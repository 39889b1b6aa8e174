"""How several processes share a list of files.

The processes need no connection and may start in any order; one that dies does not stop the others.
File k of the list belongs to process k mod N, so a restarted process gets the same share.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class WorkShare:
    """The share of process `index` of `count`: every `count`-th file."""

    index: int = 0
    count: int = 1

    def of(self, files: Sequence[T]) -> list[T]:
        """The files of this share."""
        return list(files[self.index :: self.count])


ALL = WorkShare()


def choose(
    processes: int | None, process: int | None, environment: Mapping[str, str] = os.environ
) -> WorkShare:
    """The share given by the arguments, else by the cluster's environment, else all files.

    Slurm sets it for every task that `srun` starts. Hosts of a multi-host TPU have it where
    TPU_WORKER_ID and TPU_WORKER_HOSTNAMES are set, as on GKE. ValueError if the numbers do not fit.
    """
    if (processes is None) != (process is None):
        raise ValueError(
            "give both --processes, how many there are, and --process, 0 for the first"
        )
    if processes is None or process is None:
        processes, process = _from_environment(environment)
    if not 0 <= process < processes:
        raise ValueError(
            f"found process {process} of {processes}, expected 0 to {processes - 1}: the first of "
            "N processes is number 0"
        )
    return WorkShare(process, processes)


def _from_environment(environment: Mapping[str, str]) -> tuple[int, int]:
    """The number of processes, and the index of this one."""
    # not SLURM_NTASKS: the batch script has that too, though srun starts the tasks
    if "SLURM_STEP_NUM_TASKS" in environment and "SLURM_PROCID" in environment:
        return int(environment["SLURM_STEP_NUM_TASKS"]), int(environment["SLURM_PROCID"])
    hosts = environment.get("TPU_WORKER_HOSTNAMES", "").split(",")
    if len(hosts) > 1 and "TPU_WORKER_ID" in environment:
        return len(hosts), int(environment["TPU_WORKER_ID"])
    return 1, 0
