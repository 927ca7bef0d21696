"""Checks a Docker engine and its host."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from slipway_ops.doctor.check import Check, unknown, wrong
from slipway_ops.images import bake

INFO = ("info", "--format", "{{json .}}")
ENGINE = 25  # the first version that has all features used here
PLUGINS = {"compose": (2, 24), "buildx": (0, 13)}
MEMORY = 2  # GB; the product itself needs about 1
DRIFT = 30  # seconds that clocks may differ
GB = 1_000_000_000


def parsed(text: str) -> dict[str, Any]:
    """Returns the answer of `docker info`; empty if it is not readable or there is no engine."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return {} if not isinstance(found, dict) or found.get("ServerErrors") else found


def engine(info: Mapping[str, Any], where: str) -> Iterator[Check]:
    """Checks the engine's version, and the memory and clock of its host."""
    version = str(info.get("ServerVersion", ""))
    if int((re.match(r"\d+", version) or ["0"])[0]) < ENGINE:
        text = f"{version} on {where} is older than {ENGINE}"
        yield wrong("Docker Engine", text, f"see {bake.GET_DOCKER}")
    else:
        yield Check("Docker Engine", f"{version} on {where}")
    memory = int(info.get("MemTotal", 0)) / GB
    if memory < MEMORY:
        text = f"{memory:.1f} GB on {where}; two versions side by side need {MEMORY} GB"
        yield wrong("Memory", text, "inv env.show (REPLICAS_… is the number of containers)")
    else:
        yield Check("Memory", f"{memory:.1f} GB on {where}")
    yield _clock(str(info.get("SystemTime", "")), where)


def live_restore(info: Mapping[str, Any], where: str) -> Check:
    """Recommends that containers go on without the engine, where an environment is deployed."""
    if info.get("LiveRestoreEnabled"):
        return Check("Live restore", f"containers on {where} go on if its engine crashes")
    text = f"if the engine on {where} crashes, all containers stop and start again"
    setting = f'"live-restore": true to /etc/docker/daemon.json on {where}'
    return Check("Live restore", text, f"sudo systemctl reload docker (after adding {setting})")


def plugins(info: Mapping[str, Any]) -> Iterator[Check]:
    """Checks that docker on this machine has new enough versions of the plugins."""
    found = {
        plugin["Name"]: str(plugin.get("Version", ""))
        for plugin in (info.get("ClientInfo") or {}).get("Plugins") or []
    }
    for name, needed in PLUGINS.items():
        version = found.get(name, "")
        numbers = tuple(int(n) for n in re.findall(r"\d+", version)[:2])
        if numbers < needed:
            least = ".".join(map(str, needed))
            text = f"{version or 'missing'}; version {least} or later is needed"
            yield wrong(f"docker {name}", text, f"see {bake.GET_DOCKER}")
        else:
            yield Check(f"docker {name}", version)


def _clock(text: str, where: str) -> Check:
    try:
        # Python does not parse nanoseconds.
        there = datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", text))
    except ValueError:
        return unknown("Clock", f"the engine on {where} does not report the time")
    seconds = abs((there - datetime.now(UTC)).total_seconds())
    if seconds > DRIFT:
        text = f"the clock of {where} differs by {seconds:.0f} seconds from this machine's"
        return wrong("Clock", text, "timedatectl set-ntp true (on both machines)")
    return Check("Clock", f"the engine's on {where} differs by less than {DRIFT} seconds")
