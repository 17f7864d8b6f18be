"""Each mutant is tested in a separate process, with a time limit."""

from __future__ import annotations

import os
import subprocess
import sys

CODE = """
import sys
from pathlib import Path
from tunewright_dev.mutants.trial import Trial, run_trials

folder = Path(sys.argv[1])
sources = ["def answer(): return 42", "def answer(): return 41", "while True: pass", "def answer("]
tests = (str(folder / "test_answer.py"),)
limits = [60.0, 60.0, 2.0, 60.0]
trials = [
    Trial("sample.answers", folder / "answers.py", source, tests, limit)
    for source, limit in zip(sources, limits, strict=True)
]
order = []
ends = run_trials(trials, 2, order.append)
assert "sample.answers" not in sys.modules
assert sorted(order, key=id) == sorted(ends, key=id)
print([(end.passed, end.code is None) for end in ends])
"""


def test_the_tests_run_on_the_mutants_source_and_the_file_is_not_read(tmp_path):
    (tmp_path / "test_answer.py").write_text(
        "from sample import answers\n\n\ndef test_answer():\n    assert answers.answer() == 42\n"
    )
    (tmp_path / "conftest.py").write_text(
        "import sys\nfrom pathlib import Path\nfrom hypothesis import settings\n\n"
        "settings.register_profile('mutants')\nsys.path.insert(0, str(Path(__file__).parent))\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "sample").mkdir()
    (tmp_path / "sample" / "__init__.py").write_text("")
    (tmp_path / "sample" / "answers.py").write_text("raise RuntimeError('the file itself was imported')\n")
    command = [sys.executable, "-c", CODE, str(tmp_path)]
    # Compiled modules are written beside their sources.
    elsewhere = {"PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"}
    environment = {name: value for name, value in os.environ.items() if name not in elsewhere}
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "[(True, False), (False, False), (False, True), (False, False)]"
    assert list(tmp_path.rglob("test_answer*.pyc"))
    assert not list(tmp_path.rglob("answers*.pyc"))
