"""Where a result comes from."""

import pathlib
import subprocess


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
