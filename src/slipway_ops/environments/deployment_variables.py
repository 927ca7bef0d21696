"""The variables of the deployment: services do not read them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from slipway_ops import project
from slipway_ops.environments.composed_variables import COMPOSE, services
from slipway_ops.environments.variable import Format, Variable
from slipway_ops.images import bake
from slipway_ops.project import Member

ADDRESS = re.compile(r"https?://[\w.~:/?#@!$&()*+,;=%\[\]-]+")  # needs no quotes in shell or YAML
EXAMPLE_ENGINE = "ssh://deploy@staging.example"


def _integer(least: int, most: int) -> Format:
    words = f"integer, {least} to {most}"
    return Format(
        words,
        lambda value: value.isascii() and value.isdigit() and least <= int(value) <= most,
        f"must be an {words}",
    )


def _one_of(*choices: str) -> Format:
    words = " or ".join(choices)
    return Format(words, choices.__contains__, f"is not {words}")


def _matching(pattern: str, words: str, problem: str) -> Format:
    return Format(words, lambda value: bool(re.fullmatch(pattern, value)), problem)


TEXT = Format("text", lambda value: True, "")
PASSWORD = _matching(
    r"[A-Za-z0-9_.~-]+", "text", "may only have letters, digits, - _ . ~, because it is in a URL"
)
PORT = _integer(1, 65535)
SWITCH = _one_of("true", "false")
ENGINE = _matching(
    r"(ssh|tcp|unix|npipe|fd)://.*", "URL", f"is not an engine: write it like {EXAMPLE_ENGINE}"
)
WEB_ADDRESS = Format(
    "web address",
    lambda value: bool(ADDRESS.fullmatch(value)),
    "must be a web address: write it like https://shop.example",
)
WEB_ADDRESSES = Format(
    "web addresses",
    lambda value: all(map(ADDRESS.fullmatch, value.split(" "))),
    "must be web addresses: write it like https://shop.example",
)
BUCKET = _matching(
    r"s3://[a-z0-9][a-z0-9.-]+(/[\w./-]*)?", "bucket", "must be a bucket: write it like s3://shop"
)
AGE_KEY = _matching(
    r"age1[0-9a-z]+", "age key", "is not a public age key: it looks like age1…, from `age-keygen`"
)
KUBE_NAME = _matching(
    r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
    "name",
    "is not a name in Kubernetes: use lowercase letters, digits and hyphens",
)
HOST = _matching(
    r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+",
    "host name",
    "is not a host name: write it like shop.example.com",
)
HEADER = _matching(
    r"[!-~]+", "header value", "cannot be sent in a header: use only ASCII, without spaces"
)


def _own(name: str, format: Format, meaning: str, **more: Any) -> Variable:
    return Variable(name, "deployment", format.words, meaning, format=format, **more)


def variables(root: Path) -> list[Variable]:
    """Returns the variables that the deployment of a project needs."""
    images = bake.images(root)
    found = []
    has_database = not project.is_adopted(root) or "database" in services(root / COMPOSE)
    if has_database and any(member.language == "python" for member in images):
        found += [
            _own(
                "DATABASE_PASSWORD",
                PASSWORD,
                "Password of the database that compose starts.",
                secret=True,
                required=True,
            ),
            _own("DATABASE_IMAGE", TEXT, "Image of that database.", default="postgres:17"),
            _own(
                "DATABASE_PORT",
                PORT,
                "Port of this machine on which the database is reached.",
                default="5432",
                only="development",
            ),
            *_backups(),
        ]
    # Without apps, the APIs are published.
    apps = [member for member in images if member.kind == "app"]
    first = 8080 if apps else 8000
    found += [
        _own(
            f"PUBLISH_{member.variable}",
            PORT,
            f"Port of the host on which {member.name} is served.",
            default=str(first + number),
            required_outside_development=True,
        )
        for number, member in enumerate(apps or [m for m in images if m.kind == "api"])
    ]
    found += [
        _own(
            f"REPLICAS_{member.variable}",
            _integer(1, 100),
            f"How many containers of {member.name} run.",
            default="1",
        )
        for member in images
        if member.kind in ("api", "app", "worker")
    ]
    if any(member.kind in ("api", "app") for member in images):
        found.append(
            _own("PROXY_IMAGE", TEXT, "Image of the proxy in front of them.", default="caddy:2")
        )
    if found and "observability" in project.capabilities(root):
        found += _observability()
    if found and "kubernetes" in project.capabilities(root):
        found += _kubernetes(root, apps or [m for m in images if m.kind == "api"])
    engine = f"such as {EXAMPLE_ENGINE}. Without it, this machine's."
    return [
        *found,
        _own("DOCKER_HOST", ENGINE, f"The engine that runs the containers, {engine}"),
        _own(
            "REGISTRY",
            TEXT,
            "Registry and account for the images, instead of the project's.",
        ),
        _own(
            "STAGING_DOCKER_HOST",
            ENGINE,
            f"The engine of staging, whose records are checked, {engine}",
            only="production",
        ),
    ]


def _backups() -> list[Variable]:
    return [
        _own(
            "BACKUP_URL",
            BUCKET,
            "Bucket for backups, such as s3://shop-backups. "
            "Without it, they are only on the host.",
        ),
        _own(
            "BACKUP_ENDPOINT",
            WEB_ADDRESS,
            "S3-compatible store that has the bucket. Without it, Amazon S3.",
        ),
        _own("BACKUP_REGION", TEXT, "Region of the bucket.", default="us-east-1"),
        _own("BACKUP_KEY_ID", TEXT, "ID of the access key for that store."),
        _own("BACKUP_KEY", TEXT, "The secret of that access key.", secret=True),
        _own(
            "BACKUP_RECIPIENT",
            AGE_KEY,
            "Public age key that a backup is encrypted to before it leaves the host.",
        ),
    ]


def is_of_compose(name: str) -> bool:
    """Returns whether a variable is about the database or the ports of a Docker host.

    A cluster does not need it.
    """
    return name == "DATABASE_PASSWORD" or name.startswith("PUBLISH_")


def _kubernetes(root: Path, published: list[Member]) -> list[Variable]:
    slug = project.settings(root)["slug"]
    return [
        _own(
            "KUBE_CONTEXT",
            TEXT,
            "Context of kubectl. If it is set, deployments go to that cluster, not to DOCKER_HOST.",
        ),
        _own(
            "KUBE_NAMESPACE",
            KUBE_NAME,
            f"Namespace in that cluster. Without it, {slug}-staging or {slug}-production.",
        ),
        _own(
            "KUBE_CONFIG",
            TEXT,
            "A kubeconfig in one line of base64, for CI. Without it, that of kubectl.",
            secret=True,
        ),
        _own(
            "KUBE_ENTRY",
            _one_of("ingress", "gateway"),
            "How requests come in from outside. Without it, they cannot.",
        ),
        _own(
            "KUBE_PULL_POLICY",
            _one_of("Always", "IfNotPresent", "Never"),
            "When a node pulls an image.",
            default="IfNotPresent",
        ),
        *(
            _own(
                f"KUBE_HOST_{member.variable}",
                HOST,
                f"Host name under which {member.name} is reached, such as shop.example.com.",
            )
            for member in published
        ),
        _own(
            "STAGING_KUBE_CONTEXT",
            TEXT,
            "Context of staging, whose records are checked. Without it, KUBE_CONTEXT.",
            only="production",
        ),
        _own(
            "STAGING_KUBE_NAMESPACE",
            KUBE_NAME,
            f"Namespace of staging. Without it, {slug}-staging.",
            only="production",
        ),
    ]


def _observability() -> list[Variable]:
    return [
        _own(
            "OBSERVABILITY",
            SWITCH,
            "Whether Prometheus, Grafana and Loki run too. "
            "Without it, `observability` in pyproject.toml decides.",
        ),
        _own("GRAFANA_PORT", PORT, "Port of the host's loopback for Grafana.", default="3000"),
        _own("PROMETHEUS_PORT", PORT, "The same for Prometheus.", default="9090"),
        _own("ALERTMANAGER_PORT", PORT, "The same for Alertmanager.", default="9093"),
        _own("ALERTS_URL", WEB_ADDRESS, "Webhook that alerts are posted to.", secret=True),
        _own("PUBLIC_URLS", WEB_ADDRESSES, "Public addresses; each is checked every minute."),
        _own("LOGS_TO", _one_of("datadog", "elasticsearch"), "Where logs go instead of Loki."),
        _own("LOGS_URL", WEB_ADDRESS, "Address that receives the logs, by OTLP over HTTP."),
        _own("LOGS_KEY", HEADER, "API key for that address.", secret=True),
    ]
