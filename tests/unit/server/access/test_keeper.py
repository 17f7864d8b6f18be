"""A revoked key stays excluded: after restarts, in any order of pushes, and when the list cannot be stored."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import support.worlds.server_world as world
from support.worlds.server_world import make_access, make_client, sign
from tunewright_contracts.clients.client_key import build_client_key
from tunewright_contracts.serving_plan import PlanStatus
from tunewright_server.access.callers import Callers
from tunewright_server.access.keeper import AccessKeeper
from tunewright_server.auth import OperatorKey

KEYS = tuple(build_client_key(str(number) * 12, "s" * 43) for number in range(3))


@pytest.fixture
def make_keeper(tmp_path):
    (tmp_path / "operator.pub").write_bytes(world.PEM)

    def make() -> AccessKeeper:
        return AccessKeeper(
            OperatorKey(tmp_path / "operator.pub"), world.SERVER_UID, tmp_path / "state" / "access.json"
        )

    return make


@pytest.mark.parametrize(
    "text",
    [
        sign(make_access(9), Ed25519PrivateKey.generate()),
        sign(make_access(9, server_uid="another")),
        sign(world.make_plan(9)),  # the same signature, on a document of another kind
        b"no json",
    ],
)
def test_a_list_that_is_not_for_this_server_changes_nothing(make_keeper, text):
    keeper = make_keeper()
    keeper.offer(sign(make_access(1, make_client(KEYS[0]))))
    assert not keeper.offer(text).changed
    assert keeper.last.status is PlanStatus.REFUSED
    assert keeper.current.clients


def test_a_full_disk_does_not_keep_a_revoked_key_alive(make_keeper, tmp_path):
    keeper = make_keeper()
    keeper.offer(sign(make_access(1, make_client(KEYS[0]))))
    stored = tmp_path / "state"
    stored.rename(tmp_path / "aside")
    stored.write_text("in the way")
    for changed in (True, False):  # also a repeated push shows that it is not stored
        offer = keeper.offer(sign(make_access(2)))
        assert (offer.status, offer.changed) == (PlanStatus.REFUSED, changed)
        assert "cannot be stored" in keeper.last.message
        assert keeper.current.clients == ()
    stored.unlink()
    assert keeper.offer(sign(make_access(2))).status is PlanStatus.APPLIED
    again = make_keeper()
    again.restore()
    assert again.generation == 2


class Pod(RuleBasedStateMachine):
    """Each generation of the list has one set of valid keys, as the operator decided it.

    The rules are everything that can reach a pod, in any order; the pod may never go back to an earlier set. A pod
    whose disk is lost is a new pod: it starts with the mounted list, which the operator writes before it pushes.
    """

    def __init__(self, make_keeper, stored):
        super().__init__()
        self.make_keeper, self.stored = make_keeper, stored
        self.stored.unlink(missing_ok=True)
        self.keeper = self.make_keeper()
        self.lists = [make_access(1, make_client(*KEYS))]
        self.mounted = 1
        self.seen = 0

    @rule(valid=st.sets(st.sampled_from(KEYS)))
    def decide(self, valid):
        self.lists.append(make_access(len(self.lists) + 1, *(make_client(key) for key in sorted(valid))))

    @rule(data=st.data())
    def push(self, data):
        self.keeper.offer(sign(data.draw(st.sampled_from(self.lists))))

    @rule()
    def mount(self):
        self.mounted = len(self.lists)

    @rule()
    def read_mounted(self):
        self.keeper.offer_mounted(sign(self.lists[self.mounted - 1]))

    @rule(forged=st.sampled_from([sign(world.make_plan(99)), b"", sign(make_access(99, server_uid="x"))]))
    def attack(self, forged):
        self.keeper.offer(forged)

    @rule()
    def restart(self):
        self.keeper = self.make_keeper()
        self.keeper.restore()

    @rule()
    def replace_pod(self):
        self.stored.unlink(missing_ok=True)
        self.keeper = self.make_keeper()
        self.mounted = len(self.lists)
        self.keeper.offer_mounted(sign(self.lists[self.mounted - 1]))

    @invariant()
    def only_the_newest_list_counts(self):
        generation = self.keeper.generation
        assert generation >= self.seen
        self.seen = generation
        if not generation:
            return
        callers = Callers(self.keeper.current)
        decided = Callers(self.lists[generation - 1])
        assert [callers.identify(key, 0) for key in KEYS] == [decided.identify(key, 0) for key in KEYS]


def test_no_order_of_pushes_restarts_and_lost_files_revives_a_revoked_key(make_keeper, tmp_path):
    run_state_machine_as_test(
        lambda: Pod(make_keeper, tmp_path / "state" / "access.json"),
        settings=settings(max_examples=20, stateful_step_count=15, deadline=None),
    )
