"""A cluster in memory: an API server on loopback for the real kubectl, with simple controllers.

It stores objects of the kinds in `KINDS`, refuses what the Role of a deployer does not allow, and
makes Deployments and Jobs healthy or unhealthy, depending on the digests of their images.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

Object = dict[str, Any]
Key = tuple[str, str, str]  # group, plural, name
KINDS = {  # (group, version): {plural: kind}
    ("", "v1"): {
        "configmaps": "ConfigMap",
        "namespaces": "Namespace",
        "pods": "Pod",
        "secrets": "Secret",
        "serviceaccounts": "ServiceAccount",
        "services": "Service",
    },
    ("apps", "v1"): {"deployments": "Deployment"},
    ("autoscaling", "v2"): {"horizontalpodautoscalers": "HorizontalPodAutoscaler"},
    ("batch", "v1"): {"jobs": "Job"},
    ("coordination.k8s.io", "v1"): {"leases": "Lease"},
    ("keda.sh", "v1alpha1"): {
        "scaledobjects": "ScaledObject",
        "triggerauthentications": "TriggerAuthentication",
    },
    ("networking.k8s.io", "v1"): {"ingresses": "Ingress", "networkpolicies": "NetworkPolicy"},
    ("policy", "v1"): {"poddisruptionbudgets": "PodDisruptionBudget"},
    ("rbac.authorization.k8s.io", "v1"): {"rolebindings": "RoleBinding", "roles": "Role"},
}
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
NAMESPACE = "shop-staging"
WHEN = "2026-01-02T03:04:05Z"


@dataclass
class ApiServer:
    """The cluster.

    Attributes:
        url: its address.
        minor: the minor version that it reports.
        objects: the stored objects, by group, plural and name.
        sick: parts of names of images whose pods never become ready.
        failing: parts of names of images whose Jobs fail.
        allowed: the rights of the user, as (verb, group, resource); None for all.
        used: the rights that requests needed.
        before: called with the verb and the path of each request, before it takes effect; if it
            returns True, the answer is a server error.
    """

    url: str = ""
    minor: str = "36"
    objects: dict[Key, Object] = field(default_factory=dict)
    sick: set[str] = field(default_factory=set)
    failing: set[str] = field(default_factory=set)
    allowed: set[tuple[str, str, str]] | None = None
    used: set[tuple[str, str, str]] = field(default_factory=set)
    before: Callable[[str, str], object] = lambda verb, path: None
    lock: threading.RLock = field(default_factory=threading.RLock)
    count: int = 0

    def named(self, kind: str) -> dict[str, Object]:
        """The objects of a kind, by name."""
        return {o["metadata"]["name"]: o for o in self.objects.values() if o["kind"] == kind}

    def image(self, deployment: str) -> str:
        """The image that a Deployment runs."""
        containers = self.named("Deployment")[deployment]["spec"]["template"]["spec"]["containers"]
        return str(containers[0]["image"])

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, Any]:
        """The status and the content of an answer."""
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        path = parts.path.strip("/").split("/")
        if method == "GET" and (found := self._discovery(path)) is not None:
            return 200, found
        core = path[0] == "api"
        group, rest = ("", path[2:]) if core else (path[1] if len(path) > 1 else "", path[3:])
        version = path[1] if core else path[2] if len(path) > 2 else ""
        if rest[:1] != ["namespaces"] or (group, version) not in KINDS:
            return _status(404, "NotFound", f"{parts.path} is unknown")
        if rest[1:] and rest[1] != NAMESPACE:
            return _status(404, "NotFound", f'namespaces "{rest[1]}" not found')
        # All objects except namespaces are in a namespace.
        plural, name, sub = [*(rest[2:] or rest), "", "", ""][:3]
        verb = VERBS.get(method) or ("get" if name else "list")
        right = (verb, group, f"{plural}/{sub}" if sub else plural)
        if self.allowed is not None and right not in self.allowed:
            return _status(403, "Forbidden", f"you cannot {verb} {right[2]} in {group or 'core'}")
        self.used.add(right)
        if self.before(verb, parts.path):
            return _status(500, "InternalError", "etcd is out of reach")
        with self.lock:
            if sub == "log":
                return 200, f"the last line of {name}\n"
            kind = KINDS[(group, version)][plural]
            return self._objects(verb, (group, plural, name), kind, query, body)

    def _objects(
        self, verb: str, key: Key, kind: str, query: dict[str, str], body: bytes
    ) -> tuple[int, Any]:
        group, plural, name = key
        present = self.objects.get(key)
        sent = yaml.safe_load(body) if body and verb != "delete" else {}
        if verb == "list":
            chosen = [o for k, o in sorted(self.objects.items()) if k[:2] == (group, plural)]
            chosen = [o for o in chosen if _selected(o, query.get("labelSelector", ""))]
            version = next(v for (g, v), kinds in KINDS.items() if g == group and plural in kinds)
            api = f"{group}/{version}".strip("/")
            return 200, {"kind": f"{kind}List", "apiVersion": api, "metadata": {}, "items": chosen}
        if verb == "create":
            key = (group, plural, sent["metadata"]["name"])
            if key in self.objects:
                return _status(409, "AlreadyExists", f'{plural} "{key[2]}" already exists')
            return 201, self._write(key, sent, query)
        if verb == "patch":
            if present is None:
                return 201, self._write(key, sent, query)
            new = _applied(present, sent)
            if kind == "Job" and new["spec"] != present["spec"]:
                return _status(422, "Invalid", f'Job "{name}" is invalid: field is immutable')
            return 200, self._write(key, new, query)
        if present is None:
            return _status(404, "NotFound", f'{plural} "{name}" not found')
        if verb == "update":
            expected = sent["metadata"].get("resourceVersion")
            if expected and expected != present["metadata"]["resourceVersion"]:
                return _status(409, "Conflict", "the object has been modified")
            return 200, self._write(key, sent, query)
        if verb == "delete":
            del self.objects[key]
            if kind in ("Deployment", "Job"):
                self._remove_pods(name)
            return _status(200, "", "", status="Success")
        return 200, present

    def _write(self, key: Key, sent: Object, query: dict[str, str]) -> Object:
        new, present = copy.deepcopy(sent), self.objects.get(key)
        if new["kind"] == "Service":
            new["spec"]["clusterIP"] = "127.0.0.1"
        if present and {k: v for k, v in present.items() if k != "status"} == {
            k: v for k, v in new.items() if k != "status"
        }:
            return present
        self.count += 1
        generation = present["metadata"]["generation"] if present else 0
        if not present or present.get("spec") != new.get("spec"):
            generation += 1
        new["metadata"] |= {
            "namespace": NAMESPACE,
            "uid": f"{key[1]}-{key[2]}",
            "creationTimestamp": WHEN,
            "generation": generation,
            "resourceVersion": str(self.count),
        }
        if query.get("dryRun") != "All":
            self.objects[key] = new
            {"Deployment": self._roll, "Job": self._run}.get(new["kind"], _nothing)(new)
        return new

    def _roll(self, deployment: Object) -> None:
        """The controller of Deployments, which finishes at once."""
        spec, name = deployment["spec"], deployment["metadata"]["name"]
        wanted, image = spec.setdefault("replicas", 1), self._image(spec)
        sick = any(part in image for part in self.sick)
        status = {"observedGeneration": deployment["metadata"]["generation"], "replicas": wanted}
        if sick:
            status |= {"replicas": wanted + 1, "updatedReplicas": 1, "availableReplicas": wanted}
        else:
            self._remove_pods(name)
            status |= {"updatedReplicas": wanted, "availableReplicas": wanted}
        deployment["status"] = status
        for number in range(1 if sick else wanted):
            self._pod(f"{name}-{self.count}-{number}", spec["template"], sick, "Running")

    def _run(self, job: Object) -> None:
        """The controller of Jobs, which finishes at once."""
        failed = any(part in self._image(job["spec"]) for part in self.failing)
        kind = "Failed" if failed else "Complete"
        job["status"] = {"conditions": [{"type": kind, "status": "True", "message": "it ended"}]}
        template = copy.deepcopy(job["spec"]["template"])
        name = job["metadata"]["name"]
        template["metadata"]["labels"]["batch.kubernetes.io/job-name"] = name
        self._pod(f"{name}-pod", template, failed, "Failed" if failed else "Succeeded")

    def _pod(self, name: str, template: Object, sick: bool, phase: str) -> None:
        waiting = {"reason": "CrashLoopBackOff", "message": "back-off restarting"}
        state = {"waiting": waiting} if sick else {"running": {}}
        ended = {"terminated": {"exitCode": 1}} if sick else {}
        container = {"state": state, "lastState": ended, "restartCount": 3 * sick}
        ready = {"type": "Ready", "status": "False" if sick else "True"}
        self.objects[("", "pods", name)] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": template["metadata"]
            | {"name": name, "namespace": NAMESPACE, "creationTimestamp": WHEN},
            "spec": template["spec"],
            "status": {"phase": phase, "conditions": [ready], "containerStatuses": [container]},
        }

    def _remove_pods(self, name: str) -> None:
        for key in [key for key in self.objects if key[1] == "pods"]:
            labels = self.objects[key]["metadata"]["labels"]
            names = ("app.kubernetes.io/name", "batch.kubernetes.io/job-name")
            if name in map(labels.get, names):
                del self.objects[key]

    def _image(self, spec: Object) -> str:
        return str(spec["template"]["spec"]["containers"][0]["image"])

    def _discovery(self, path: list[str]) -> Any:
        groups = [key for key in KINDS if key[0]]
        match path:
            case ["version"]:
                return {"major": "1", "minor": self.minor, "gitVersion": f"v1.{self.minor}.0"}
            case ["api"]:
                return {"kind": "APIVersions", "versions": ["v1"]}
            case ["apis"]:
                return {"kind": "APIGroupList", "groups": [_group(*key) for key in groups]}
            case ["api", "v1"]:
                return _resources("v1", KINDS[("", "v1")])
            case ["apis", group, version] if (group, version) in KINDS:
                return _resources(f"{group}/{version}", KINDS[(group, version)])
            case ["openapi", "v3"]:
                names = ["api/v1", *(f"apis/{g}/{v}" for g, v in groups)]
                urls = {n: {"serverRelativeURL": f"/openapi/v3/{n}"} for n in names}
                return {"paths": urls}
            case ["openapi", "v3", *rest]:
                group, version = ("", "v1") if rest[0] == "api" else (rest[1], rest[2])
                return _schema(group, version)
        return None


@contextmanager
def serving() -> Iterator[ApiServer]:
    """Runs an API server on a free port of loopback."""
    server = ApiServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # which waits 40 ms between head and content

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            status, content = server.answer(self.command, self.path, body)
            text = content if isinstance(content, str) else json.dumps(content)
            kind = "text/plain" if isinstance(content, str) else "application/json"
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

        def log_message(self, *_: object) -> None:
            """Keeps the output of the test clean."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.daemon_threads = True
    server.url = f"http://127.0.0.1:{listener.server_port}"
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()


def _applied(present: Object, sent: Object) -> Object:
    """Returns an object after a server-side apply by its only manager."""
    kept = {"status": present["status"]} if "status" in present else {}
    new = {"apiVersion": present["apiVersion"], "kind": present["kind"]} | copy.deepcopy(sent)
    new |= kept
    metadata = {k: v for k, v in present["metadata"].items() if k not in ("labels", "annotations")}
    new["metadata"] = metadata | sent["metadata"]
    if "spec" in new and "replicas" in present.get("spec", {}):
        new["spec"].setdefault("replicas", present["spec"]["replicas"])
    return new


def _selected(found: Object, selector: str) -> bool:
    labels = found["metadata"].get("labels") or {}
    wanted = [each.split("=") for each in selector.split(",") if each]
    return all(labels.get(name) == value for name, value in wanted)


def _status(code: int, reason: str, message: str, status: str = "Failure") -> tuple[int, Object]:
    return code, {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": status,
        "message": message,
        "reason": reason,
        "code": code,
    }


def _group(name: str, version: str) -> Object:
    one = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [one], "preferredVersion": one}


def _resources(group_version: str, kinds: dict[str, str]) -> Object:
    verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": [
            {"name": p, "singularName": kind.lower(), "kind": kind, "verbs": verbs}
            | {"namespaced": kind != "Namespace"}
            for p, kind in kinds.items()
        ],
    }


def _schema(group: str, version: str) -> Object:
    """Returns the part of OpenAPI that kubectl needs; the server checks fields itself."""
    parameters: list[Object] = [
        {"name": n, "in": "query", "schema": {}} for n in ("dryRun", "fieldValidation")
    ]
    prefix = f"/apis/{group}/{version}" if group else f"/api/{version}"
    paths: Object = {}
    for plural, kind in KINDS[(group, version)].items():
        names = {"group": group, "kind": kind, "version": version}
        operation = {"x-kubernetes-group-version-kind": names, "parameters": parameters}
        paths[f"{prefix}/namespaces/{{namespace}}/{plural}/{{name}}"] = {"patch": operation}
    return {"openapi": "3.0.0", "info": {"title": "", "version": ""}, "paths": paths}


def _nothing(_: Object) -> None:
    """The controller of most objects: does nothing."""
