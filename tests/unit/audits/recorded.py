"""The output of pip-audit 2.10 and npm 11, in place of their processes.

tests/stages/audits starts the real ones, once for each outcome.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.version import Version

from doubles import KNOWN_FOR_YEARS, Advisory, Behavior
from slipway_ops.stages.audit import audits

REAL = audits.run_tool
HOST = "advisories.example"  # nothing connects to it
# The end of stderr of each tool, by the behavior of the service.
PIP_AUDIT: dict[Behavior, str] = {
    "error": "requests.exceptions.HTTPError: 500 Server Error: Internal Server Error for url: "
    "http://127.0.0.1:1/v1/query\n\nThe above exception was the direct cause of the following "
    "exception:\n\nTraceback (most recent call last):\n    raise ServiceError from http_error\n"
    "pip_audit._service.interface.ServiceError\n",
    "broken": "json.decoder.JSONDecodeError: Expecting value: line 1 column 19 (char 18)\n\nDuring "
    "handling of the above exception, another exception occurred:\n\nTraceback (most recent call "
    "last):\nrequests.exceptions.JSONDecodeError: Expecting value: line 1 column 19 (char 18)\n",
    "shape": "Traceback (most recent call last):\n                             ^^^^^^^^\n"
    "AttributeError: 'str' object has no attribute 'get'\n",
}
NPM: dict[Behavior, str] = {
    "error": "500 Internal Server Error - POST http://127.0.0.1:1/-/npm/v1/security/advisories/"
    "bulk",
    "broken": "invalid json response body at http://127.0.0.1:1/-/npm/v1/security/advisories/bulk "
    "reason: Unexpected end of JSON input",
}
# Packages of the app in subjects.py: folder, whether it is a direct dependency, who needs it.
CHAIN: dict[str, tuple[str, bool, list[str]]] = {
    "bottom": ("node_modules/bottom", False, ["middle"]),
    "middle": ("node_modules/middle", False, ["top"]),
    "top": ("node_modules/top", True, []),
}
SHAPE = "npm error Cannot create property 'name' on string 's'\n"
LOG = "npm error A complete log of this run can be found in: /home/me/.npm/_logs/debug-0.log\n"


class Tools:
    """Replaces `audits.run_tool` for pip-audit and npm, with services that know advisories.

    Attributes:
        asked: the pins of each run of pip-audit.
        started: the programs that were run.
    """

    def __init__(self, *advisories: Advisory, behavior: Behavior = "honest") -> None:
        known = advisories + KNOWN_FOR_YEARS
        self.known = {} if behavior == "ignorant" else {each.package: each for each in known}
        self.behavior = behavior
        self.asked: list[dict[str, str]] = []
        self.started: list[str] = []

    def __call__(
        self, command: list[str], folder: Path, environment: Mapping[str, str], seconds: float
    ) -> tuple[str, str]:
        self.started.append(command[0])
        if self.behavior == "dripping" and command[0] != "uv":
            raise TimeoutError(command[0])
        if command[0] == "npm":
            return self._npm()
        if command[0] == "pip-audit":
            return "", self._pip_audit(command)
        return REAL(command, folder, environment, seconds)

    def _pip_audit(self, command: list[str]) -> str:
        """Writes the answer to the named file; returns the text for stderr."""
        if self.behavior in PIP_AUDIT:
            return PIP_AUDIT[self.behavior]
        pins = Path(command[command.index("--requirement") + 1]).read_text(encoding="utf-8")
        self.asked.append(dict(line.split("==") for line in pins.splitlines()))
        found = [
            {"name": name, "version": version, "vulns": list(self._vulnerabilities(name, version))}
            for name, version in self.asked[-1].items()
        ]
        answer = json.dumps({"dependencies": found, "fixes": []})
        Path(command[command.index("--output") + 1]).write_text(answer, encoding="utf-8")
        return "No known vulnerabilities found\n"

    def _vulnerabilities(self, name: str, version: str) -> list[dict[str, Any]]:
        found = self.known.get(name)
        if found is None or (found.fixed and Version(version) >= Version(found.fixed)):
            return []
        fixes = [found.fixed] if found.fixed else []
        own = {"id": found.id, "aliases": list(found.aliases), "description": found.summary}
        return [own | {"fix_versions": fixes}]

    def _npm(self) -> tuple[str, str]:
        if self.behavior == "shape":
            return json.dumps({"error": {"summary": "Cannot create property"}}), SHAPE + LOG
        if self.behavior in NPM:
            message = NPM[self.behavior]
            return json.dumps({"message": message}), f"npm warn audit {message}\n{LOG}"
        vulnerable = {audits.KNOWN_NPM[0]: (audits.KNOWN_NODE, False, []), **CHAIN}
        found = {
            name: {"nodes": [node], "isDirect": direct, "effects": effects, "fixAvailable": False}
            | {"via": [self._as_npm(name)] if name in self.known else ["what it depends on"]}
            for name, (node, direct, effects) in vulnerable.items()
            if name in self.known or (name in CHAIN and "bottom" in self.known)
        }
        return json.dumps({"auditReportVersion": 2, "vulnerabilities": found}), ""

    def _as_npm(self, name: str) -> dict[str, Any]:
        found = self.known[name].as_npm()
        return found | {"source": found["id"], "range": found["vulnerable_versions"]}
