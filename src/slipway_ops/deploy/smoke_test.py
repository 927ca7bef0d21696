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
for host, port, path, holds in json.loads(sys.argv[1]):
    try:
        connection = HTTPConnection(host, port, timeout=10)
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read().decode(errors="replace")
        if answer.status != 200:
            print(f"{host}{path} answers {answer.status}")
        elif holds not in body:
            print(f"{host}{path} answers without {holds}")
    except OSError as error:
        print(f"{host}{path} does not answer: {error}")
"""


def run(root: Path, environment: str, say: Callable[[str], object] = print) -> None:
    """Requests the page and the configuration of every app, and the description of every API.

    The description must name the version that was deployed last: an answer of an older container
    is wrong.

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
    described = json.dumps({"version": past[0].version})[1:-1].replace(": ", ":")
    asked = [(app, 8080, path, mark) for app in apps for path, mark in PAGE]
    ways = [(app, 8080, f"/api/{api}") for app in apps for api in apis]
    ways = ways or [(api, 8000, "") for api in apis]
    asked += [(host, port, f"{path}/openapi.json", described) for host, port, path in ways]
    container = next(c.name for c in stack.containers() if c.service == apis[0])
    found = stack.ask("exec", container, "python", "-c", ASK, json.dumps(asked)).splitlines()
    if found:
        wrong = "\n".join(f"  {line}" for line in found)
        raise SlipwayError(
            f"{environment} does not answer as {past[0].version} should:\n{wrong}\n"
            f"Look at `inv logs {environment}`; `inv rollback {environment}` "
            "brings back what ran before."
        )
    say(f"{environment}: {len(asked)} answers are those of {past[0].version}.")
