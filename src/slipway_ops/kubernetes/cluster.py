"""An environment in a cluster, which is reached by the kubectl of the person who types the command.

KUBE_CONTEXT of the environment names a context of kubectl, KUBE_NAMESPACE the namespace in it.
Every object of the project has the label `PART_OF`.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slipway_ops import project, shell
from slipway_ops.deploy.environment import Environment
from slipway_ops.deploy.records import Record
from slipway_ops.environments import environment_files
from slipway_ops.errors import SlipwayError

PART_OF = "app.kubernetes.io/part-of"
NAME = "app.kubernetes.io/name"
RECORD = "slipway/record"  # a label of records; its value is the project and the environment
MANAGER = "slipway"  # of the fields that are applied
OLDEST = 30  # minor version of Kubernetes 1 that knows everything in the manifests
GET_KUBECTL = "https://kubernetes.io/docs/tasks/tools/"
Object = dict[str, Any]


class KubectlError(SlipwayError):
    """kubectl is not installed, does not reach the cluster, or was refused; the text says which."""


@dataclass(frozen=True)
class Cluster(Environment):
    """One environment in a cluster.

    A record is a ConfigMap in the namespace.

    Attributes:
        run: runs kubectl, as `shell.ask` does.
    """

    run: Callable[..., subprocess.CompletedProcess[str]] = field(default=shell.ask, repr=False)

    @property
    def namespace(self) -> str:
        """The namespace of the environment."""
        return self.values.get("KUBE_NAMESPACE") or self.project

    @property
    def place(self) -> str:
        """Where it runs, in words."""
        return f"in namespace {self.namespace} of {self.values['KUBE_CONTEXT']}"

    def records(self) -> list[tuple[str, str, str]]:
        """See `Environment.records`."""
        found = self.get("configmaps", f"--selector={RECORD}={self.project}")
        metadata = [each["metadata"] for each in found]
        texts = [(each.get("data") or {}).get("record", "") for each in found]
        return [(m["name"], text, m["creationTimestamp"]) for m, text in zip(metadata, texts)]

    def keep(self, record: Record, text: str) -> None:
        """See `Environment.keep`."""
        metadata = {"name": f"deployment-{record.number}", "labels": {RECORD: self.project}}
        written = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
        verb = "replace" if record.healthy else "create"
        text = json.dumps({**written, "data": {"record": text}})
        self.kubectl(verb, "--filename=-", text=text)

    def forget(self, records: Iterable[Record]) -> None:
        """See `Environment.forget`."""
        if names := [f"deployment-{record.number}" for record in records]:
            self.kubectl("delete", "configmap", "--ignore-not-found", "--wait=false", *names)

    def forget_command(self, name: str) -> str:
        """See `Environment.forget_command`."""
        return shlex.join([*self._command, "delete", "configmap", name])

    def kubectl(
        self, *words: str, text: str = "", statuses: tuple[int, ...] = (0,)
    ) -> subprocess.CompletedProcess[str]:
        """Runs `kubectl …` in the namespace.

        Args:
            text: what it reads from its standard input.
            statuses: what it may end with.

        Raises:
            KubectlError: it is not installed, or ended with another status.
        """
        command = [*self._command, "--request-timeout=30s", *words]
        try:
            with self._configuration() as variables:
                done = self.run(*command, cwd=self.root, env=variables, text=text)
        except shell.CommandError as error:
            raise KubectlError(
                f"kubectl cannot be run here: {error.reason}. Install it ({GET_KUBECTL}), then "
                "type the command again."
            ) from error
        if done.returncode not in statuses:
            said = done.stderr.strip() or f"it ended with status {done.returncode}"
            raise KubectlError(
                f"`kubectl {words[0]}` failed {self.place}:\n{_indented(said)}\n"
                f"Check the access (`inv status {self.environment}`), then type the command again."
            )
        return done

    def get(self, kinds: str, *words: str) -> list[Object]:
        """The objects of some kinds, such as `pods,services`; those of this project by default.

        Args:
            words: choose others.

        Raises:
            KubectlError: see `kubectl`.
        """
        chosen = words or (f"--selector={PART_OF}={self.slug}",)
        done = self.kubectl("get", kinds, *chosen, "--ignore-not-found", "--output=json")
        found = json.loads(done.stdout or '{"items": []}')
        return list(found["items"]) if "items" in found else [found]

    @functools.cached_property
    def kinds(self) -> list[str]:
        """The kinds of objects that the cluster has, such as `scaledobjects.keda.sh`.

        Raises:
            KubectlError: see `kubectl`.
        """
        return self.kubectl("api-resources", "--namespaced", "--output=name").stdout.split()

    def check_versions(self, say: Callable[[str], object]) -> None:
        """Checks the versions of kubectl and of the cluster.

        Args:
            say: gets a line if the two are further apart than Kubernetes supports.

        Raises:
            KubectlError: see `kubectl`; or one of the two is too old.
        """
        found = json.loads(self.kubectl("version", "--output=json").stdout)
        minors = {
            program: int(re.sub(r"\D.*", "", found[key]["minor"]))
            for program, key in (("kubectl", "clientVersion"), ("the cluster", "serverVersion"))
        }
        for program, minor in minors.items():
            if minor < OLDEST:
                raise KubectlError(
                    f"{program} is version 1.{minor}, and the manifests need 1.{OLDEST}. "
                    "Update it, then type the command again."
                )
        client, server = minors.values()
        if abs(client - server) > 1:
            say(
                f"{self.environment}: kubectl is 1.{client} and the cluster 1.{server}; Kubernetes "
                "supports a difference of one"
            )

    def logs(self, *services: str, follow: bool = False, lines: int = 100) -> int:
        """Shows the logs of the pods; returns the exit status of kubectl."""
        names = f",{NAME} in ({','.join(map(kube_name, services))})" if services else ""
        selected = [f"--selector={PART_OF}={self.slug}{names}", f"--tail={lines}", "--prefix"]
        more = ["--max-log-requests=100", *(["--follow"] if follow else [])]
        with self._configuration() as variables:
            command = [*self._command, "logs", *selected, *more]
            return subprocess.run(command, env=variables).returncode

    def urls(self) -> list[str]:
        """Where the members can be reached, such as `frontend: https://shop.example.com`."""
        if not self.values.get("KUBE_ENTRY"):
            return []
        hosts = {
            member.name: self.values.get(f"KUBE_HOST_{member.variable}")
            for member in project.members(self.root)
        }
        return [f"{name}: https://{host}" for name, host in hosts.items() if host]

    @property
    def _command(self) -> list[str]:
        return [
            "kubectl",
            f"--context={self.values['KUBE_CONTEXT']}",
            f"--namespace={self.namespace}",
        ]

    def _configuration(self) -> _Kubeconfig:
        return _Kubeconfig(self.values.get("KUBE_CONFIG") or "")


class _Kubeconfig:
    """The variables of kubectl, with the environment's own kubeconfig in a file if it has one."""

    def __init__(self, encoded: str) -> None:
        self._encoded = encoded
        self._file: Any = None

    def __enter__(self) -> dict[str, str]:
        if not self._encoded:
            return dict(os.environ)
        try:
            content = base64.b64decode(self._encoded, validate=True)
        except binascii.Error as error:
            raise KubectlError(
                "KUBE_CONFIG is not base64. Make it of the file: base64 < FILE | tr -d '\\n'"
            ) from error
        self._file = tempfile.NamedTemporaryFile(prefix="kubeconfig-")  # mode 0600
        self._file.write(content)
        self._file.flush()
        return os.environ | {"KUBECONFIG": self._file.name}

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()


def selects(root: Path, values: Mapping[str, str]) -> bool:
    """Whether these variables of an environment choose a cluster."""
    return "kubernetes" in project.capabilities(root) and bool(values.get("KUBE_CONTEXT"))


def of(root: Path, environment: str) -> Cluster | None:
    """The cluster of an environment; None if it runs by compose.

    Raises:
        SlipwayError: the environment was not initialized.
    """
    if environment == "development" or "kubernetes" not in project.capabilities(root):
        return None
    values = environment_files.values(root, environment)
    return Cluster(root, environment, values) if selects(root, values) else None


def require(root: Path, environment: str) -> Cluster:
    """The cluster of an environment.

    Raises:
        SlipwayError: the environment runs by compose, or was not initialized.
    """
    found = of(root, environment)
    if found is None:
        raise SlipwayError(
            f"{environment} does not run in a cluster: it has no KUBE_CONTEXT. "
            "docs/kubernetes.md says how to set it."
        )
    return found


def staging_of(root: Path, values: Mapping[str, str]) -> Cluster | None:
    """The cluster in which staging runs, as the variables of production say it; None if it is a
    Docker host."""
    if not selects(root, values) or values.get("STAGING_DOCKER_HOST"):
        return None
    own = {
        "KUBE_CONTEXT": values.get("STAGING_KUBE_CONTEXT") or values["KUBE_CONTEXT"],
        "KUBE_NAMESPACE": values.get("STAGING_KUBE_NAMESPACE", ""),
        "KUBE_CONFIG": values.get("KUBE_CONFIG", ""),
    }
    return Cluster(root, "staging", own)


def kube_name(member: str) -> str:
    """The name of a member in Kubernetes, where names have no underscores."""
    return member.replace("_", "-")


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
