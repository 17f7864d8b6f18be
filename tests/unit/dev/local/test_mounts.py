from __future__ import annotations

from pathlib import Path

from tunewright_dev.local import mounts


def test_mounts_below_the_folders_are_found_latest_first_without_the_folders_themselves():
    table = r"""22 1 0:20 / / rw - ext4 /dev/vda rw
30 22 0:21 / /run/tunewright/netns/a rw - nsfs nsfs rw
31 22 0:22 / /var/lib/tunewright/with\040space rw - tmpfs tmpfs rw
32 22 0:23 / /run/tunewright-other rw - tmpfs tmpfs rw
33 22 8:16 / /var/lib/tunewright rw - ext4 /dev/vdb rw"""
    found = mounts.find_mounts(table, [Path("/run/tunewright"), Path("/var/lib/tunewright")])
    assert found == [Path("/var/lib/tunewright/with space"), Path("/run/tunewright/netns/a")]
