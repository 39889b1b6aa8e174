"""Where a result comes from."""

import pathlib
import subprocess
import sys


def commit() -> str | None:
    """The git commit of the checkout this code runs from, "-dirty" if changed; None outside one."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=pathlib.Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def command(module: str) -> str:
    """The command without its --workdir; of `module`, where none of ours was started."""
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
