"""Several processes, one run: joining, agreeing when to stop, parting.

On a TPU pod slice or under Slurm every host runs the same command with --distributed. Anywhere
else, say who is who: --coordinator=HOST:PORT --processes=N --process=0 … N-1.
"""

import os
import sys
from typing import Any, TypeVar, cast

import jax
import numpy as np
from absl import flags
from jax.experimental import multihost_utils

LOST_AFTER = 30  # seconds without a sign of life after which the others give up
AGREE_EVERY = 10  # steps
COMPILING = 3600  # seconds that the first may wait for the last

Step = TypeVar("Step", bound=Any)
WHO = ("coordinator", "processes", "process")


def define_flags() -> None:
    """The flags that `join` reads."""
    flags.DEFINE_bool(
        "distributed", False, "One of several processes, on a cluster that JAX knows."
    )
    flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, where JAX knows no cluster.")
    flags.DEFINE_integer("processes", None, "How many processes there are.", lower_bound=1)
    flags.DEFINE_integer("process", None, "Which of them this is, from 0.", lower_bound=0)


def join() -> None:
    """Meet the other processes, if the flags say that there are any. Before JAX meets a device.

    ValueError if the flags do not fit together; RuntimeError if the others do not come.
    """
    given: dict[str, Any] = {name: flags.FLAGS[name].value for name in WHO}
    coordinator, count, index = given.values()
    missing = [f"--{name}" for name, value in given.items() if value is None]
    if len(missing) == len(WHO) and not flags.FLAGS.distributed:
        return
    if missing and not flags.FLAGS.distributed:
        raise ValueError(f"several processes need {' and '.join(missing)} too, or --distributed")
    if not missing and index >= count:
        raise ValueError(
            f"found --process={index} of --processes={count}, expected 0 … {count - 1}"
        )
    # SIGTERM is a request to stop that progress.stop_on_signals hears and `agreed` passes on
    jax.config.update("jax_enable_preemption_service", False)
    jax.distributed.initialize(
        coordinator_address=coordinator,
        num_processes=count,
        process_id=index,
        heartbeat_timeout_seconds=LOST_AFTER,
    )


def agreed(wish: bool, step: int) -> bool:
    """Whether any process wishes to stop. All stop at the same step: they agree every tenth."""
    if jax.process_count() == 1:
        return wish
    if step % AGREE_EVERY:
        return False
    return bool(multihost_utils.process_allgather(np.asarray(wish)).any())


def together(step: Step) -> Step:
    """The jitted step, compiled by all processes before any of them runs it: whoever comes first to
    a collective waits for seconds only.
    """
    if jax.process_count() == 1:
        return step
    compiled: list[Any] = []

    def run(*arguments: Any) -> Any:
        if not compiled:
            compiled.append(step.lower(*arguments).compile())
            _wait(f"compiled {step.__name__}")
        return compiled[0](*arguments)

    return cast(Step, run)


def fail(status: int) -> None:
    """End this process at once if there are others: they would wait for it, and it for them."""
    if jax.distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def disconnect() -> None:
    """Wait for the others, then go on alone: nothing after this can be computed together."""
    if jax.process_count() > 1:
        jax.distributed.shutdown()


def _wait(what: str) -> None:
    """Wait for the others without a collective."""
    from orbax.checkpoint import multihost  # slow to import

    everyone = set(range(jax.process_count()))
    multihost.sync_global_processes(what, timeout=COMPILING, processes=everyone)
