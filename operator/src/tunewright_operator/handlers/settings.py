"""Kopf's settings: Kopf watches objects and writes nothing.

All handlers are `kopf.on.event` handlers, for which Kopf adds no finalizers and no annotations. So resources can be
deleted while the operator is down. The loops keep the state and clean up (docs/adr/0003-kopf-watches-only.md).
"""

from __future__ import annotations

import kopf

from tunewright_operator.api import labels
from tunewright_operator.api.kinds import GROUP
from tunewright_operator.store.child_bodies import CHILD_KINDS

ANNOTATION_PREFIX = f"kopf.{GROUP}"
LIST_PAGE = 500


def configure(settings: kopf.OperatorSettings) -> None:
    """Set what differs from Kopf's defaults."""
    # The loops record Events, after the status write. Kopf's Events would describe its handlers.
    settings.posting.enabled = False
    # Kopf writes no finalizers and no annotations now. If a later handler makes it write some, they are in our domain.
    settings.persistence.finalizer = f"{GROUP}/kopf"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=ANNOTATION_PREFIX)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=ANNOTATION_PREFIX)
    # The CRDs exist before Kopf starts, so it need not watch CRDs and namespaces.
    settings.scanning.disabled = True
    # Kopf would kill the process 10 minutes after its end. The kubelet does that, after the grace period of the pod.
    settings.process.ultimate_exiting_timeout = None
    # Without pages, a list of all objects of a kind is in memory at once.
    settings.watching.chunk_size = LIST_PAGE
    # Without timeouts, a watch on a broken connection would wait forever.
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 30
    settings.networking.request_timeout = 30
    # The API server filters by this label, so that the operator does not receive every pod in the cluster.
    for kind in CHILD_KINDS:
        settings.watching.label_selectors[kind.group, kind.version, kind.plural] = labels.OWNED_SELECTOR
