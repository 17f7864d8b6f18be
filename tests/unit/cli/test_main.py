"""The program as a process: its exit codes, its streams, and what it imports."""

import subprocess
import sys

import pytest

from support.worlds.cli_world import make_key

KEY = make_key("A")


def run(*argv, environment=None):
    command = [sys.executable, "-m", "tunewright_cli", *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_an_unexpected_error_is_printed_without_the_secret_of_a_key(world, capsys):
    def refuse(verb, resource):
        raise ValueError(f"cannot read {KEY}")

    world.cluster.refuse = refuse
    assert world.run("key", "list") == 1
    messages = capsys.readouterr().err
    assert "ValueError: cannot read sk-tw-AAAAAAAAAAAA_***" in messages
    assert KEY not in messages


@pytest.mark.parametrize("argv", [["--help"], ["key", "create", "web", "--dry-run", "--alias", "a", "--env-file", "k"]])
def test_a_command_without_a_cluster_does_not_load_the_client_of_the_api(tmp_path, argv):
    script = (
        "import sys; from tunewright_cli.__main__ import main\n"
        f"try: code = main({argv!r})\n"
        "except SystemExit as error: code = error.code\n"
        "print(sorted({'kubernetes', 'pydantic', 'urllib3'} & sys.modules.keys()), file=sys.stderr)\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "[]"


def test_the_process_ends_with_the_exit_code(tmp_path):
    done = run("key", "list", environment={"KUBECONFIG": str(tmp_path / "none")})
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: no cluster: the kubeconfig {tmp_path / 'none'} cannot be used")
    assert done.stdout == ""
