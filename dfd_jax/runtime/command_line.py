"""Start of every command (flags, compilation cache, processes) and its exit on errors."""

import os
import pathlib
import sys
import traceback
from collections.abc import Callable

import jax
from absl import app, flags, logging
from ml_collections import config_flags
from rich.console import Console

from dfd_jax.runtime import processes

flags.disclaim_key_flags()  # --help of a command then shows the flags that are defined here


def run(
    main: Callable[[], None],
    *,
    with_config: bool,
    default: str | None = None,
    distributed: bool = False,
) -> None:
    """Parse the flags and call `main`. On bad input print one message and exit with status 2, on
    failed training with status 1.

    `with_config` adds --config, which is required if there is no default config file. --workdir is
    always there, and required without a config. `distributed` commands can run in several
    processes, see processes.py.
    """
    if with_config:
        config_flags.DEFINE_config_file("config", default, "Config file.", lock_config=True)
        if default is None:
            flags.mark_flag_as_required("config")
    note = ", by default runs/NAME with the config's name" if with_config else ""
    flags.DEFINE_string("workdir", None, f"Folder of the run{note}.", required=not with_config)
    if distributed:
        processes.define_flags()
        flags.adopt_module_key_flags(processes)
    app.run(lambda argv: _guarded(main, argv, distributed))


def workdir() -> pathlib.Path:
    """--workdir, or the config's default."""
    return pathlib.Path(flags.FLAGS.workdir or f"runs/{flags.FLAGS.config.name}")


def console() -> Console:
    """A command's console: silent in all processes but the first; 120 columns in a file."""
    if jax.process_index():
        return Console(quiet=True)
    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=120)


def keep_compiled() -> None:
    """Keep compiled programs for later starts, in the user's cache folder.

    JAX_COMPILATION_CACHE_DIR takes precedence if it is set.
    """
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    base = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    jax.config.update("jax_compilation_cache_dir", str(base / "dfd_jax" / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)  # JAX's default is 1


def _guarded(main: Callable[[], None], argv: list[str], distributed: bool) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {' '.join(argv[1:])}")
    logging.set_verbosity(logging.WARNING)  # orbax and grain log every detail below that
    keep_compiled()
    try:
        if distributed:
            processes.join()
        main()
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        processes.fail(2)
    except RuntimeError as error:
        print(f"failed: {error}", file=sys.stderr)
        processes.fail(1)
    except (Exception, KeyboardInterrupt):
        if jax.distributed.is_initialized():
            traceback.print_exc()
            processes.fail(1)
        raise
