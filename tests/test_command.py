"""The console command: each of its commands is a module that `python -m` runs."""

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from dfd_jax import __main__ as command

ROOT = Path(__file__).parents[1]


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "dfd_jax", *arguments], capture_output=True, text=True, cwd=ROOT
    )


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_lists_every_command(monkeypatch, capsys, arguments):
    monkeypatch.setattr(sys, "argv", ["dfd-jax", *arguments])
    command.main()
    lines = capsys.readouterr().out.splitlines()
    listed = [line.split()[0] for line in lines if line.startswith("  ")]
    assert listed == list(command.COMMANDS)


def test_every_command_is_a_module_that_can_be_run():
    for module, _ in command.COMMANDS.values():
        spec = importlib.util.find_spec(module)
        assert spec is not None
        if spec.submodule_search_locations:
            assert importlib.util.find_spec(f"{module}.__main__")


def test_an_unknown_command_ends_in_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["dfd-jax", "protekt", "a", "b"])
    with pytest.raises(SystemExit, match="2"):
        command.main()
    error = capsys.readouterr().err
    assert error.startswith("dfd-jax: unknown command 'protekt'")
    assert error.count("\n") == 1


def test_a_command_gets_its_arguments_and_its_status_is_passed_on():
    ended = run("protect", "photos")
    assert ended.returncode == 2
    assert "found one path, expected INPUT... OUTPUT" in ended.stderr


def test_a_command_imports_from_the_current_folder_as_python_m_does(tmp_path, monkeypatch, capsys):
    (tmp_path / "neighbour.py").write_text("WORD = 'found'")
    (tmp_path / "probe.py").write_text("import neighbour; print(neighbour.WORD)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(tmp_path))])
    monkeypatch.setattr(sys, "argv", ["dfd-jax", "probe"])
    monkeypatch.setitem(command.COMMANDS, "probe", ("probe", ""))
    command.main()
    assert capsys.readouterr().out == "found\n"


def test_the_flags_of_a_training_are_shown():
    shown = run("train", "--help").stdout
    assert "Train a perturber" in shown
    assert "--config:" in shown
    assert "--workdir:" in shown
    assert "--coordinator:" in shown


def test_the_version_is_the_package_s(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["dfd-jax", "--version"])
    command.main()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert capsys.readouterr().out == f"dfd-jax {project['version']}\n"
    assert project["scripts"] == {"dfd-jax": "dfd_jax.__main__:main"}
