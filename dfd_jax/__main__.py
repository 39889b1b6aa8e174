"""The console command: dfd-jax COMMAND [ARGUMENTS], or python -m dfd_jax COMMAND [ARGUMENTS].

Every command is a module that `python -m` runs as well; here it runs in the same way.
"""

import os
import runpy
import sys

COMMANDS = {
    "train": ("dfd_jax.train", "train a perturber and evaluate it"),
    "evaluate": ("dfd_jax.evaluate", "evaluate a training run again"),
    "protect": ("dfd_jax.protect", "protect photos and videos"),
    "convert": ("converters", "convert a PyTorch checkpoint into a weights file"),
    "zoo": ("dfd_jax.zoo", "list the networks that ship with the package"),
    "train-detector": ("dfd_jax.train_detector", "train a deepfake detector"),
    "train-generator": ("dfd_jax.train_generator", "train a small deepfake generator"),
    "pack": ("dfd_jax.data.pack", "pack photos into ArrayRecord shards"),
}
HELP = "\n".join(
    [
        "usage: dfd-jax COMMAND [ARGUMENTS]",
        "",
        "Protect face photos against deepfakes in one forward pass.",
        "",
        *(f"  {name:<17}{summary}" for name, (_, summary) in COMMANDS.items()),
        "",
        "dfd-jax COMMAND --help shows the arguments of a command.",
    ]
)


def main() -> None:
    """Run the command in `sys.argv`. Exits with its status, or with 2 if there is none such."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        print(HELP)
    elif name == "--version":
        from dfd_jax import __version__

        print(f"dfd-jax {__version__}")
    elif name not in COMMANDS:
        print(f"dfd-jax: unknown command {name!r}; one of {', '.join(COMMANDS)}", file=sys.stderr)
        sys.exit(2)
    else:
        del sys.argv[1]
        if os.getcwd() not in sys.path:  # config files import each other from there
            sys.path.insert(0, os.getcwd())
        runpy.run_module(COMMANDS[name][0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
