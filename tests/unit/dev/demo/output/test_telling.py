"""The texts in which the demo describes its world."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import subprocess
import threading

from support.worlds.demo_objects import GOOD, NEW, deployment, job
from tunewright_dev.demo.observed.world import EvaluationProgress, World
from tunewright_dev.demo.output import telling


def test_a_job_is_described_by_its_progress_and_scores():
    assert telling.tell_job(None) == "not applied yet"
    assert telling.tell_job({"metadata": {}}) == "Pending"
    progress = {"step": 3, "totalSteps": 40, "trainLoss": "0.51"}
    assert telling.tell_job(job("Training", progress=progress)) == "Training, step 3 of 40, loss 0.51"
    scores = [{"type": "ExactMatch", "base": "0", "tuned": "0.75", "samples": 24}]
    assert "ExactMatch 0 → 0.75 on 24" in telling.tell_job(job("Succeeded", evaluation=scores))
    failed = {"type": "Succeeded", "status": "False", "observedGeneration": 1, "message": "dataset.jsonl: no such key"}
    assert telling.tell_job(job("Failed", conditions=[failed])) == "Failed: dataset.jsonl: no such key"


def test_a_rollout_is_described_by_its_stage():
    assert telling.tell_rollout(deployment()) == "no stable revision yet"
    text = telling.tell_rollout(deployment({"revision": NEW, "step": 0}, stable="support--aaa"))
    assert text == f"{NEW}: evaluate (stable: support--aaa)"
    ending = {"revision": NEW, "step": 2, "ending": {"reason": "GuardrailFailed"}}
    assert telling.tell_rollout(deployment(ending)) == f"{NEW} is being withdrawn: GuardrailFailed"


def test_three_things_to_try_each_have_commands():
    suggestions = telling.suggest("export KUBECONFIG=x", "serving", "smollm2", NEW)
    assert len(suggestions) == 3
    assert all("kubectl" in commands for _, commands in suggestions)


class AnsweringServer(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        asked = f"{self.path} {request['model']}: {request['messages'][-1]['content']}"
        answer = f"{self.headers['authorization']} {asked}".encode()
        self.send_response(200)
        self.send_header("x-tunewright-revision", NEW)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def answering_server():
    with http.server.HTTPServer(("127.0.0.1", 0), AnsweringServer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


def test_the_suggested_request_needs_only_bash_and_python(tmp_path):
    (tmp_path / "kubectl").write_text('#!/bin/sh\ntest "$3" != get || echo YS1rZXk=\n')
    (tmp_path / "kubectl").chmod(0o755)
    (_, commands), *_ = telling.suggest(f"export PATH={tmp_path}:$PATH", "serving", "smollm2", NEW)
    assert "curl" not in commands
    with answering_server() as port:
        environment = os.environ | {"no_proxy": "127.0.0.1"}
        script = commands.replace("8000", str(port))
        done = subprocess.run(
            ["bash", "-c", script], check=False, capture_output=True, text=True, timeout=60, env=environment
        )
    assert done.stderr == ""
    assert done.stdout.startswith(f"{NEW} Bearer a-key /v1/chat/completions support: I was charged twice")


def test_the_table_shows_the_end_of_each_job_without_stages_that_were_not_reached():
    rows = dict(telling.tabulate(GOOD))
    assert rows["three"] == "RolledBack at evaluate (x); it answered no clients"
    assert rows["four"].endswith("it answered at most 20 % of clients")
    assert rows["answers"] == "100: 0 wrong, 0 failed"
    assert "bad live → rolled back" not in rows
    assert rows["memory of pod"] == "at most 2000 MiB"


def test_an_evaluation_is_described_while_the_candidate_waits_for_it():
    world = World("support")
    world.evaluation = EvaluationProgress("incumbent", 40, 200)
    assert telling.tell_evaluation(world) == ""
    world.deployment = deployment({"revision": NEW, "step": 0})
    assert telling.tell_evaluation(world) == "the incumbent has answered 40 of 200 records"
    assert "40 of 200" in telling.tell_state(world, "j", "something")
    world.deployment = deployment({"revision": NEW, "step": 2})
    assert telling.tell_evaluation(world) == ""
