"""The board of the access lists wakes the clients for which something changed, and no others."""

import pytest

from tunewright_contracts.clients.access_list import AccessList, ClientEntry, KeyEntry
from tunewright_contracts.serving_plan import AccessState, PlanStatus, PodState
from tunewright_operator.api.kinds import MODEL_CLIENT
from tunewright_operator.api.model_client import ModelClient
from tunewright_operator.domain.serving.pods import ServerPod
from tunewright_operator.domain.serving.propagation import Reach
from tunewright_operator.runtime.key import Key, Urgency
from tunewright_operator.runtime.polling.access_board import UNLISTED, AccessBoard

WEB, APP = Key(MODEL_CLIENT, "team", "web"), Key(MODEL_CLIENT, "team", "app")


class Setting:
    def __init__(self):
        self.woken = {}
        self.board = AccessBoard(self.woken.__setitem__)

    def publish(self, generation, clients, applied, *, ready=None):
        """Publish a list of clients, given by name with the generation of each spec, and what each pod has applied."""
        self.woken.clear()
        entries = tuple(
            ClientEntry(namespace="team", name=name, keys=(KeyEntry(id="a" * 12, sha256=str(number) * 64),))
            for name, number in clients.items()
        )
        access = AccessList(kind="AccessList", server_uid="server", generation=generation, clients=entries)
        found = [self.client(name, number) for name, number in clients.items()]
        pods = tuple(ServerPod(pod, "serving", pod, "10.0.0.1", ready=True) for pod in ready or applied)
        states = {
            pod: PodState(
                pod_uid=pod,
                boot_id="b",
                access=AccessState(generation=number, hash=access.content_hash, status=PlanStatus.APPLIED),
            )
            for pod, number in applied.items()
        }
        self.board.publish("server", access, found, frozenset(), pods=pods, states=states)
        return dict(self.woken)

    @staticmethod
    def client(name, generation):
        metadata = {"name": name, "namespace": "team", "uid": name, "generation": generation}
        return ModelClient.from_body({"metadata": metadata, "spec": {"aliases": {"all": True}}})


@pytest.fixture
def setting():
    setting = Setting()
    setting.publish(1, {"web": 1, "app": 1}, {"a": 1, "b": 1})
    return setting


def test_a_change_of_one_client_wakes_no_other_one(setting):
    assert setting.publish(2, {"web": 2, "app": 1}, {"a": 1, "b": 1}) == {WEB: Urgency.CHILD}
    assert setting.board.read("server", "web").reach == Reach(0, behind=("a", "b"))
    assert setting.board.read("server", "app").reach == Reach(2)
    assert setting.publish(2, {"web": 2, "app": 1}, {"a": 2, "b": 1}) == {WEB: Urgency.CHILD}
    assert setting.publish(2, {"web": 2, "app": 1}, {"a": 2, "b": 2}) == {WEB: Urgency.CHILD}
    assert setting.publish(2, {"web": 2, "app": 1}, {"a": 2, "b": 2}) == {}


def test_the_number_of_pods_is_no_urgent_news(setting):
    assert setting.publish(1, {"web": 1, "app": 1}, {"a": 1, "b": 1, "c": 1}) == dict.fromkeys(
        (WEB, APP), Urgency.PROGRESS
    )


def test_a_pod_that_has_the_list_may_fall_silent(setting):
    assert setting.publish(1, {"web": 1, "app": 1}, {"a": 1}, ready=("a", "b")) == {}
    assert setting.publish(2, {"web": 2, "app": 1}, {"a": 2}, ready=("a", "b")) == {WEB: Urgency.CHILD}
    assert setting.board.read("server", "web").reach == Reach(1, silent=("b",))


def test_a_list_that_does_not_continue_the_last_one_must_be_reported_again(setting):
    assert setting.publish(1, {"web": 2, "app": 1}, {}, ready=("a", "b")) == dict.fromkeys((WEB, APP), Urgency.CHILD)
    assert setting.board.read("server", "app").reach == Reach(0, silent=("a", "b"))


def test_a_client_that_goes_is_woken(setting):
    assert setting.publish(2, {"web": 1}, {"a": 1, "b": 1}) == {APP: Urgency.CHILD}
    assert setting.board.read("server", "app") == UNLISTED


def test_a_server_that_was_not_reconciled_is_not_known(setting):
    assert setting.board.read("other", "web") is None
    setting.board.forget("server")
    assert setting.board.read("server", "web") is None
