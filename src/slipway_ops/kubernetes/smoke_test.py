"""Whether what was deployed to a cluster answers: what `deploy/smoke_test.py` asks on a host.

The requests are sent from a pod of an API, so no port has to be open to whoever types the command.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from slipway_ops.deploy.smoke_test import ASK, PAGE
from slipway_ops.errors import SlipwayError
from slipway_ops.images import bake
from slipway_ops.kubernetes import records
from slipway_ops.kubernetes.cluster import Cluster, kube_name


def run(cluster: Cluster, say: Callable[[str], object] = print) -> None:
    """Requests the page and the configuration of every app, and the description of every API.

    Args:
        say: gets a line about the result.

    Raises:
        SlipwayError: an answer is wrong or missing, or nothing was deployed.
        KubectlError: the cluster does not answer.
    """
    name = cluster.environment
    past = records.healthy(cluster)
    if not past:
        raise SlipwayError(f"Nothing was deployed to {name} yet. Type: inv deploy {name}")
    images = bake.images(cluster.root)
    apis = [kube_name(member.name) for member in images if member.kind == "api"]
    apps = [kube_name(member.name) for member in images if member.kind == "app"]
    if not apis:
        say(f"{name}: there is no API to send requests from; the pods are healthy.")
        return
    addresses = {
        each["metadata"]["name"]: each["spec"]["clusterIP"] for each in cluster.get("services")
    }
    described = json.dumps({"version": past[0].version})[1:-1].replace(": ", ":")
    asked = [(addresses.get(app, app), 8080, path, mark) for app in apps for path, mark in PAGE]
    ways = [(addresses.get(a, a), 8080, f"/api/{api}") for a in apps for api in apis]
    ways = ways or [(addresses.get(api, api), 8000, "") for api in apis]
    asked += [(host, port, f"{path}/openapi.json", described) for host, port, path in ways]
    command = ["exec", f"deployment/{apis[0]}", "--", "python", "-c", ASK, json.dumps(asked)]
    found = cluster.kubectl(*command).stdout.splitlines()
    if found:
        wrong = "\n".join(f"  {line}" for line in found)
        raise SlipwayError(
            f"{name} does not answer as {past[0].version} should:\n{wrong}\n"
            f"Look at `inv logs {name}`; `inv rollback {name}` brings back what ran before."
        )
    say(f"{name}: {len(asked)} answers are those of {past[0].version}.")
