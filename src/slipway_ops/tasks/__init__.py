"""The operations of a project, as tasks of invoke: `namespace` holds all of them.

A project's tasks.py imports it, and adds, replaces or removes tasks.
"""

from typing import Any

from invoke.collection import Collection

from slipway_ops.tasks import containers, daily, env, image, members, versions

# Any: mypy takes what invoke's decorator `task` returns for a function, which `add_task` refuses.
namespace: Any = Collection(
    daily.dev,
    daily.upgrade,
    daily.protect,
    daily.why,
    members.add,
    members.remove,
    containers.up,
    containers.down,
    containers.logs,
    containers.status,
    containers.deploy,
    containers.rollback,
    containers.smoke,
    versions.tag,
    versions.release,
    env,
    image,
)
