"""The operations of a project, as tasks of invoke: `namespace` holds those of its capabilities.

A project's tasks.py imports it, and adds, replaces or removes tasks.
"""

from typing import Any

from invoke.collection import Collection

from slipway_ops import project
from slipway_ops.tasks import adoption, containers, daily, db, doctor, env, image, kube, members
from slipway_ops.tasks import versions

ALWAYS = (
    daily.dev,
    daily.upgrade,
    daily.protect,
    daily.why,
    doctor.doctor,
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
        db,
    ),
    "releases": (versions.tag, versions.release),
    "kubernetes": (kube,),
}
ROOT = project.root_or_exit()

# Any: mypy takes what invoke's decorator `task` returns for a function, which `add_task` refuses.
namespace: Any = Collection(
    *ALWAYS,
    *(adoption.adopt for _ in range(project.is_adopted(ROOT))),
    *(each for name in project.capabilities(ROOT) for each in BY_CAPABILITY.get(name, ())),
)
