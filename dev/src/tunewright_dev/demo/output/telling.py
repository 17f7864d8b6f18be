"""The demo's texts: pure functions from the state of its world to lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunewright_dev.demo import client_key
from tunewright_dev.demo.observed.answers import Answer, Tally
from tunewright_dev.demo.observed.rollouts import Ended, name_stage
from tunewright_dev.demo.observed.world import World, find_condition
from tunewright_dev.demo.output.summary import Summary
from tunewright_dev.demo.timing.reference import Reference
from tunewright_dev.demo.timing.sizes import Sizes
from tunewright_dev.demo.timing.speed import Speed
from tunewright_dev.demo.timing.stopwatch import Lap

Body = dict[str, Any]
WIDTH = 110


def tell_elapsed(seconds: float) -> str:
    """Return a duration in minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes:02d}:{rest:02d}"


def tell_server(server: Body | None) -> str:
    """Return how many replicas are ready, and what the others wait for."""
    if server is None:
        return "there are no servers yet"
    status = server.get("status", {})
    ready, wanted = status.get("readyReplicas", 0), server["spec"].get("replicas", 1)
    plan = status.get("plan")
    words = f"{ready} of {wanted} vLLM replicas ready"
    if plan:
        words += f", plan {plan['generation']}"
    waiting = find_condition(server, "Stalled") or find_condition(server, "Reconciling")
    return shorten(f"{words}: {waiting['message']}" if ready < wanted and waiting.get("message") else words)


def tell_job(job: Body | None) -> str:
    """Return the progress of a FineTuneJob, its scores, or why it failed."""
    if job is None:
        return "not applied yet"
    status = job.get("status", {})
    phase = status.get("phase") or "Pending"
    if phase == "Failed":
        return f"Failed: {find_condition(job, 'Succeeded').get('message') or tell_conditions(job)}"
    if phase == "Succeeded":
        scores = status.get("evaluation", ())
        shown = [
            f"{score['type']} {score.get('base', '?')} → {score['tuned']} on {score['samples']}" for score in scores
        ]
        return f"Succeeded ({', '.join(shown)} held-out records of its split)" if shown else "Succeeded"
    progress = status.get("progress", {})
    if phase != "Training" or not progress.get("totalSteps"):
        return phase
    loss = f", loss {progress['trainLoss']}" if "trainLoss" in progress else ""
    return f"Training, step {progress.get('step', 0)} of {progress['totalSteps']}{loss}"


def tell_rollout(deployment: Body | None) -> str:
    """Return the candidate's stage, or the stable revision."""
    if deployment is None:
        return "no AdapterDeployment yet"
    status = deployment.get("status", {})
    candidate, stable = status.get("candidate"), status.get("stable")
    incumbent = f"stable: {stable['revision']}" if stable else "no stable revision yet"
    if not candidate:
        return incumbent
    if candidate.get("ending"):
        return f"{candidate['revision']} is being withdrawn: {candidate['ending']['reason']}"
    stage = name_stage(deployment["spec"]["rollout"]["steps"], candidate.get("step", 0))
    return f"{candidate['revision']}: {stage} ({incumbent})"


def tell_evaluation(world: World) -> str:
    """Return the progress of the evaluation that the candidate waits for; empty if it waits for none."""
    deployment = world.deployment or {}
    candidate = deployment.get("status", {}).get("candidate")
    if not candidate or world.evaluation is None:
        return ""
    if name_stage(deployment["spec"]["rollout"]["steps"], candidate.get("step", 0)) != "evaluate":
        return ""
    arm, answered, records = world.evaluation
    return f"the {arm} has answered {answered} of {records} records"


def tell_speed(speed: Speed, reference: Reference, sizes: Sizes) -> list[str]:
    """Return the speed of the pool and its consequences, one line each."""
    rate, reference_rate = speed.tokens_per_second, reference.speed.tokens_per_second
    minutes = reference.total_seconds * sizes.slowdown / 60
    reference_minutes = reference.total_seconds / 60
    patience = sizes.patience_seconds / 60
    return [
        (
            f"the pool generates {rate:.1f} tokens/s for {speed.in_flight} requests at a time (reference machine: "
            f"{reference_rate:g})"
        ),
        f"the whole story takes about {minutes:.0f} minutes here ({reference_minutes:.0f} on the reference machine)",
        f"it continues as long as there is progress, and fails after {patience:.0f} minutes without progress",
        (
            f"each canary step needs {sizes.min_requests} answers of each revision within {sizes.max_seconds} s; "
            f"a bake takes {sizes.bake_seconds} s"
        ),
    ]


def tell_stage(stage: str, reference: Reference, slowdown: float | None, elapsed: float) -> str:
    """Return the durations of a stage and of the story; ``slowdown`` is None before it is known."""
    seconds = reference.seconds.stages.get(stage)
    parts = [f"{tell_elapsed(seconds)} on the reference machine"] if seconds is not None else []
    if seconds is not None and slowdown is not None:
        parts.append(f"about {tell_elapsed(seconds * slowdown)} here")
    parts.append(f"{tell_elapsed(elapsed)} elapsed")
    if slowdown is not None and reference.seconds_from(stage):
        parts.append(f"about {tell_elapsed(reference.seconds_from(stage) * slowdown)} left")
    return f"stage “{stage}”: {', '.join(parts)}"


def tell_lap(lap: Lap) -> str:
    """Return the duration of a finished stage."""
    return f"stage “{lap.stage}” took {tell_elapsed(lap.seconds)}"


def tell_evidence(deployment: Body | None) -> str:
    """Return the evidence of the current step; empty if there is none."""
    status = (deployment or {}).get("status", {})
    candidate = status.get("candidate") or {}
    return shorten("; ".join(candidate.get("reasons", ())))


def tell_shares(shares: Mapping[str, int]) -> str:
    """Return which revisions answer clients."""
    return " + ".join(f"{name} {weight} %" for name, weight in sorted(shares.items(), key=lambda item: -item[1]))


def tell_answers(tally: Tally) -> str:
    """Return the counts of answers."""
    return f"{tally.total} answers, {len(tally.wrong)} wrong, {len(tally.failed)} failed"


def tell_answer(answer: Answer) -> str:
    """Return one answer as the client got it."""
    if answer.failed:
        return shorten(f"{answer.session} got {answer.status or 'no answer'}: {answer.error}")
    text = " ".join(answer.answer.split())
    head = f"{answer.session} ({answer.kind}, {answer.end - answer.start:.1f} s) from {answer.revision}"
    return shorten(f"{head}: {text}")


def tell_conditions(body: Body | None) -> str:
    """Return an object's conditions, for an error message."""
    conditions = (body or {}).get("status", {}).get("conditions", ())
    return (
        "; ".join(
            f"{one['type']}={one['status']} {one.get('reason', '')}: {one.get('message', '')}".rstrip(": ")
            for one in conditions
        )
        or "it has no conditions yet"
    )


def tell_state(world: World, job: str | None, awaited: str) -> str:
    """Return the current state as one line, for a pipe."""
    parts = [tell_job(world.jobs.get(job)) if job else f"waiting for {awaited}"]
    if not job and world.server:
        parts.append(tell_server(world.server))
    if job and world.deployment:
        parts.append(tell_rollout(world.deployment))
        parts += [progress for progress in [tell_evaluation(world)] if progress]
    shares = tell_shares(world.ledger.shares(world.alias))
    if shares:
        parts.append(f"clients get {shares}")
    if world.tally.total:
        parts.append(tell_answers(world.tally))
    return "; ".join(parts)


def tell_change(world: World, job: str | None) -> str:
    """Return a text that changes only if something new happened, and not with mere progress."""
    server = (world.server or {}).get("status", {})
    phase = (world.jobs.get(job or "") or {}).get("status", {}).get("phase")
    rollout, shares = tell_rollout(world.deployment), tell_shares(world.ledger.shares(world.alias))
    bad = len(world.tally.wrong) + len(world.tally.failed)
    return " | ".join([str(server.get("readyReplicas")), str(phase), rollout, shares, str(bad)])


def tell_ended(ended: Ended) -> str:
    """Return how a rollout ended and why, in full: these are the most important figures of the demo."""
    return f"{ended.revision} of {ended.job}: {ended.outcome} at {ended.stage} ({ended.reason}). {ended.message}"


def tabulate(summary: Summary) -> list[tuple[str, str]]:
    """Return the rows of the table at the end."""
    rows = []
    for rollout in summary.rollouts:
        reach = (
            f"it answered at most {rollout.candidate_share_percent} % of clients"
            if rollout.candidate_share_percent
            else "it answered no clients"
        )
        rows.append((rollout.name, f"{rollout.outcome} at {rollout.stage} ({rollout.reason}); {reach}"))
    if summary.quality is not None:
        base, tuned = summary.quality.base, summary.quality.tuned
        rows.append(
            (
                "exact match",
                f"{base.exact_match:.3f} before, {tuned.exact_match:.3f} after ({tuned.n} held-out records)",
            )
        )
        rows.append(("valid JSON", f"{base.valid_json:.3f} before, {tuned.valid_json:.3f} after"))
    answers = summary.answers
    rows.append(("answers", f"{answers.total}: {answers.wrong} wrong, {answers.failed} failed"))
    rows += [(f"  from {name}", str(count)) for name, count in answers.by_revision.items()]
    seconds = summary.seconds
    named = (
        ("apply → trained", seconds.apply_to_trained),
        ("trained → promoted", seconds.trained_to_promoted),
        ("bad offline → rolled back", seconds.bad_offline_to_rolled_back),
        ("bad live → rolled back", seconds.bad_live_to_rolled_back),
        ("bare machine → installed", summary.cold_setup_seconds),
    )
    rows += [(name, f"{value:.0f} s") for name, value in named if value is not None]
    rows.append(("the whole story", tell_elapsed(sum(seconds.stages.values()))))
    rows.append(("the pool", f"{summary.speed.tokens_per_second:.1f} tokens/s"))
    if summary.convergence_seconds:
        rows.append(("plan → each replica", f"at most {max(summary.convergence_seconds.values()):.1f} s"))
    rows += [(f"memory of {pod}", f"at most {used} MiB") for pod, used in sorted(summary.peak_memory_mib.items())]
    return rows


def suggest(environment: str, namespace: str, server: str, earlier: str | None) -> Sequence[tuple[str, str]]:
    """Return three things to try, each with its commands.

    Args:
        environment: the command that configures kubectl.
        namespace: the ModelServer's namespace.
        server: the ModelServer's name.
        earlier: a revision that was promoted before, for the rollback.
    """
    # No curl, because a bare Debian has none. bash's /dev/tcp opens a connection.
    ask = (
        f"kubectl -n {namespace} port-forward service/{server} 8000 &\n"
        "timeout 30 bash -c 'until true < /dev/tcp/127.0.0.1/8000; do sleep 1; done' 2> /dev/null\n"
        'ticket=\'{"model": "support", "temperature": 0, "max_tokens": 32, "messages": '
        '[{"role": "system", "content": "Triage the ticket."},'
        ' {"role": "user", "content": "I was charged twice for order B204. Please hurry."}]}\'\n'
        f"key=$(kubectl -n support get secret {client_key.SECRET} -o jsonpath='{{.data.{client_key.VARIABLE}}}'"
        " | base64 -d)\n"
        "python3 -c 'import sys, urllib.request as web; request = web.Request(sys.argv[1], sys.argv[2].encode(),"
        ' {"content-type": "application/json", "authorization": "Bearer " + sys.argv[3]});'
        ' answer = web.urlopen(request); print(answer.headers["x-tunewright-revision"], answer.read().decode())\''
        ' http://127.0.0.1:8000/v1/chat/completions "$ticket" "$key"'
    )
    back = (
        f"kubectl -n support annotate adep support --overwrite tunewright.dev/rollback={earlier or '<revision>'}@1\n"
        "kubectl -n support get adep support -w"
    )
    kill = (
        f"kubectl -n {namespace} delete pod -l tunewright.dev/name={server} --wait=false\n"
        f"kubectl -n {namespace} get ms {server} -w"
    )
    return (
        ("Send a request; the header x-tunewright-revision names the revision that answered", f"{environment}\n{ask}"),
        ("Roll back to the first adapter with an annotation", back),
        ("Delete all replicas, and watch them come back with the same plan", kill),
    )


def shorten(text: str, width: int = WIDTH) -> str:
    """Return text on one line, truncated to the width."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"
