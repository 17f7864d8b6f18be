from __future__ import annotations

import json

from tunewright_dev.object_store import identities


def test_identities_have_only_the_rights_that_they_need():
    accesses = {name: identities.generate_access() for name in identities.IDENTITIES}
    assert len({access.secret_key for access in accesses.values()}) == len(accesses)
    entries = json.loads(identities.build_identities(accesses))["identities"]
    actions = {entry["name"]: entry["actions"] for entry in entries}
    assert actions["server"] == ["Read:tunewright", "List:tunewright"]
    assert actions["trafficlog"] == ["Write:tunewright-logs"]
    assert "Write:tunewright" in actions["trainer"]
