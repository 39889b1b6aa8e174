"""Several processes, one run: join, compile and stop together, disconnect.

On a TPU pod slice or under Slurm every host runs the same command with --distributed. Anywhere
else the command says who is who: --coordinator=HOST:PORT --processes=N --process=0 … N-1.
"""

import os
import sys
from typing import Any

import jax
import numpy as np
from absl import flags
from jax.experimental import multihost_utils

LOST_AFTER = 30  # seconds without a heartbeat before the other processes give up
STOP_CHECK_EVERY = 10  # steps between checks for a stop request, which need a collective
COMPILE_TIMEOUT = 3600  # seconds the fastest process waits for the slowest to compile

JOIN_FLAGS = ("coordinator", "processes", "process")


def define_flags() -> None:
    """The flags that `join` reads."""
    flags.DEFINE_bool(
        "distributed", False, "Run as one of several processes on a cluster that JAX detects."
    )
    flags.DEFINE_string(
        "coordinator", None, "HOST:PORT of process 0, where JAX does not detect the cluster."
    )
    flags.DEFINE_integer("processes", None, "The number of processes.", lower_bound=1)
    flags.DEFINE_integer("process", None, "The index of this process, from 0.", lower_bound=0)


def join() -> None:
    """Connect to the other processes if the flags name any. Call it before JAX uses a device.

    ValueError if the flags contradict each other; RuntimeError if the others do not come.
    """
    given: dict[str, Any] = {name: flags.FLAGS[name].value for name in JOIN_FLAGS}
    coordinator, count, index = given.values()
    missing = [f"--{name}" for name, value in given.items() if value is None]
    if len(missing) == len(JOIN_FLAGS) and not flags.FLAGS.distributed:
        return
    if missing and not flags.FLAGS.distributed:
        raise ValueError(f"several processes need {' and '.join(missing)} too, or --distributed")
    if not missing and index >= count:
        raise ValueError(
            f"found --process={index} of --processes={count}, expected 0 … {count - 1}"
        )
    # progress.stop_on_signals handles SIGTERM and `should_stop` tells the other processes
    jax.config.update("jax_enable_preemption_service", False)
    jax.distributed.initialize(
        coordinator_address=coordinator,
        num_processes=count,
        process_id=index,
        heartbeat_timeout_seconds=LOST_AFTER,
    )


def should_stop(requested: bool, step: int) -> bool:
    """Whether to stop before the next step: true in all processes if `requested` is in any.

    Several processes compare only every STOP_CHECK_EVERY steps, so that all stop at the same one.
    """
    if jax.process_count() == 1:
        return requested
    if step % STOP_CHECK_EVERY:
        return False
    return bool(multihost_utils.process_allgather(np.asarray(requested)).any())


def compile_step(jitted: Any, *arguments: Any) -> Any:
    """The jitted function, compiled for arguments of these shapes and shardings.

    Returns once every process has compiled it: a process that started early would wait in its
    first collective, which times out sooner than a large step compiles.
    """
    compiled = jitted.lower(*arguments).compile()
    if jax.process_count() > 1:
        from orbax.checkpoint import multihost  # slow to import; its barrier is no collective

        multihost.sync_global_processes(
            f"compiled {jitted.__name__}",
            timeout=COMPILE_TIMEOUT,
            processes=set(range(jax.process_count())),
        )
    return compiled


def fail(status: int) -> None:
    """Exit; one of several processes at once, as the others would wait for it to disconnect."""
    if jax.distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def disconnect() -> None:
    """Wait for the other processes and leave them: no collective can follow."""
    if jax.process_count() > 1:
        jax.distributed.shutdown()
