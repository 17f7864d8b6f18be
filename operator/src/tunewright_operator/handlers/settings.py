"""Kopf's settings: it watches for us and writes nothing.

We register `kopf.on.event` only. Such handlers put no finalizer and no annotation on any object, so that resources can
be deleted while the operator is away; state and clean-up belong to the loops (docs/adr/0003-kopf-watches-only.md).
"""

from __future__ import annotations

import kopf

from tunewright_operator.api import labels
from tunewright_operator.api.kinds import GROUP
from tunewright_operator.handlers.watch import CHILD_KINDS

ANNOTATION_PREFIX = f"kopf.{GROUP}"


def configure(settings: kopf.OperatorSettings) -> None:
    """Set what differs from Kopf's defaults."""
    # Ours to post, after the status write; Kopf's would tell of its own handlers.
    settings.posting.enabled = False
    # Should a later handler make Kopf write after all, then under our name.
    settings.persistence.finalizer = f"{GROUP}/kopf"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=ANNOTATION_PREFIX)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=ANNOTATION_PREFIX)
    # The CRDs are there before we start, so neither they nor namespaces need be watched.
    settings.scanning.disabled = True
    # A watch on a dead connection must end: without these it may stay silent for ever.
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 30
    settings.networking.request_timeout = 30
    # Filtered by the server: the operator need not hear of every pod in the cluster.
    for kind in CHILD_KINDS:
        settings.watching.label_selectors[kind.group, kind.version, kind.plural] = labels.OWNED_SELECTOR
