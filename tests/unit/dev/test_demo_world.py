"""The demo's picture of the cluster, from the objects as the API server has them, and what is said of it."""

from __future__ import annotations

import base64
import contextlib
import http.server
import io
import json
import os
import subprocess
import threading

from tunewright_contracts.serving_plan import PLAN_KEY, Route, ServingPlan, SignedPlan, Target
from tunewright_dev.demo import customers, feed, memory, telling, view
from tunewright_dev.demo.feed import Event
from tunewright_dev.demo.rollouts import RolloutLog, name_stage, read_time
from tunewright_dev.demo.world import Source, World, find_condition, read_generations, read_plan
from tunewright_dev.paths import find_paths

STEPS = [{"evaluate": {}}, {"setWeight": 20}, {"observe": {"minRequests": 40}}, {"setWeight": 50}, {"pause": {}}]
NEW = "support--bbb"


def config_map(generation, shares, written="2026-01-01T00:00:10Z"):
    targets = tuple(Target(name=name, weight=weight) for name, weight in shares.items())
    plan = ServingPlan(
        server_uid="uid",
        generation=generation,
        base_model_digest=f"sha256:{'0' * 64}",
        routes=(Route(alias="support", namespace="support", targets=targets),),
    )
    signed = SignedPlan(payload=base64.b64encode(plan.to_json().encode()).decode(), signature="")
    fields = [{"manager": "operator", "time": "2025-12-31T00:00:00Z"}, {"manager": "operator", "time": written}]
    return {"metadata": {"managedFields": fields}, "data": {PLAN_KEY: signed.to_json()}}


def deployment(candidate=None, history=(), stable=None):
    status = {"history": list(history)}
    status |= {"candidate": candidate} if candidate else {}
    status |= {"stable": {"revision": stable}} if stable else {}
    return {"metadata": {"generation": 1}, "spec": {"rollout": {"steps": STEPS}}, "status": status}


def entry(outcome="RolledBack", job="support-triage-4", revision=NEW):
    times = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:01:00Z"}
    why = {"reason": "GuardrailFailed", "message": "OutputContract 0.31 against 0.00", "reportURI": "s3://b/r.json"}
    return {"revision": revision, "outcome": outcome, "sourceJob": {"name": job, "uid": "u"}, **times, **why}


def test_a_plan_is_read_with_the_shares_above_zero_and_the_second_of_its_last_write():
    written = read_time("2026-01-01T00:00:10Z")
    plan = read_plan(config_map(7, {"support--aaa": 100, NEW: 0}), at=written + 0.7)
    assert (plan.generation, plan.earliest, plan.observed) == (7, written, written + 0.7)
    assert plan.shares == {"support": {"support--aaa": 100}}


def test_a_clock_that_is_behind_does_not_put_a_write_after_its_observation():
    written = read_time("2026-01-01T00:00:10Z")
    assert read_plan(config_map(7, {}), at=written - 5).earliest == written - 5


def test_what_is_no_plan_is_none():
    assert read_plan({"metadata": {}, "data": {}}, at=1) is None
    assert read_plan({"metadata": {}, "data": {PLAN_KEY: "{}"}}, at=1) is None


def test_pods_that_serve_nothing_yet_say_nothing():
    pods = [
        {"name": "a", "ready": True, "planGeneration": 3},
        {"name": "starting", "ready": False, "planGeneration": 0},
        {"name": "ending", "ready": False, "planGeneration": 2},
    ]
    assert read_generations({"status": {"pods": pods}}) == {"a": 3, "ending": 2}
    assert read_generations({}) == {}


def test_events_become_one_picture():
    world = World("support")
    at = read_time("2026-01-01T00:00:11Z")
    world.absorb(Event(Source.PLAN, at, config_map(1, {NEW: 100})))
    world.absorb(
        Event(Source.SERVER, at + 1, {"status": {"pods": [{"name": "a", "ready": True, "planGeneration": 1}]}})
    )
    assert world.ledger.serves_everywhere("support")
    line = {"number": 1, "start": at, "end": at + 2, "session": "s", "kind": "ticket", "status": 200}
    world.absorb(Event(Source.CUSTOMERS, at, {**line, "revision": NEW, "model": "support", "answer": "{}"}))
    world.tally.judge()
    assert (world.tally.total, world.tally.wrong) == (1, [])
    for used in (5, 9, 7):
        world.absorb(Event(Source.MEMORY, at, {"a": used}))
    assert world.peak_memory == {"a": 9}
    world.absorb(Event(Source.JOBS, at, {"metadata": {"name": "j"}}))
    world.absorb(Event(Source.JOBS, at, {"metadata": {"name": "j"}}, deleted=True))
    assert world.jobs == {}
    assert not world.customers_ended
    world.absorb(Event(Source.CUSTOMERS, at, ended=True))
    assert world.customers_ended


def test_a_rollout_ends_once_at_the_stage_that_it_was_last_seen_in():
    log = RolloutLog()
    assert log.read(deployment({"revision": NEW, "step": 2})) == []
    assert log.read(deployment({"revision": NEW, "step": 2, "ending": {"reason": "GuardrailFailed"}})) == []
    (one,) = log.read(deployment(history=[entry()]))
    assert (one.job, one.outcome, one.stage) == ("support-triage-4", "RolledBack", "observe at 20 %")
    assert one.ended_at - one.accepted_at == 60
    assert log.read(deployment(history=[entry()])) == []
    assert telling.tell_ended(one).endswith("(GuardrailFailed). OutputContract 0.31 against 0.00")


def test_history_without_a_job_is_none_of_ours():
    assert RolloutLog().read(deployment(history=[{**entry(), "sourceJob": None}])) == []


def test_stages_have_names():
    names = [name_stage(STEPS, index) for index in range(len(STEPS) + 1)]
    assert names == ["evaluate", "shift to 20 %", "observe at 20 %", "shift to 50 %", "pause at 50 %", "bake"]


def test_a_condition_of_an_older_generation_does_not_count():
    body = {"metadata": {"generation": 2}, "status": {"conditions": [{"type": "Ready", "observedGeneration": 1}]}}
    assert find_condition(body, "Ready") == {}
    body["status"]["conditions"][0]["observedGeneration"] = 2
    assert find_condition(body, "Ready")["type"] == "Ready"
    assert find_condition(None, "Ready") == {}


def job(phase, **status):
    return {"metadata": {"name": "j", "generation": 1}, "status": {"phase": phase, **status}}


def test_a_job_is_told_by_how_far_and_how_good_it_is():
    assert telling.tell_job(None) == "not applied yet"
    assert telling.tell_job({"metadata": {}}) == "Pending"
    progress = {"step": 3, "totalSteps": 40, "trainLoss": "0.51"}
    assert telling.tell_job(job("Training", progress=progress)) == "Training, step 3 of 40, loss 0.51"
    scores = [{"type": "ExactMatch", "base": "0", "tuned": "0.75", "samples": 24}]
    assert "ExactMatch 0 → 0.75 of 24" in telling.tell_job(job("Succeeded", evaluation=scores))
    failed = {"type": "Succeeded", "status": "False", "observedGeneration": 1, "message": "dataset.jsonl: no such key"}
    assert telling.tell_job(job("Failed", conditions=[failed])) == "Failed: dataset.jsonl: no such key"


def test_a_rollout_is_told_by_its_stage():
    assert telling.tell_rollout(deployment()) == "nothing is stable yet"
    told = telling.tell_rollout(deployment({"revision": NEW, "step": 0}, stable="support--aaa"))
    assert told == f"{NEW}: evaluate (stable is support--aaa)"
    ending = {"revision": NEW, "step": 2, "ending": {"reason": "GuardrailFailed"}}
    assert telling.tell_rollout(deployment(ending)) == f"{NEW} is being withdrawn: GuardrailFailed"


def test_a_pipe_gets_a_line_for_each_change_and_not_for_each_look(capsys):
    world, shown = World("support"), view.PlainView()
    shown.begin("A title", ["kubectl get x"], "j")
    world.jobs["j"] = job("Training", progress={"step": 1, "totalSteps": 40})
    shown.show(world, "something")
    world.jobs["j"] = job("Training", progress={"step": 2, "totalSteps": 40})
    shown.show(world, "something")
    world.jobs["j"] = job("Succeeded")
    shown.show(world, "something")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("] ")[-1].strip() for line in lines if line] == [
        "== A title",
        "$ kubectl get x",
        "Training, step 1 of 40",
        "Succeeded",
    ]


def test_a_pipe_is_never_silent_for_long(capsys, monkeypatch):
    world, shown, now = World("support"), view.PlainView(), [1000.0]
    monkeypatch.setattr(view.time, "monotonic", lambda: now[0])
    shown.show(world, "something")
    now[0] += view.QUIET_SECONDS - 1
    shown.show(world, "something")
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("waiting for something")
    now[0] += 1
    shown.show(world, "something")
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_the_panel_shows_who_answers():
    from rich.console import Console

    world = World("support")
    at = read_time("2026-01-01T00:00:11Z")
    world.absorb(Event(Source.PLAN, at, config_map(1, {"support--aaa": 80, NEW: 20})))
    world.jobs["j"] = job("Training", progress={"step": 1, "totalSteps": 40})
    world.absorb(Event(Source.DEPLOYMENT, at, deployment({"revision": NEW, "step": 2, "reasons": ["no [/markup]"]})))
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    shown = view.LiveView(console)
    try:
        shown.begin("A title", ["kubectl get x"], "j")
        text = io.StringIO()
        Console(file=text, width=120).print(shown.draw(world, "something"))
    finally:
        shown.end()
    assert "support--aaa 80 % + support--bbb 20 %" in text.getvalue()
    assert "step 1 of 40" in text.getvalue()
    assert "no [/markup]" in text.getvalue()


def test_documents_are_read_from_a_stream_however_they_are_laid_out():
    documents = [{"type": "ADDED", "object": {"a": {"b": "}\n{"}}}, {"type": "MODIFIED", "object": {}}]
    compact = "".join(json.dumps(document) + "\n" for document in documents)
    indented = "".join(json.dumps(document, indent=4) + "\n" for document in documents)
    assert list(feed.read_documents(io.StringIO(compact))) == documents
    assert list(feed.read_documents(io.StringIO(indented))) == documents
    assert list(feed.read_documents(io.StringIO(indented[:-3]))) == documents[:1]


def test_lines_that_are_no_objects_are_left_out():
    assert list(feed.read_lines(io.StringIO('Traceback\n{"number": 1}\n17\n'))) == [{"number": 1}]


def test_working_sets_are_in_mib_and_only_of_the_namespaces_asked_for():
    def pod(namespace, name, used):
        return {"podRef": {"namespace": namespace, "name": name}, "memory": used}

    pods = [
        pod("serving", "a", {"workingSetBytes": 3 * 2**20 + 5}),
        pod("serving", "starting", {}),
        pod("serving", "ending", {"workingSetBytes": 4096}),
        pod("other", "b", {"workingSetBytes": 1}),
    ]
    assert memory.read_working_sets({"pods": pods}, {"serving"}) == {"a": 3}


def test_the_customers_pod_has_the_examples_scripts_and_no_rights():
    example = find_paths().clone / "examples" / "support-triage"
    wanted = customers.Customers("support", "image", "http://s:8000", "support", 3)
    config, pod = customers.build_customers(wanted, example)
    assert set(config["data"]) == set(customers.SCRIPTS)
    assert pod["spec"]["containers"][0]["command"][-1] == "--customers=3"
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["containers"][0]["securityContext"]["runAsNonRoot"] is True


def test_three_things_to_try_each_have_commands():
    suggestions = telling.suggest("export KUBECONFIG=x", "serving", "smollm2", NEW)
    assert len(suggestions) == 3
    assert all("kubectl" in commands for _, commands in suggestions)


class AnsweringServer(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answer = f"{self.path} {request['model']}: {request['messages'][-1]['content']}".encode()
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


def test_asking_it_yourself_needs_no_more_than_bash_and_python(tmp_path):
    (tmp_path / "kubectl").write_text("#!/bin/sh\n")
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
    assert done.stdout.startswith(f"{NEW} /v1/chat/completions support: I was charged twice")
