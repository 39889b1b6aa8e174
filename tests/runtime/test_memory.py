"""Freed memory is handed out again."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from dfd_jax import memory
if "keep" in sys.argv:
    assert memory.keep_freed()
import jax, jax.numpy as jnp
x = jnp.ones((2048, 2048))
square = jax.jit(lambda x: ((x @ x) @ (x @ x + 1)).sum())
def faults():
    square(x).block_until_ready()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
counts = [faults() for _ in range(6)]  # threads may need more memory once more, by chance
print(min(after - before for before, after in zip(counts, counts[1:])))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the settings are glibc's")
def test_a_program_called_again_takes_no_new_memory():
    def pages(*arguments):
        command = [sys.executable, "-c", PROGRAM, *arguments]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    assert pages() > 4000  # a matrix of 16 MiB has 4096 pages
    assert pages("keep") < 400
