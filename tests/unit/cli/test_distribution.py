"""The plugin is a package of its own: what it packs, and that it agrees with the rest of the repository."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[3]
OWN, WHOLE = (tomllib.loads((ROOT / path / "pyproject.toml").read_text())["project"] for path in ("cli", "."))


def test_both_packages_have_the_same_release():
    for field in ("version", "requires-python", "license"):
        assert OWN[field] == WHOLE[field]


def test_versions_of_dependencies_are_those_that_the_checks_install():
    extras = WHOLE["optional-dependencies"]["operator"]
    assert {"kubernetes>=37,<38", *WHOLE["dependencies"]} <= {*extras, *WHOLE["dependencies"]}
    assert {*OWN["dependencies"]} == {"kubernetes>=37,<38", "PyYAML>=6.0.2", *WHOLE["dependencies"]}


def test_the_wheel_runs_alone(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--target", "wheel"]
    subprocess.run([*build, "--directory", tmp_path], cwd=ROOT / "cli", check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    (sdist,) = tmp_path.glob("*.tar.gz")
    assert sdist.name == f"tunewright_cli-{OWN['version']}.tar.gz"
    with zipfile.ZipFile(wheel) as packed:
        (entry,) = (name for name in packed.namelist() if name.endswith("entry_points.txt"))
        assert "kubectl-tunewright = tunewright_cli.__main__:run" in packed.read(entry).decode()
        packed.extractall(tmp_path / "installed")
    # -I ignores the environment of this test; the path of the packages in the checkout is removed.
    script = (
        "import sys\n"
        f"sys.path = [path for path in sys.path if not path.startswith({str(ROOT)!r}) or 'site-packages' in path]\n"
        f"sys.path.insert(0, {str(tmp_path / 'installed')!r})\n"
        "from tunewright_cli import __main__ as program\n"
        "import tunewright_contracts\n"
        "print(tunewright_contracts.__file__)\n"
        "program.main(['key', 'create', 'web', '--dry-run', '--all-aliases', '--env-file', 'key.env'])"
    )
    run = [sys.executable, "-I", "-c", script]
    done = subprocess.run(run, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[0].startswith(str(tmp_path / "installed"))
    assert "kind: ModelClient" in done.stdout
    assert (tmp_path / "key.env").read_text().startswith("OPENAI_API_KEY=sk-tw-")
