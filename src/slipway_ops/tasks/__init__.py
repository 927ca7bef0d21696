"""The operations of a project, as invoke tasks: `namespace` has those of its capabilities.

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

# Any, because mypy infers a function from invoke's decorator `task`, but `add_task` needs a task.
namespace: Any = Collection(
    *ALWAYS,
    *(adoption.adopt for _ in range(project.is_adopted(ROOT))),
    *(each for name in project.capabilities(ROOT) for each in BY_CAPABILITY.get(name, ())),
)
