"""Whether replicas have converged, according to an observation of their server."""

from __future__ import annotations

import pytest

from support.worlds.rollout_world import make_situation
from tunewright_contracts.serving_plan import PodState
from tunewright_operator.domain.rollout.observation import Missing, Seen, Unseen
from tunewright_operator.domain.serving.replica import PodView, ServerFacts


def pod(generation: int, *, ready: bool = True) -> PodView:
    state = PodState(pod_uid="uid", boot_id="boot", plan_generation=generation)
    return PodView("uid", "pod", ready=ready, state=state)


def seen(*pods: PodView, targets: dict[str, int] | None = None) -> Seen:
    return Seen(ServerFacts(generation=2, targets=targets, pods=pods), "server-uid", "http://pool")


@pytest.mark.parametrize(
    ("server", "converged"),
    [
        pytest.param(seen(pod(2)), True, id="every ready pod has the plan"),
        pytest.param(seen(pod(2), pod(1)), False, id="one has an older plan"),
        pytest.param(seen(pod(2), pod(1, ready=False)), True, id="one that is not ready has an older plan"),
        pytest.param(seen(pod(2), targets={"support--one": 100}), False, id="the plan has other weights"),
        pytest.param(seen(pod(2, ready=False)), False, id="no pod is ready"),
        pytest.param(seen(), False, id="there is no pod"),
        pytest.param(Unseen(), False, id="the server was not observed"),
        pytest.param(Missing(), False, id="there is no server"),
    ],
)
def test_when_the_replicas_route_by_the_weights_in_the_status(server, converged):
    assert make_situation(server=server).converged is converged
