"""The operations of a project, as tasks of invoke: `namespace` holds those of its capabilities.

A project's tasks.py imports it, and adds, replaces or removes tasks.
"""

from typing import Any

from invoke.collection import Collection

from slipway_ops import project
from slipway_ops.tasks import containers, daily, env, image, members, versions

ALWAYS = (
    daily.dev,
    daily.upgrade,
    daily.protect,
    daily.why,
    members.add,
    members.remove,
    members.capabilities,
    members.enable,
)
BY_CAPABILITY: dict[str, tuple[Any, ...]] = {
    "images": (image,),
    "environments": (
        containers.up,
        containers.down,
        containers.logs,
        containers.status,
        containers.deploy,
        containers.rollback,
        containers.smoke,
        env,
    ),
    "releases": (versions.tag, versions.release),
}

# Any: mypy takes what invoke's decorator `task` returns for a function, which `add_task` refuses.
namespace: Any = Collection(
    *ALWAYS,
    *(
        each
        for name in project.capabilities(project.root_or_exit())
        for each in BY_CAPABILITY.get(name, ())
    ),
)
