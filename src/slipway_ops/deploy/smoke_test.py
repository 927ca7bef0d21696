"""Checks that a deployment answers as users reach it: pages, their configuration, the APIs.

The requests are sent from the container or the pod of an API, so the machine where the command is
typed needs no open port. On a host they go through the same proxy as those of people.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from slipway_ops.deploy import records
from slipway_ops.deploy.deployment import Target
from slipway_ops.errors import SlipwayError
from slipway_ops.images import bake
from slipway_ops.kubernetes.cluster import Cluster, kube_name

PAGE = (("/", "<html"), ("/config.json", "{"))
Request = tuple[str, int, str, str, str]  # host, port, path, what the answer holds, the member
# Runs in the container: prints what is wrong with each answer, a line each.
ASK = """
import json, sys
from http.client import HTTPConnection
for host, port, path, holds, name in json.loads(sys.argv[1]):
    try:
        connection = HTTPConnection(host, port, timeout=10)
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read().decode(errors="replace")
        if answer.status != 200:
            print(f"{name}{path} answers {answer.status}")
        elif holds not in body:
            print(f"{name}{path} answers without {holds}")
    except OSError as error:
        print(f"{name}{path} does not answer: {error}")
"""


def check(environment: Target, say: Callable[[str], object] = print) -> None:
    """Requests the page and the configuration of every app, and the description of every API.

    The description must name the version that runs: an answer of an older one is wrong.

    Args:
        say: gets a line about the result.

    Raises:
        SlipwayError: an answer is wrong or missing, nothing was deployed, or the host or cluster
            does not answer.
    """
    name, version = environment.environment, records.latest(environment).version
    images = bake.images(environment.root)
    apis = [member.name for member in images if member.kind == "api"]
    apps = sorted(member.name for member in images if member.kind == "app")
    if not apis:
        say(f"{name}: there is no API to send requests from; what runs is healthy.")
        return
    if isinstance(environment, Cluster):
        asked = _of_cluster(environment, version, apis, apps)
        place = f"deployment/{kube_name(apis[0])}"
        command = ["exec", place, "--", "python", "-c", ASK, json.dumps(asked)]
        said = environment.kubectl(*command).stdout
    else:
        # An image that did not change was not started again: its version is of its last start.
        containers = {c.service: c for c in environment.containers() if c.service in apis}
        asked = _of_host({api: containers[api].version for api in apis}, apps)
        said = environment.ask(
            "exec", containers[apis[0]].name, "python", "-c", ASK, json.dumps(asked)
        )
    if said.strip():
        wrong = "\n".join(f"  {line}" for line in said.splitlines())
        raise SlipwayError(
            f"{name} does not answer as {version} should:\n{wrong}\n"
            f"Look at `inv logs {name}`; `inv rollback {name}` brings back what ran before."
        )
    say(f"{name}: {len(asked)} answers are those of {version}.")


def _of_host(versions: Mapping[str, str], apps: list[str]) -> list[Request]:
    """The requests to the proxy of a host, whose ports are in the order of the names."""
    pages = [(8080 + number, app) for number, app in enumerate(apps)]
    asked = [("proxy", port, path, mark, app) for port, app in pages for path, mark in PAGE]
    ways = [(port, f"/api/{api}", api) for port, _ in pages for api in versions]
    ways = ways or [(8000 + number, "", api) for number, api in enumerate(sorted(versions))]
    return asked + [
        ("proxy", port, f"{way}/openapi.json", _described(versions[api]), api)
        for port, way, api in ways
    ]


def _of_cluster(there: Cluster, version: str, apis: list[str], apps: list[str]) -> list[Request]:
    """The requests to the Services of a cluster, by their addresses: it may have no DNS."""
    services = {s["metadata"]["name"]: s["spec"]["clusterIP"] for s in there.get("services")}
    host = {name: services.get(kube_name(name), kube_name(name)) for name in (*apis, *apps)}
    asked = [(host[app], 8080, path, mark, app) for app in apps for path, mark in PAGE]
    ways = [(host[app], 8080, f"/api/{kube_name(api)}", api) for app in apps for api in apis]
    ways = ways or [(host[api], 8000, "", api) for api in apis]
    return asked + [
        (address, port, f"{way}/openapi.json", _described(version), api)
        for address, port, way, api in ways
    ]


def _described(version: str) -> str:
    """What the description of an API holds, if it has this version."""
    return json.dumps({"version": version})[1:-1].replace(": ", ":")
