"""The port to the cluster with the Kubernetes client: kubeconfig, contexts and plugins as kubectl has them.

The client is imported only when a command uses the cluster: it takes ten times as long as the rest of a command.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tunewright_cli.cluster import AlreadyExistsError, Body, ClusterError, ConflictError, Resource

FIELD_MANAGER: Final = "kubectl-tunewright"
REQUEST_SECONDS: Final = 30
_GROUP: Final = {"group": "tunewright.dev", "version": "v1alpha1"}
_POD_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_NAMES: Final = {Resource.MODEL_CLIENT: "ModelClient", Resource.SECRET: "Secret"}


def connect(arguments: argparse.Namespace) -> KubernetesCluster:
    """Return the cluster of the chosen context, or of the pod in which the command runs.

    Raises:
        ClusterError: there is no usable kubeconfig.
    """
    from kubernetes import client, config  # noqa: PLC0415 - see the module's docstring

    configuration = client.Configuration()
    file = arguments.kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    try:
        if _is_in_pod(file):
            config.load_incluster_config(client_configuration=configuration)
            namespace = _POD_NAMESPACE.read_text().strip()
        else:
            config.load_kube_config(file, context=arguments.context, client_configuration=configuration)
            namespace = _find_namespace(*config.list_kube_config_contexts(file), name=arguments.context)
    except Exception as error:  # the loaders of the many ways to authenticate raise anything
        raise ClusterError(f"no cluster: the kubeconfig {file} cannot be used: {error}") from error
    if _is_loopback(configuration.host) and configuration.proxy in urllib.request.getproxies().values():
        configuration.proxy = None
    return KubernetesCluster(client.ApiClient(configuration), arguments.namespace or namespace)


def _is_in_pod(file: str) -> bool:
    """Return whether there is no kubeconfig, but a pod's ServiceAccount, as for a rotation by a CronJob."""
    exists = any(Path(part).expanduser().exists() for part in file.split(os.pathsep) if part)
    return not exists and "KUBERNETES_SERVICE_HOST" in os.environ


def _is_loopback(url: str) -> bool:
    """Return whether kubectl would ask no proxy of the environment for a URL, even without NO_PROXY."""
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _find_namespace(contexts: list[Body], current: Body, *, name: str | None) -> str:
    chosen = current if name is None else next(context for context in contexts if context["name"] == name)
    return str(chosen["context"].get("namespace") or "default")


class KubernetesCluster:
    """See `tunewright_cli.cluster.Cluster`."""

    def __init__(self, api_client: Any, namespace: str) -> None:
        from kubernetes import client  # noqa: PLC0415 - see the module's docstring

        self.namespace = namespace
        self._host = api_client.configuration.host
        self._objects = client.CustomObjectsApi(api_client)
        self._core = client.CoreV1Api(api_client)
        self._serialize = api_client.sanitize_for_serialization

    def get(self, resource: Resource, name: str) -> Body | None:
        """See `Cluster.get`."""
        try:
            if resource is Resource.SECRET:
                return self._call("get", resource, self._core.read_namespaced_secret, name, self.namespace)
            return self._call(
                "get", resource, self._objects.get_namespaced_custom_object, **self._address(resource), name=name
            )
        except _MissingError:
            return None

    def list_all(self, resource: Resource) -> list[Body]:
        """See `Cluster.list_all`; only ModelClients are listed."""
        call = self._objects.list_namespaced_custom_object
        items: list[Body] = self._call("list", resource, call, **self._address(resource))["items"]
        return items

    def create(self, resource: Resource, body: Body, *, dry_run: bool = False) -> Body:
        """See `Cluster.create`."""
        options = _options(dry_run=dry_run)
        if resource is Resource.SECRET:
            call = self._core.create_namespaced_secret
            return self._call("create", resource, call, namespace=self.namespace, body=body, **options)
        call = self._objects.create_namespaced_custom_object
        return self._call("create", resource, call, **self._address(resource), body=body, **options)

    def patch(self, resource: Resource, name: str, changes: Body, *, dry_run: bool = False) -> Body:
        """See `Cluster.patch`."""
        options = _options(dry_run=dry_run) | {"_content_type": "application/merge-patch+json"}
        if resource is Resource.SECRET:
            call = self._core.patch_namespaced_secret
            return self._call("patch", resource, call, name, self.namespace, changes, **options)
        call = self._objects.patch_namespaced_custom_object
        return self._call("patch", resource, call, **self._address(resource), name=name, body=changes, **options)

    def _address(self, resource: Resource) -> dict[str, str]:
        return {**_GROUP, "namespace": self.namespace, "plural": resource.value}

    def _call(self, verb: str, resource: Resource, call: Callable[..., Any], *arguments: Any, **options: Any) -> Body:
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - see the module's docstring
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - see the module's docstring

        try:
            answer: Body = self._serialize(call(*arguments, **options, _request_timeout=REQUEST_SECONDS))
        except ApiException as error:
            raise self._translate(verb, resource, error.status, error.body) from error
        except HTTPError as error:
            raise ClusterError(f"the API server at {self._host} cannot be reached: {error}") from error
        return answer

    def _translate(self, verb: str, resource: Resource, status: int | None, body: Any) -> ClusterError:
        """Return the error for an answer of the API server that refuses a request."""
        answer = _read_status(body)
        reason, kind = answer.get("reason"), (answer.get("details") or {}).get("kind")
        message = answer.get("message") or f"status {status}"
        error: type[ClusterError] = ClusterError
        if status == 409:
            error = AlreadyExistsError if reason == "AlreadyExists" else ConflictError
        match status, reason:
            case 404, "NotFound" if kind == resource.value:
                error = _MissingError
            case 404, "NotFound" if kind == "namespaces":
                message = f"namespace {self.namespace} does not exist; create it, or name another with -n"
            case 404, _ if resource is Resource.MODEL_CLIENT:
                message = "the cluster has no ModelClients: install the chart, or upgrade it"
            case 401, _:
                message = f"the API server at {self._host} does not accept your credentials; log in again"
            case 403, "Forbidden":
                message = f"you may not {verb} {_NAMES[resource]}s in namespace {self.namespace}: {message}"
            case _:
                message = f"the API server did not {verb} the {_NAMES[resource]}: {message}"
        return error(message)


class _MissingError(ClusterError):
    """The object does not exist."""


def _options(*, dry_run: bool) -> dict[str, str]:
    return {"field_manager": FIELD_MANAGER} | ({"dry_run": "All"} if dry_run else {})


def _read_status(body: Any) -> Body:
    """Return the Status object of an answer; an empty one if a proxy answered with something else."""
    try:
        answer = json.loads(body)
    except (TypeError, ValueError):
        return {}
    return answer if isinstance(answer, dict) else {}
