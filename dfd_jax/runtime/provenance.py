"""The commit and command that made a result."""

import pathlib
import subprocess
import sys


def commit() -> str | None:
    """The git commit of this code, with "-dirty" if files are changed; None outside a checkout."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=pathlib.Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()


def command(module: str) -> str:
    """The command line without --workdir. `module` names the command if Python was not started with
    one of this package's.
    """
    started = getattr(getattr(sys.modules["__main__"], "__spec__", None), "name", "")
    module = started if started.startswith("dfd_jax.") else module
    words = iter(sys.argv[1:])
    kept = []
    for word in words:
        if word == "--workdir":
            next(words, None)
        elif not word.startswith("--workdir="):
            kept.append(word)
    return " ".join(["python", "-m", module, *kept])
