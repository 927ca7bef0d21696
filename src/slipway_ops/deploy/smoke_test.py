"""Whether what was deployed answers as people reach it: pages, their configuration, the APIs.

The requests are sent on the host itself, from the container of an API: no port has to be open to
whoever types the command. They go through the same proxy as those of people.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from slipway_ops.deploy import compose, records
from slipway_ops.errors import SlipwayError
from slipway_ops.images import bake
from slipway_ops.kubernetes import cluster

PAGE = (("/", "<html"), ("/config.json", "{"))
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


def run(root: Path, environment: str, say: Callable[[str], object] = print) -> None:
    """Requests the page and the configuration of every app, and the description of every API.

    The description must name the version of the containers that run: an answer of an older one is
    wrong.

    Args:
        say: gets a line about the result.

    Raises:
        SlipwayError: an answer is wrong or missing, or nothing was deployed.
        ComposeError: the host does not answer.
    """
    if there := cluster.of(root, environment):
        from slipway_ops.kubernetes import smoke_test as in_cluster  # which asks the same

        in_cluster.run(there, say)
        return
    stack = compose.stack(root, environment)
    past = records.healthy(stack)
    if not past:
        raise SlipwayError(
            f"Nothing was deployed to {environment} yet. " f"Type: inv deploy {environment}"
        )
    kinds = {member.name: member.kind for member in bake.images(root)}
    apis = [name for name, kind in kinds.items() if kind == "api"]
    apps = [name for name, kind in kinds.items() if kind == "app"]
    if not apis:
        say(f"{environment}: there is no API to send requests from; the containers are healthy.")
        return
    # An image that did not change was not started again: its version is that of its last start.
    containers = {c.service: c for c in stack.containers() if c.service in apis}
    described = {
        name: json.dumps({"version": containers[name].version})[1:-1].replace(": ", ":")
        for name in apis
    }
    # The ports of the proxy are in the order of the names.
    pages = [(8080 + number, app) for number, app in enumerate(sorted(apps))]
    asked = [("proxy", port, path, mark, app) for port, app in pages for path, mark in PAGE]
    ways = [(port, f"/api/{api}", api) for port, _ in pages for api in apis]
    ways = ways or [(8000 + number, "", api) for number, api in enumerate(sorted(apis))]
    asked += [
        ("proxy", port, f"{way}/openapi.json", described[api], api) for port, way, api in ways
    ]
    container = containers[apis[0]].name
    found = stack.ask("exec", container, "python", "-c", ASK, json.dumps(asked)).splitlines()
    if found:
        wrong = "\n".join(f"  {line}" for line in found)
        raise SlipwayError(
            f"{environment} does not answer as {past[0].version} should:\n{wrong}\n"
            f"Look at `inv logs {environment}`; `inv rollback {environment}` "
            "brings back what ran before."
        )
    say(f"{environment}: {len(asked)} answers are those of {past[0].version}.")
