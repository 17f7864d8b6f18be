"""The start of the operator process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

PROGRAM = """
import json, sys
from tunewright_operator import __main__
__main__.release = lambda settings: None
__main__.asyncio = type("", (), {"run": staticmethod(lambda _: len(json.dumps(json.loads(sys.stdin.read()))))})
print(__main__.main(["release-finalizers"]))
"""


def test_an_object_of_the_greatest_depth_that_the_api_server_allows_is_read_and_written():
    text = '{"a":' * 9_990 + "1" + "}" * 9_990
    settings = {f"TUNEWRIGHT_{name}": "x" for name in ("NAMESPACE", "OPERATOR_IMAGE", "TRAINER_IMAGE", "SERVER_IMAGE")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=text,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.splitlines()[-1]) == len(json.dumps({"a": 1})) + 9_989 * len('{"a": }')
