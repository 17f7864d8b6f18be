"""The demo's story: four jobs, one after the other, while customers ask.

1. A small first job becomes the first revision.
2. A better job goes through evaluation, 20 %, 50 % and 100 %.
3. A job on shuffled labels is refused before a client sees it.
4. A job whose adapter breaks the output contract where the held-out set has nothing is rolled back by live evidence.

It may be run again at any time: it first deletes what an earlier run left of its own objects, and the servers stay.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from tunewright_dev import chart
from tunewright_dev.demo import customers, setting
from tunewright_dev.demo.observed import memory
from tunewright_dev.demo.observed.feed import Feed
from tunewright_dev.demo.observed.world import Source, World, find_condition
from tunewright_dev.demo.output import telling
from tunewright_dev.demo.output.report import build_summary
from tunewright_dev.demo.output.summary import PROMOTED
from tunewright_dev.errors import DevError

if TYPE_CHECKING:
    from pathlib import Path

    from tunewright_dev.demo.observed.rollouts import Ended
    from tunewright_dev.demo.output.summary import Summary
    from tunewright_dev.demo.output.view import View
    from tunewright_dev.kubectl import Kubectl
    from tunewright_dev.target import Target

SERVER = "smollm2"
ALIAS = "support"
NAMESPACES = (setting.SERVING, setting.SUPPORT, chart.NAMESPACE)
# Customers at a time: few while the two cores train or evaluate, more when a canary waits for evidence.
FEW_CUSTOMERS, MANY_CUSTOMERS = 1, 4
DELETION_MINUTES, SERVERS_MINUTES, TRAINING_MINUTES, ROLLOUT_MINUTES, LAST_ANSWER_MINUTES = 5, 20, 40, 40, 4
TICK_SECONDS = 1.0


@dataclass(frozen=True)
class Act:
    """One job, and what is to come of it."""

    job: str
    file: str
    title: str


ACTS = (
    Act("support-triage-1", "1-first.yaml", "1. A small first job → the first revision"),
    Act("support-triage-2", "2-better.yaml", "2. A better job → evaluate, 20 %, 50 %, 100 %, bake"),
    Act("support-triage-3", "3-shuffled.yaml", "3. A job on shuffled labels → refused before a client sees it"),
    Act(
        "support-triage-4",
        "4-refreshed.yaml",
        "4. A job that answers some tickets in prose → rolled back by live evidence",
    ),
)


class Story:
    """Plays the acts on an installed cluster."""

    def __init__(self, target: Target, kubectl: Kubectl, view: View) -> None:
        self._example: Path = target.paths.clone / "examples" / "support-triage"
        self._target = target
        self._kubectl = kubectl
        self._view = view
        self._world = World(ALIAS)
        self._has_customers = False
        self._customer_count = 0
        self._customers_leave = False

    def play(self, cold_setup_seconds: float | None) -> Summary:
        """Play the whole story and return what happened.

        Raises:
            DevError: something did not come about; the message has the conditions that say why.
        """
        with ExitStack() as stack:
            store = stack.enter_context(self._target.open_store(self._kubectl))
            feed = stack.enter_context(Feed(self._kubectl))
            stack.callback(self._dismiss_customers)
            self._set_the_scene(feed)
            self._view.begin("The data", ["kubectl -n object-store get service s3"])
            for line in setting.upload_datasets(self._target.paths, store):
                self._view.say(line)
            self._open_the_platform(feed)
            for act in ACTS:
                self._play_act(feed, act)
            self._send_customers_home(feed)
            return build_summary(self._world, [act.job for act in ACTS], store, cold_setup_seconds)

    @property
    def stable(self) -> str | None:
        """The revision that is stable now."""
        status = (self._world.deployment or {}).get("status", {})
        stable = status.get("stable")
        return str(stable["revision"]) if stable else None

    @property
    def earlier(self) -> str | None:
        """A revision that was promoted and is not stable any more."""
        ended = self._world.rollouts.ended.values()
        return next((one.revision for one in ended if one.outcome == PROMOTED and one.revision != self.stable), None)

    @property
    def problems(self) -> list[str]:
        """What clients were answered wrongly, one sentence each, the first few."""
        tally = self._world.tally
        return [*tally.wrong[:5], *(telling.tell_answer(answer) for answer in tally.failed[:5])]

    def _set_the_scene(self, feed: Feed) -> None:
        commands = ["kubectl get namespaces serving support --show-labels", "kubectl -n support get secret s3"]
        self._view.begin("A platform team's namespace and a support team's", commands)
        setting.prepare_tenants(self._kubectl)
        for objects in setting.EARLIER:
            found = setting.find_earlier(self._kubectl, objects)
            if found:
                self._view.say(f"an earlier demo left {', '.join(found)}, which go; servers and data stay")
                setting.delete_earlier(self._kubectl, objects)
                self._wait(feed, "their deletion", partial(self._is_gone, objects), DELETION_MINUTES)

    def _open_the_platform(self, feed: Feed) -> None:
        folder = self._example / "platform"
        commands = ["kubectl apply -f examples/support-triage/platform/", "kubectl get basemodels,modelservers -A"]
        self._view.begin("The platform team opens a catalogue and two vLLM replicas", commands)
        self._kubectl.run("apply", "-f", str(folder))
        by_name = f"--field-selector=metadata.name={SERVER}"
        feed.watch(Source.SERVER, "modelservers", setting.SERVING, by_name)
        feed.watch(Source.PLAN, "configmaps", setting.SERVING, f"--field-selector=metadata.name={SERVER}-plan")
        feed.watch(Source.JOBS, "finetunejobs", setting.SUPPORT, f"--selector={setting.JOB_LABEL}")
        feed.watch(
            Source.DEPLOYMENT,
            "adapterdeployments",
            setting.SUPPORT,
            f"--field-selector=metadata.name={setting.DEPLOYMENT}",
        )
        feed.poll(Source.MEMORY, lambda: memory.fetch_working_sets(self._kubectl, NAMESPACES))
        self._wait(feed, "both vLLM replicas being ready", self._are_servers_ready, SERVERS_MINUTES)
        self._view.say(telling.tell_server(self._world.server))
        self._view.begin(
            "The support team says what “support” is",
            ["kubectl apply -f examples/support-triage/adapter-deployment.yaml", "kubectl -n support get adep support"],
        )
        self._kubectl.run("apply", "-f", str(self._example / "adapter-deployment.yaml"))

    def _play_act(self, feed: Feed, act: Act) -> None:
        commands = [
            f"kubectl apply -f examples/support-triage/jobs/{act.file}",
            f"kubectl -n support get ftj {act.job} -w",
            "kubectl -n support get adep support -w",
            f"kubectl -n support describe adep support   # and: describe ftj {act.job}",
        ]
        self._view.begin(act.title, commands, act.job)
        self._set_customers(FEW_CUSTOMERS)
        self._kubectl.run("apply", "-f", str(self._example / "jobs" / act.file))
        self._wait(feed, f"{act.job} being trained", lambda: self._is_trained(act.job), TRAINING_MINUTES)
        self._view.say(f"{act.job}: {telling.tell_job(self._world.jobs.get(act.job))}")
        self._wait(
            feed, f"the rollout of {act.job} ending", lambda: self._is_rolled_out(feed, act.job), ROLLOUT_MINUTES
        )

    def _is_gone(self, objects: Sequence[str]) -> bool:
        return not setting.find_earlier(self._kubectl, objects)

    def _are_servers_ready(self) -> bool:
        server = self._world.server
        ready = find_condition(server, "Ready").get("status") == "True"
        settled = find_condition(server, "Reconciling").get("status") != "True"
        if not ready or not settled or server is None:
            return False
        return int(server["status"].get("readyReplicas", 0)) >= int(server["spec"]["replicas"])

    def _is_trained(self, job: str) -> bool:
        body = self._world.jobs.get(job)
        phase = (body or {}).get("status", {}).get("phase")
        if phase == "Failed":
            raise DevError(f"{job} failed. {telling.tell_conditions(body)}")
        return bool(phase == "Succeeded")

    def _is_rolled_out(self, feed: Feed, job: str) -> bool:
        if not self._has_customers and self._world.ledger.serves_everywhere(ALIAS):
            self._let_customers_in(feed)
        candidate = (self._world.deployment or {}).get("status", {}).get("candidate") or {}
        self._set_customers(MANY_CUSTOMERS if candidate.get("weight") else FEW_CUSTOMERS)
        return job in self._world.rollouts.ended

    def _let_customers_in(self, feed: Feed) -> None:
        """Start the client: every replica has the first revision, so nobody need be told to come back later."""
        image = chart.read_images(self._target.paths)["operator"]
        url = f"http://{SERVER}.{setting.SERVING}.svc:8000"
        wanted = customers.Customers(setting.SUPPORT, image, url, ALIAS, MANY_CUSTOMERS)
        self._kubectl.apply(customers.build_customers(wanted, self._example))
        feed.follow(Source.CUSTOMERS, customers.NAME, setting.SUPPORT)
        self._has_customers, self._customer_count = True, MANY_CUSTOMERS
        self._view.say("customers come in: kubectl -n support logs -f customers")

    def _set_customers(self, count: int) -> None:
        if not self._has_customers or count == self._customer_count:
            return
        self._customer_count = count
        try:
            customers.set_count(self._kubectl, setting.SUPPORT, count)
        except DevError as error:
            # Fewer or more customers only change how long it takes; without their end there is none.
            if count == customers.END:
                raise
            self._view.say(f"the number of customers stays as it is: {error}")

    def _dismiss_customers(self) -> None:
        """Let the customers go when the story broke off: nobody would count their answers."""
        if self._has_customers and not self._customers_leave:
            with suppress(DevError):
                customers.set_count(self._kubectl, setting.SUPPORT, customers.END)

    def _send_customers_home(self, feed: Feed) -> None:
        self._view.begin("The last answers", ["kubectl -n support logs customers"])
        if not self._has_customers:
            return
        self._set_customers(customers.END)
        self._customers_leave = True
        self._wait(feed, "the last answers coming in", lambda: self._world.customers_ended, LAST_ANSWER_MINUTES)
        # What the plan was while the last answers were given is known now; nothing more is to come.
        self._world.tally.judge()
        self._view.say(telling.tell_answers(self._world.tally))

    def _wait(self, feed: Feed, what: str, holds: Callable[[], bool], minutes: float) -> None:
        deadline = time.monotonic() + minutes * 60
        drawn = 0.0
        while not holds():
            if time.monotonic() > deadline:
                raise DevError(f"{what} did not happen within {minutes} minutes. {self._explain()}")
            event = feed.next(TICK_SECONDS)
            for ended in self._world.absorb(event) if event else ():
                self._tell_ended(ended)
            if self._world.customers_ended and not self._customers_leave:
                raise DevError(
                    "The customers' pod has ended before the story did. See `kubectl -n support logs customers`."
                )
            if time.monotonic() - drawn >= TICK_SECONDS:
                drawn = time.monotonic()
                self._world.tally.judge(time.time())
                self._view.show(self._world, what)

    def _tell_ended(self, ended: Ended) -> None:
        self._view.say(telling.tell_ended(ended))

    def _explain(self) -> str:
        parts = {"ModelServer": self._world.server, "AdapterDeployment": self._world.deployment, **self._world.jobs}
        return "\n".join(
            [
                "What they say of themselves:",
                *(f"  {name}: {telling.tell_conditions(body)}" for name, body in parts.items()),
            ]
        )
