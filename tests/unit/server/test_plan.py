"""A pod uses the highest generation that the operator signed for its server, also after a restart."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import support.worlds.server_world as world
from tunewright_contracts.serving_plan import PlanStatus
from tunewright_server.auth import OperatorKey
from tunewright_server.kept_document import MountedDocument
from tunewright_server.plan import PlanKeeper


@pytest.fixture
def make_keeper(tmp_path):
    (tmp_path / "operator.pub").write_bytes(world.PEM)

    def make() -> PlanKeeper:
        key = OperatorKey(tmp_path / "operator.pub")
        return PlanKeeper(key, world.SERVER_UID, world.BASE_DIGEST, tmp_path / "state" / "plan.json")

    return make


def test_a_higher_generation_is_applied(make_keeper):
    keeper = make_keeper()
    assert keeper.last.status is PlanStatus.NONE
    for generation in (1, 5):
        assert keeper.offer(world.sign(world.make_plan(generation))).changed
    assert keeper.current.generation == 5
    assert keeper.current_hash == world.make_plan(5).content_hash


def test_a_lower_generation_is_refused_when_pushed_and_ignored_when_mounted(make_keeper):
    keeper = make_keeper()
    keeper.offer(world.sign(world.make_plan(5)))
    assert keeper.offer_mounted(world.sign(world.make_plan(4))).stale
    assert keeper.last.status is PlanStatus.APPLIED
    pushed = keeper.offer(world.sign(world.make_plan(4)))
    assert (pushed.status, pushed.changed) == (PlanStatus.REFUSED, False)
    assert keeper.last.status is PlanStatus.REFUSED
    assert keeper.current.generation == 5


def test_the_same_generation_with_other_content_is_a_conflict_until_a_newer_one(make_keeper, tmp_path):
    keeper = make_keeper()
    keeper.offer(world.sign(world.make_plan(5)))
    other = world.make_plan(5, [world.FakeSource().publish(tmp_path)])
    conflict = keeper.offer_mounted(world.sign(other))
    assert conflict.status is PlanStatus.CONFLICT
    assert keeper.last.status is PlanStatus.CONFLICT
    assert keeper.current.adapters == ()
    assert keeper.offer(world.sign(world.make_plan(5))).status is PlanStatus.APPLIED
    keeper.offer_mounted(world.sign(other))
    assert keeper.offer(world.sign(other.updated(generation=6))).changed
    assert keeper.last.status is PlanStatus.APPLIED


def test_a_restart_uses_the_stored_plan_and_not_an_older_mounted_one(make_keeper):
    make_keeper().offer(world.sign(world.make_plan(7)))
    again = make_keeper()
    again.restore()
    again.offer_mounted(world.sign(world.make_plan(3)))
    assert again.current.generation == 7
    assert again.last.status is PlanStatus.APPLIED


def test_a_stored_plan_of_another_key_is_not_used(make_keeper, tmp_path):
    stored = tmp_path / "state" / "plan.json"
    stored.parent.mkdir()
    stored.write_bytes(world.sign(world.make_plan(7), Ed25519PrivateKey.generate()))
    keeper = make_keeper()
    keeper.restore()
    assert keeper.current is None


@pytest.mark.parametrize(
    "text",
    [
        world.sign(world.make_plan(9), Ed25519PrivateKey.generate()),
        world.sign(world.make_plan(9)).replace(b'"payload":"ey', b'"payload":"ex'),
        world.sign(world.make_plan(9)).replace(b'"signature":"', b'"signature":"?'),
    ],
)
def test_a_bad_signature(make_keeper, text):
    keeper = make_keeper()
    offer = keeper.offer(text)
    assert offer.status is PlanStatus.REFUSED
    assert offer.unsigned
    assert keeper.current is None


@pytest.mark.parametrize(
    "text",
    [
        b"no json",
        world.sign(world.make_plan(9, server_uid="another")),
        world.sign(world.make_plan(9, base_model_digest="sha256:" + "c" * 64)),
    ],
)
def test_an_unreadable_plan_or_one_for_another_server(make_keeper, text):
    keeper = make_keeper()
    assert keeper.offer(text).status is PlanStatus.REFUSED
    assert keeper.current is None


def test_a_plan_that_cannot_be_stored_is_not_applied(make_keeper, tmp_path):
    (tmp_path / "state").write_text("in the way")
    keeper = make_keeper()
    assert keeper.offer(world.sign(world.make_plan(1))).status is PlanStatus.REFUSED
    assert keeper.current is None


def test_a_missing_key_refuses_everything(make_keeper, tmp_path):
    keeper = make_keeper()
    (tmp_path / "operator.pub").unlink()
    assert keeper.offer(world.sign(world.make_plan(1))).unsigned


def test_a_rotated_key_is_read(make_keeper, tmp_path):
    keeper = make_keeper()
    keeper.offer(world.sign(world.make_plan(1)))
    fresh = Ed25519PrivateKey.generate()
    public = fresh.public_key().public_bytes(world.Encoding.PEM, world.PublicFormat.SubjectPublicKeyInfo)
    # Like the kubelet: a new file under the same name.
    (tmp_path / "new.pub").write_bytes(public)
    (tmp_path / "new.pub").replace(tmp_path / "operator.pub")
    assert keeper.offer(world.sign(world.make_plan(2))).unsigned
    assert keeper.offer(world.sign(world.make_plan(2), fresh)).changed


def test_the_mount_is_read_when_the_kubelet_swaps_it(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "plan.json").write_text(name)
    mounted = MountedDocument(tmp_path / "mount" / "plan.json")
    assert mounted.read_if_changed() is None
    (tmp_path / "mount").symlink_to("one")
    assert mounted.read_if_changed() == b"one"
    assert mounted.read_if_changed() is None
    (tmp_path / "swap").symlink_to("two")
    (tmp_path / "swap").replace(tmp_path / "mount")
    assert mounted.read_if_changed() == b"two"
