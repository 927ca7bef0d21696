"""What was deployed, remembered in the namespace: a ConfigMap for each deployment.

Its content and its meaning are those of the records on a Docker host (`deploy/records.py`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace

from slipway_ops.deploy.records import KEPT, SCHEMA, Record, actor
from slipway_ops.errors import SlipwayError
from slipway_ops.kubernetes.cluster import Cluster, KubectlError, Object

LABEL = "slipway/record"  # its value is the project and the environment


def read(cluster: Cluster) -> list[Record]:
    """All records of an environment, the latest first.

    Raises:
        KubectlError: the cluster does not answer.
        SlipwayError: a record cannot be read here.
    """
    found = cluster.get("configmaps", f"--selector={LABEL}={_owner(cluster)}")
    records = [_record(cluster, each) for each in found]
    return sorted(records, key=lambda record: record.number, reverse=True)


def healthy(cluster: Cluster) -> list[Record]:
    """The records of what was healthy, the latest first.

    Raises:
        SlipwayError: see `read`.
    """
    return [record for record in read(cluster) if record.healthy]


def begin(cluster: Cluster, number: int, restores: int = 0) -> Record:
    """Writes that a deployment begins; `finish` writes that it is healthy.

    Args:
        number: its place in the order of the environment.
        restores: see `Record`.

    Raises:
        KubectlError: the cluster refuses it.
    """
    digests = dict(sorted(cluster.digests.items()))
    record = Record(cluster.version, digests, cluster.revision, actor(), False, restores, number)
    cluster.kubectl("create", "--filename=-", text=json.dumps(_object(cluster, record)))
    return record


def finish(cluster: Cluster, record: Record) -> Record:
    """Writes that a deployment is healthy, and removes the records that are no longer needed.

    Raises:
        SlipwayError: see `read`.
    """
    record = replace(record, healthy=True)
    cluster.kubectl("replace", "--filename=-", text=json.dumps(_object(cluster, record)))
    past = read(cluster)
    kept = [each for each in past if each.healthy][:KEPT]
    _delete(cluster, [each for each in past if each not in kept])
    return record


def remove(cluster: Cluster, record: Record) -> None:
    """Removes the record of a deployment that has changed nothing of what runs.

    Raises:
        KubectlError: the cluster refuses it.
    """
    _delete(cluster, [record])


def remove_unfinished(cluster: Cluster) -> None:
    """Removes the records of all unfinished deployments: what runs is what was healthy last.

    Raises:
        SlipwayError: see `read`.
    """
    _delete(cluster, [record for record in read(cluster) if not record.healthy])


def _delete(cluster: Cluster, records: list[Record]) -> None:
    if records:
        names = [_name(record.number) for record in records]
        cluster.kubectl("delete", "configmap", "--ignore-not-found", "--wait=false", *names)


def _owner(cluster: Cluster) -> str:
    return f"{cluster.slug}-{cluster.environment}"


def _name(number: int) -> str:
    return f"deployment-{number}"


def _object(cluster: Cluster, record: Record) -> Object:
    content = {k: v for k, v in asdict(record).items() if k not in ("number", "when")}
    labels = {LABEL: _owner(cluster)}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": _name(record.number), "labels": labels},
        "data": {"record": json.dumps({"schema": SCHEMA} | content)},
    }


def _record(cluster: Cluster, found: Object) -> Record:
    name = str(found["metadata"]["name"])
    try:
        content = json.loads(found["data"]["record"])
        if content.get("schema", 1) > SCHEMA:
            raise SlipwayError(
                f"A newer version of this project has deployed to {cluster.environment}, and this "
                "one cannot read its records. Update this checkout (git pull), then type the "
                "command again."
            )
        known = {field.name for field in fields(Record)}
        content = {key: value for key, value in content.items() if key in known}
        content["number"] = int(name.rpartition("-")[2])
        return Record(**content | {"when": found["metadata"]["creationTimestamp"]})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise KubectlError(
            f"The record {name} in {cluster.place} is damaged. "
            f"`kubectl --namespace {cluster.namespace} delete configmap {name}` forgets that "
            "deployment."
        ) from error
