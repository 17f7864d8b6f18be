"""The story before the first job: namespaces and data, the servers, and their speed."""

from __future__ import annotations

import json
from functools import partial

from tunewright_dev import chart
from tunewright_dev.demo import bucket, client_key, customers, probe, setting
from tunewright_dev.demo.manifests import parse_cores
from tunewright_dev.demo.observed import memory
from tunewright_dev.demo.observed.world import EvaluationProgress, Source, World, find_condition, read_evaluation
from tunewright_dev.demo.output import telling
from tunewright_dev.demo.progress import marks
from tunewright_dev.demo.scene import Scene
from tunewright_dev.demo.timing.sizes import TOKENS_PER_ANSWER
from tunewright_dev.demo.timing.speed import Speed, measure_speed
from tunewright_dev.errors import DevError
from tunewright_dev.kubectl import Kubectl

NAMESPACES = (setting.SERVING, setting.SUPPORT, chart.NAMESPACE)
SERVER_URL = f"http://{setting.SERVER}.{setting.SERVING}.svc:8000"


def prepare(scene: Scene) -> None:
    """Create the teams' namespaces, delete the objects of an earlier demo, and upload the data to the bucket."""
    commands = [
        "kubectl get namespaces serving support --show-labels",
        "kubectl -n support get secret s3",
        f"kubectl -n support get modelclient {client_key.CLIENT}",
    ]
    scene.begin("The namespaces of a platform team and a support team", commands, "namespaces and data")
    setting.prepare_tenants(scene.kubectl)
    for objects in setting.EARLIER:
        found = setting.find_earlier(scene.kubectl, objects)
        if found:
            scene.view.say(f"deleting objects of an earlier demo: {', '.join(found)}; servers and data are kept")
            setting.delete_earlier(scene.kubectl, objects)
            _wait_deleted(scene, objects)
    scene.view.begin("The data", ["kubectl -n object-store get service s3"])
    for line in setting.upload_datasets(scene.paths, scene.store):
        scene.view.say(line)


def _wait_deleted(scene: Scene, objects: tuple[str, ...]) -> None:
    find = partial(setting.find_earlier, scene.kubectl, objects)
    names = " ".join(objects)
    scene.wait(
        f"the deletion of {names}",
        lambda: not find(),
        lambda: tuple(find()),
        (
            f"`kubectl -n {setting.SUPPORT} get {names} -o yaml` shows which finalizer blocks the deletion, "
            "and the operator's log shows why."
        ),
    )


def open_platform(scene: Scene) -> None:
    """Apply the catalogue and the servers, start all watches, and wait until every replica is ready."""
    manifests = [scene.manifests.render(name) for name in setting.PLATFORM]
    commands = [
        f"kubectl apply {' '.join(f'-f {path}' for path in manifests)}",
        "kubectl get basemodels,modelservers -A",
    ]
    scene.begin("The platform team offers a base model and two vLLM replicas", commands, "servers")
    scene.apply(*manifests)
    _watch(scene)
    scene.wait(
        "all vLLM replicas to be ready",
        partial(are_servers_ready, scene.world),
        lambda: marks.mark_server(scene.world.server),
        (
            f"`kubectl -n {setting.SERVING} describe ms {setting.SERVER}` and the logs "
            "and events of its pods show what they wait for."
        ),
    )
    scene.view.say(telling.tell_server(scene.world.server))


def are_servers_ready(world: World) -> bool:
    """Return whether all replicas of the server are ready and none is being replaced."""
    server = world.server
    ready = find_condition(server, "Ready").get("status") == "True"
    settled = find_condition(server, "Reconciling").get("status") != "True"
    if not ready or not settled or server is None:
        return False
    return int(server["status"].get("readyReplicas", 0)) >= int(server["spec"]["replicas"])


def _watch(scene: Scene) -> None:
    feed, kubectl = scene.feed, scene.kubectl
    by_name = "--field-selector=metadata.name="
    feed.watch(Source.SERVER, "modelservers", setting.SERVING, f"{by_name}{setting.SERVER}")
    feed.watch(Source.PLAN, "configmaps", setting.SERVING, f"{by_name}{setting.SERVER}-plan")
    feed.watch(Source.JOBS, "finetunejobs", setting.SUPPORT, f"--selector={setting.JOB_LABEL}")
    feed.watch(Source.DEPLOYMENT, "adapterdeployments", setting.SUPPORT, f"{by_name}{setting.DEPLOYMENT}")
    feed.watch(Source.SPEED_DEPLOYMENT, "adapterdeployments", setting.SUPPORT, f"{by_name}{probe.NAME}")
    feed.poll(Source.EVALUATION, partial(fetch_evaluation, kubectl))
    feed.poll(Source.MEMORY, partial(memory.fetch_working_sets, kubectl, NAMESPACES))


def fetch_evaluation(kubectl: Kubectl) -> EvaluationProgress | None:
    """Return the progress of the running evaluation from its pod's log, or None if there is none.

    Raises:
        DevError: the pod has no log yet.
    """
    where = (f"--namespace={setting.SUPPORT}", "--selector=tunewright.dev/role=evaluate")
    return read_evaluation(kubectl.run("logs", *where, "--container=evaluate", "--tail=20"))


def measure(scene: Scene, in_flight: int) -> Speed:
    """Return the pool's speed with ``in_flight`` requests at a time, to an adapter that changes nothing.

    Raises:
        DevError: the adapter is not served, or there are no answers.
    """
    show = f"kubectl -n {setting.SUPPORT} describe adep {probe.NAME}"
    title = "The speed of the pool: many requests at a time to an adapter that changes nothing"
    scene.begin(title, [show, f"kubectl -n {setting.SUPPORT} logs -f {probe.NAME}"], "speed")
    server = {"name": setting.SERVER, "namespace": setting.SERVING}
    scene.kubectl.apply([probe.build_deployment(setting.SUPPORT, server, _publish_adapter(scene))])
    world = scene.world
    scene.wait(
        "all replicas to serve the adapter for the measurement, and to accept the client's key",
        lambda: _is_adapter_served(world) and client_key.is_accepted(scene.kubectl, setting.SUPPORT),
        lambda: (marks.mark_server(world.server), marks.mark_conditions(world.speed_deployment)),
        f"`{show}` and `kubectl -n {setting.SUPPORT} describe mcl {client_key.CLIENT}` show what it waits for.",
    )
    image = chart.read_images(scene.paths)["operator"]
    pace = customers.Pace(in_flight, 0.0)
    asking = customers.Customers(
        setting.SUPPORT, image, SERVER_URL, probe.NAME, pace, max_tokens=TOKENS_PER_ANSWER, name=probe.NAME
    )
    scene.kubectl.apply(customers.build_customers(asking, scene.example))
    scene.feed.follow(Source.SPEED, probe.NAME, setting.SUPPORT)
    scene.wait(
        "the measurement of the pool's speed",
        lambda: _read_speed(world, in_flight) is not None,
        lambda: (marks.mark_server(world.server), sum(not answer.failed for answer in world.speed_answers)),
        f"`kubectl -n {setting.SUPPORT} logs {probe.NAME}` shows the answers.",
    )
    speed = _read_speed(world, in_flight)
    assert speed is not None
    for objects in setting.MEASUREMENT:
        setting.delete_earlier(scene.kubectl, objects)
    return speed


def _is_adapter_served(world: World) -> bool:
    """Return whether all replicas answer for the alias of the measurement.

    Raises:
        DevError: its adapter was rejected.
    """
    history = (world.speed_deployment or {}).get("status", {}).get("history", ())
    if history:
        why = f"{history[0]['reason']}: {history[0].get('message', '')}"
        raise DevError(f"The servers do not serve the adapter for the measurement of the pool's speed. {why}")
    return world.ledger.serves_everywhere(probe.NAME)


def _read_speed(world: World, in_flight: int) -> Speed | None:
    """Return the speed when there are enough answers of the whole pool, before that None.

    Answers do not count while a replica is not ready: after an upgrade the pool replaces its pods, and the remaining
    ones are slower.

    Raises:
        DevError: there will be no more answers.
    """
    if not are_servers_ready(world):
        world.forget_speed_answers()
    speed = measure_speed(world.speed_answers, in_flight)
    if speed is None and world.speed_ended:
        logs = f"kubectl -n {setting.SUPPORT} logs {probe.NAME}"
        raise DevError(f"The pod that measures the pool's speed ended too early. See `{logs}`.")
    return speed


def _publish_adapter(scene: Scene) -> str:
    """Upload the adapter to the team's part of the bucket and return its address."""
    base = scene.kubectl.get("basemodel", setting.BASE_MODEL)
    if base is None or not base.get("status", {}).get("digest"):
        raise DevError(
            f"The BaseModel {setting.BASE_MODEL} has no digest. See `kubectl describe bm {setting.BASE_MODEL}`."
        )
    model = json.loads(bucket.read(scene.store, f"models/{setting.BASE_MODEL}/config.json"))
    folder, contents = probe.build_adapter(model, setting.BASE_MODEL, base["status"]["digest"])
    prefix = f"adapters/{setting.SUPPORT}/{folder}"
    for name, data in contents.items():
        bucket.put(scene.store, f"{prefix}/{name}", data)
    return bucket.format_uri(prefix)


def count_cores(kubectl: Kubectl) -> float:
    """Return how many cores pods can use on all nodes together."""
    nodes = json.loads(kubectl.run("get", "nodes", "-o", "json"))["items"]
    return sum(parse_cores(node["status"]["allocatable"]["cpu"]) for node in nodes)
