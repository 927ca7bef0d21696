"""`inv kube.*`: the manifests of an environment in a cluster."""

from __future__ import annotations

from pathlib import Path

from slipway_ops.tasks.containers import target
from slipway_ops.tasks.env import ENVIRONMENT
from slipway_ops.tasks.operation import operation


@operation(help=ENVIRONMENT)
def manifests(root: Path, environment: str | None = None) -> None:
    """Print the last deployment's manifests; Secrets are masked.

    Examples:
        inv kube.manifests staging
    """
    from slipway_ops.kubernetes import cluster, deployment
    from slipway_ops.kubernetes import manifests as objects

    found = cluster.require(root, target(root, environment))
    print(objects.text(objects.masked(deployment.render(found))))


@operation(help=ENVIRONMENT)
def diff(root: Path, environment: str | None = None) -> None:
    """Show how the cluster differs from the last deployment.

    Examples:
        inv kube.diff production
    """
    from slipway_ops.kubernetes import cluster, deployment

    found = cluster.require(root, target(root, environment))
    print(deployment.diff(found, deployment.render(found)) or "There is no difference.")
