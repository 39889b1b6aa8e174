"""What every command does before its own work, and how it ends when the input is bad."""

import os
import pathlib
import sys
import traceback
from collections.abc import Callable

import jax
from absl import app, flags, logging
from ml_collections import config_flags
from rich.console import Console

from dfd_jax.runtime import memory, processes

flags.disclaim_key_flags()  # --help of a command then shows the flags that are defined here


def run(
    main: Callable[[], None],
    *,
    with_config: bool,
    default: str | None = None,
    distributed: bool = False,
) -> None:
    """Parse the flags and call `main`. Bad input ends in one readable message and exit status 2.

    `with_config` adds --config, which is required if there is no default config file; --workdir is
    there always, and required where there is no config. `distributed` commands may be run by
    several processes together, see processes.py.
    """
    if with_config:
        config_flags.DEFINE_config_file("config", default, "Config file.", lock_config=True)
        if default is None:
            flags.mark_flag_as_required("config")
    usual = "; default: runs/NAME, with the config's name" if with_config else ""
    flags.DEFINE_string("workdir", None, f"Folder of the run{usual}.", required=not with_config)
    if distributed:
        processes.define_flags()
        flags.adopt_module_key_flags(processes)
    app.run(lambda argv: _guarded(main, argv, distributed))


def workdir() -> pathlib.Path:
    """--workdir, or the config's default."""
    return pathlib.Path(flags.FLAGS.workdir or f"runs/{flags.FLAGS.config.name}")


def console() -> Console:
    """Where a command shows what it does; in a log, wide enough for the tables. Of several
    processes only the first shows anything.
    """
    if jax.process_index():
        return Console(quiet=True)
    found = Console()
    return found if found.is_terminal else Console(width=120)


def keep_compiled(folder: pathlib.Path | None = None) -> None:
    """Let later starts reuse what this one compiles. Default: the user's cache folder.

    JAX_COMPILATION_CACHE_DIR, where it is set, wins.
    """
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    base = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    jax.config.update("jax_compilation_cache_dir", str(folder or base / "dfd_jax" / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)  # JAX's default is 1


def _guarded(main: Callable[[], None], argv: list[str], distributed: bool) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {' '.join(argv[1:])}")
    logging.set_verbosity(logging.WARNING)  # checkpoints and data report every detail below that
    keep_compiled()
    memory.keep_freed()
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
