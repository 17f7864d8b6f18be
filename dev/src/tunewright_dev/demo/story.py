"""The demo's story: four jobs, one after the other, while customers send requests.

1. A small first job becomes the first revision.
2. A better job goes through evaluation, 20 %, 50 % and 100 %.
3. A job on shuffled labels is rolled back by its evaluation, before its adapter answers clients.
4. A job whose adapter breaks the output contract, on tickets that the held-out set lacks, is rolled back by live
   evidence.

It can be run again at any time: it first deletes its objects of an earlier run, and keeps the servers. Before the first
job it measures the pool, and derives the requirements of each canary from its speed (`timing.sizes`). It continues as
long as there is progress, even on a slow machine (`progress.waiter`).
"""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack

from tunewright_dev import chart
from tunewright_dev.demo import client_key, customers, opening, setting
from tunewright_dev.demo.crowd import Crowd
from tunewright_dev.demo.manifests import Manifests
from tunewright_dev.demo.observed.feed import Feed
from tunewright_dev.demo.observed.rollouts import name_watched_stage
from tunewright_dev.demo.observed.world import Source, World
from tunewright_dev.demo.output import telling
from tunewright_dev.demo.output.report import Timing, build_summary
from tunewright_dev.demo.output.summary import PROMOTED, Summary
from tunewright_dev.demo.output.view import View
from tunewright_dev.demo.progress import marks
from tunewright_dev.demo.progress.waiter import Waiter
from tunewright_dev.demo.scene import Scene
from tunewright_dev.demo.timekeeper import Timekeeper
from tunewright_dev.demo.timing.reference import load_reference
from tunewright_dev.errors import DevError
from tunewright_dev.kubectl import Kubectl
from tunewright_dev.target import Target

BUSY = customers.Pace(24, 0.5)
"""The pace while a canary waits for evidence: twelve requests per replica, so that vLLM has a batch."""


@dataclasses.dataclass(frozen=True)
class Act:
    """One job and its rollout."""

    job: str
    file: str
    title: str


ACTS = (
    Act("support-triage-1", "1-first.yaml", "1. A small first job → the first revision"),
    Act("support-triage-2", "2-better.yaml", "2. A better job → evaluate, 20 %, 50 %, 100 %, bake"),
    Act("support-triage-3", "3-shuffled.yaml", "3. A job on shuffled labels → rolled back by its evaluation"),
    Act(
        "support-triage-4",
        "4-refreshed.yaml",
        "4. A job that answers some tickets in prose → rolled back by live evidence",
    ),
)


class Story:
    """Run the acts on a cluster with Tunewright.

    ``cpu_percent`` is the share of the nodes' cores that the story's servers and trainers can use, set by CPU limits. A
    value below 100 shows the story on a slower machine.
    """

    def __init__(self, target: Target, kubectl: Kubectl, view: View, cpu_percent: int = 100) -> None:
        self._target = target
        self._kubectl = kubectl
        self._view = view
        self._cpu_percent = cpu_percent
        self._world = World(setting.ALIAS)
        self._crowd = Crowd(kubectl, view.say)

    def play(self, cold_setup_seconds: float | None) -> Summary:
        """Run the whole story and return its results.

        Raises:
            DevError: a part of the story failed; the message has the conditions that explain it.
        """
        with ExitStack() as stack:
            scene = self._open_scene(stack)
            opening.prepare(scene)
            opening.open_platform(scene)
            speed = opening.measure(scene, BUSY.customers)
            self._offer_alias(scene, scene.manifests.render("adapter-deployment.yaml", scene.times.derive_sizes(speed)))
            for act in ACTS:
                self._train(scene, act)
                self._roll_out(scene, act)
            self._send_customers_home(scene)
            scene.times.finish()
            timing = Timing(cold_setup_seconds, speed.tokens_per_second, scene.times.stages)
            return build_summary(self._world, [act.job for act in ACTS], scene.store, timing)

    @property
    def stable(self) -> str | None:
        """The current stable revision."""
        status = (self._world.deployment or {}).get("status", {})
        stable = status.get("stable")
        return str(stable["revision"]) if stable else None

    @property
    def earlier(self) -> str | None:
        """A revision that was promoted and is no longer stable."""
        ended = self._world.rollouts.ended.values()
        return next((one.revision for one in ended if one.outcome == PROMOTED and one.revision != self.stable), None)

    @property
    def problems(self) -> list[str]:
        """The first few wrong and failed answers, one sentence each."""
        tally = self._world.tally
        return [*tally.wrong[:5], *(telling.tell_answer(answer) for answer in tally.failed[:5])]

    def _open_scene(self, stack: ExitStack) -> Scene:
        paths = self._target.paths
        cores = None
        if self._cpu_percent < 100:
            cores = opening.count_cores(self._kubectl) * self._cpu_percent / 100
            self._view.say(f"servers and trainers get {cores:g} cores, {self._cpu_percent} % of the nodes' cores")
        store = stack.enter_context(self._target.open_store(self._kubectl))
        feed = stack.enter_context(Feed(self._kubectl))
        stack.callback(self._crowd.dismiss)
        example = paths.clone / "examples" / "support-triage"
        return Scene(
            paths=paths,
            kubectl=self._kubectl,
            store=store,
            feed=feed,
            world=self._world,
            view=self._view,
            waiter=Waiter(feed, self._world, self._view, self._check_customers),
            times=Timekeeper(self._view.say, load_reference()),
            manifests=Manifests(paths.clone, example, paths.build / "demo", cores),
        )

    def _offer_alias(self, scene: Scene, manifest: str) -> None:
        commands = [f"kubectl apply -f {manifest}", "kubectl -n support get adep support"]
        self._view.begin("The support team defines the alias “support”", commands)
        scene.apply(manifest)

    def _train(self, scene: Scene, act: Act) -> None:
        manifest = scene.manifests.render(f"jobs/{act.file}")
        commands = [
            f"kubectl apply -f {manifest}",
            f"kubectl -n support get ftj {act.job} -w",
            "kubectl -n support get adep support -w",
            f"kubectl -n support describe adep support   # and: describe ftj {act.job}",
        ]
        scene.begin(act.title, commands, f"{act.job}: train", act.job)
        self._crowd.keep(customers.QUIET)
        scene.apply(manifest)
        scene.wait(
            f"the training of {act.job}",
            lambda: self._is_trained(act.job),
            lambda: marks.mark_job(self._world.jobs.get(act.job)),
            (
                f"`kubectl -n support describe ftj {act.job}` shows its conditions, and "
                "`kubectl -n support get pods,events` shows its pods."
            ),
        )
        self._view.say(f"{act.job}: {telling.tell_job(self._world.jobs.get(act.job))}")

    def _is_trained(self, job: str) -> bool:
        body = self._world.jobs.get(job)
        phase = (body or {}).get("status", {}).get("phase")
        if phase == "Failed":
            raise DevError(f"{job} failed. {telling.tell_conditions(body)}")
        return bool(phase == "Succeeded")

    def _roll_out(self, scene: Scene, act: Act) -> None:
        scene.times.enter(f"{act.job}: evaluate")
        scene.wait(
            f"the end of the rollout of {act.job}",
            lambda: act.job in self._world.rollouts.ended,
            lambda: marks.mark_rollout(self._world),
            (
                "`kubectl -n support describe adep support` shows what the candidate waits for, and "
                "`kubectl -n support get pods` shows whether an evaluation and the customers run."
            ),
            lambda: self._accompany(scene, act),
        )

    def _accompany(self, scene: Scene, act: Act) -> None:
        """Start the customers when the alias answers, have more of them while a canary needs them, time the stages."""
        is_served = self._world.ledger.serves_everywhere(setting.ALIAS)
        if not self._crowd.is_here and is_served and client_key.is_accepted(scene.kubectl, setting.SUPPORT):
            self._let_customers_in(scene)
        deployment = self._world.deployment or {}
        candidate = deployment.get("status", {}).get("candidate") or {}
        self._crowd.keep(BUSY if candidate.get("weight") else customers.QUIET)
        if (candidate.get("sourceJob") or {}).get("name") == act.job:
            stage = name_watched_stage(deployment["spec"]["rollout"]["steps"], candidate.get("step", 0))
            scene.times.enter(f"{act.job}: {stage}")

    def _let_customers_in(self, scene: Scene) -> None:
        """Start the client; all replicas have the first revision and know the key, so no customer gets an error."""
        image = chart.read_images(scene.paths)["operator"]
        wanted = customers.Customers(setting.SUPPORT, image, opening.SERVER_URL, setting.ALIAS, BUSY)
        self._crowd.let_in(wanted, scene.example)
        scene.feed.follow(Source.CUSTOMERS, customers.NAME, setting.SUPPORT)

    def _check_customers(self) -> None:
        """Check that there are customers, unless they were asked to leave.

        Raises:
            DevError: their pod has ended too early.
        """
        if self._world.customers_ended and not self._crowd.has_left:
            raise DevError("The customers' pod ended before the story. See `kubectl -n support logs customers`.")

    def _send_customers_home(self, scene: Scene) -> None:
        scene.begin("The last answers", ["kubectl -n support logs customers"], "last answers")
        if not self._crowd.is_here:
            return
        self._crowd.send_home()
        scene.wait(
            "the last answers",
            lambda: self._world.customers_ended,
            lambda: self._world.tally.total,
            "`kubectl -n support logs customers` shows what they wait for.",
        )
        # The plans during the last answers are known now, and there are no more answers.
        self._world.tally.judge()
        self._view.say(telling.tell_answers(self._world.tally))
