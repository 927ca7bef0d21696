"""The operations of a project, as collections of invoke: `namespace` holds all of them."""

import functools
from collections.abc import Callable
from typing import Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from slipway_ops import growth
from slipway_ops.cache import results
from slipway_ops.deploy import compose, deployment, environment_status, smoke_test, version_rules
from slipway_ops.dev import product as development
from slipway_ops.environments import contract, environment_files
from slipway_ops.errors import SlipwayError
from slipway_ops.github import rest_api, rulesets as protection
from slipway_ops.images import bake, inventory, publishing
from slipway_ops.project import root_or_exit
from slipway_ops.release import transaction, versions

ROOT = root_or_exit()


def operation(**options: Any) -> Callable[[Callable[..., None]], Any]:
    """A task whose refusals end it with their sentence and exit status 1, without a traceback."""

    def decorate(body: Callable[..., None]) -> Any:
        @functools.wraps(body)
        def refusing(*args: Any, **kwargs: Any) -> None:
            try:
                body(*args, **kwargs)
            except SlipwayError as error:
                raise Exit(str(error), code=1) from error

        return task(refusing, **options)

    return decorate


@operation(help={"port": "The first port; the others follow. Two projects take two numbers."})
def dev(context: Context, port: int = development.BASE) -> None:
    """Run everything on this machine without Docker: database, APIs, workers, apps."""
    raise Exit(code=development.run(ROOT, port))


KIND = {"kind": "One of: api, worker, app, library.", "name": "The member's name."}


# At once, also where the output goes to a file.
say = functools.partial(print, flush=True)


@operation(help=KIND)
def add(context: Context, kind: str, name: str) -> None:
    """Render one more member, wired everywhere, lock and install it; your edits are kept."""
    new = growth.add(ROOT, kind, name, say)
    if new:
        print("New variables; `inv env.check NAME` says which of them an environment still needs:")
        print(*(f"  {v.name}: {v.meaning}{' Required.' * v.required}" for v in new), sep="\n")
    print(f"{name} is ready. Look at it with `git status`, check it with `nox -t {name}`.")


@operation(help=KIND)
def remove(context: Context, kind: str, name: str) -> None:
    """Take a member out; files that you added to it stay, git keeps what you edited."""
    growth.remove(ROOT, kind, name, say)
    print(f"{name} is gone. Look at what changed with `git status`.")


@operation()
def upgrade(context: Context) -> None:
    """Move every dependency on, within the ranges of the manifests and a week behind the newest."""
    growth.upgrade(ROOT)
    print("The locks have moved on. Check them with `nox`, then commit them.")


@operation(help={"stage": "One of: lint, test, scan, build.", "member": "A member, or repo."})
def why(context: Context, stage: str, member: str) -> None:
    """Say what has changed since a session last succeeded, or that it would be skipped."""
    print(results.why(ROOT, stage, member))


@operation(help={"check": "Only look; exit status 1 if something differs."})
def protect(context: Context, check: bool = False) -> None:
    """Make the rules of the repository on GitHub those of .github: rulesets, merge settings."""
    protection.protect(ROOT, rest_api.connect(ROOT), check=check)


# --- inv env.* -----------------------------------------------------------------------------------

NAME = {"name": "development, staging or production."}


@operation(name="list")
def env_list(context: Context) -> None:
    """List the environments: which are there, which one is active."""
    active = environment_files.active(ROOT) if (ROOT / ".env").is_symlink() else ""
    for name in environment_files.NAMES:
        there = environment_files.file_of(ROOT, name).exists()
        state = "active" if name == active else "" if there else f"inv env.init {name} makes it"
        print(f"{'*' if name == active else ' '} {name:<12} {state}".rstrip())


@operation(name="current")
def env_current(context: Context) -> None:
    """Print the name of the active environment."""
    print(environment_files.active(ROOT))


@operation(name="use", help=NAME | {"yes": "Do not ask for the name of production."})
def env_use(context: Context, name: str, yes: bool = False) -> None:
    """Make an environment the active one, if it meets the contract."""
    found = environment_files.findings(ROOT, name)
    if found:
        print(*found, sep="\n")
        raise Exit(
            f"{name} does not meet the contract, so it was not made active: {len(found)} to "
            f"correct. Edit .env.{name}, then type the command again.",
            code=1,
        )
    environment_files.confirm(name, yes)
    environment_files.use(ROOT, name)
    print(f"{name} is active.")


@operation(name="init", help=NAME)
def env_init(context: Context, name: str) -> None:
    """Write .env.NAME with defaults and fresh secrets, and list what only you can fill in."""
    file, left = environment_files.initialise(ROOT, name)
    print(f"{file.name} is there, with secrets of its own; git ignores it.")
    if left:
        print("Fill in:", *(f"{v.name}: {v.meaning}" for v in left), sep="\n  ")
    print(f"Then type: inv env.check {name}")


@operation(name="show", help={"name": "The active environment if none is named."})
def env_show(context: Context, name: str = "") -> None:
    """Show the variables of an environment; secrets and what URLs keep private are masked."""
    seen = environment_files.shown(ROOT, name or environment_files.active(ROOT))
    print(*(f"{key}={value}" for key, value in seen.items()), sep="\n")


@operation(name="check", help=NAME)
def env_check(context: Context, name: str) -> None:
    """Name each variable that is missing, empty, unknown or unusable; exit status 1 if any is."""
    found = environment_files.findings(ROOT, name)
    print(*found, sep="\n", end="\n" if found else "")
    if found:
        raise Exit(f"{name} does not meet the contract: {len(found)} to correct.", code=1)
    print(f"{name} meets the contract.")


@operation(name="diff", help={"a": "One environment.", "b": "Another."})
def env_diff(context: Context, a: str, b: str) -> None:
    """Show the variables in which two environments differ; of secrets only whether they do."""
    for key, text in environment_files.differences(ROOT, a, b):
        print(f"{key}: {text}")


@operation(name="contract")
def env_contract(context: Context) -> None:
    """Write .env.example and the table of docs/environments.md from the services' settings."""
    changed = contract.write(ROOT)
    print(
        *(f"{name} is written." for name in changed or ["Nothing had changed: nothing"]), sep="\n"
    )


# --- inv image.* ---------------------------------------------------------------------------------


@operation(name="build")
def image_build(context: Context) -> None:
    """Build the image of every member, side by side, with the tag `development`."""
    bake.build(ROOT, "development")


@operation(name="list", help={"remote": "Those in the registry, not those of this machine."})
def image_list(context: Context, remote: bool = False) -> None:
    """List the images of this project: member, tags, digest, size, revision."""
    found = inventory.remote(ROOT) if remote else inventory.local(ROOT)
    print(*inventory.table(found), sep="\n")


@operation(
    name="push",
    help={
        "tag": "A name besides sha-<commit>, such as main.",
        "move": "The tag may have another digest until now.",
        "allow_dirty": "Take uncommitted changes too; the tag says so.",
        "build": "Build first (--no-build: push what is there).",
    },
)
def image_push(
    context: Context,
    tag: str | None = None,
    move: bool = False,
    allow_dirty: bool = False,
    build: bool = True,
) -> None:
    """Build all images and bring them to the registry as sha-<commit>; again is harmless."""
    publishing.push(ROOT, tag=tag, move=move, allow_dirty=allow_dirty, build=build)


@operation(
    name="promote",
    help={
        "from_": "A tag that every member has, such as sha-0123456789ab.",
        "to": "The version: vX.Y.Z; or, with --move, a name such as stable.",
        "move": "The name may have another digest until now.",
    },
)
def image_promote(context: Context, from_: str, to: str, move: bool = False) -> None:
    """Give the images of a tag another one: the same digests, for all members or for none."""
    publishing.promote(ROOT, from_, to, move=move)


@operation(name="prune", help={"keep": "How many of the newest images of each member stay."})
def image_prune(context: Context, keep: int = 3) -> None:
    """Remove this project's old images from this machine, but for those in use."""
    gone = inventory.prune(ROOT, keep)
    print(f"{len(gone)} images are gone.", *(f"{i.member} {i.id[7:19]}" for i in gone), sep="\n  ")


# --- containers ----------------------------------------------------------------------------------

WHERE = {"environment": "development, staging or production; the active one if none is named."}
ASKS = WHERE | {"yes": "Do not ask for the name of production."}


def target(environment: str | None, yes: bool = True) -> str:
    """The environment that a command acts on; production only when its name was typed."""
    name = environment or environment_files.active(ROOT)
    if name not in environment_files.NAMES:
        raise Exit(
            f"There is no environment {name}: take one of {', '.join(environment_files.NAMES)}."
        )
    environment_files.confirm(name, yes)
    return name


@operation(help=ASKS | {"observability": "With Prometheus, Grafana, Loki and their alerts."})
def up(
    context: Context,
    environment: str | None = None,
    yes: bool = False,
    observability: bool = False,
) -> None:
    """Start the containers of an environment, until each is healthy."""
    stack = deployment.up(ROOT, target(environment, yes), observability=observability)
    print(f"{stack.environment} is up.", *stack.urls(), sep="\n  ")


@operation(help=ASKS | {"volumes": "Delete the data of the database too (development only)."})
def down(
    context: Context, environment: str | None = None, volumes: bool = False, yes: bool = False
) -> None:
    """End and remove the containers of an environment; its data stays."""
    name = target(environment, yes)
    if volumes and name != "development":
        raise Exit(f"The data of {name} is not deleted by a command. Type it without --volumes.")
    compose.stack(ROOT, name).remove(volumes=volumes)


@operation(
    help=WHERE
    | {"service": "Only this one.", "follow": "Go on until Ctrl-C.", "lines": "How many."},
)
def logs(
    context: Context,
    service: str = "",
    environment: str | None = None,
    follow: bool = False,
    lines: int = 100,
) -> None:
    """Show what the containers of an environment say."""
    words = [service] if service else []
    raise Exit(
        code=compose.stack(ROOT, target(environment)).logs(*words, follow=follow, lines=lines)
    )


@operation(help=WHERE)
def status(context: Context, environment: str | None = None) -> None:
    """Show what runs in each environment, what should, and where they differ."""
    chosen = [target(environment)] if environment else environment_files.NAMES
    print(*(line for name in chosen for line in environment_status.describe(ROOT, name)), sep="\n")


@operation(
    help=ASKS
    | {"version": "vX.Y.Z, or sha-<12 hex>; in staging the commit at HEAD if none is named."}
)
def deploy(
    context: Context,
    version: str | None = None,
    environment: str | None = None,
    yes: bool = False,
) -> None:
    """Run the images of a version in an environment; what ran before comes back if they fail."""
    name = target(environment, yes)
    version, digests, revision = version_rules.resolve(ROOT, name, version)
    record = deployment.deploy(ROOT, name, digests, version=version, revision=revision)
    print(f"{name} runs {record.version}.", *compose.stack(ROOT, name).urls(), sep="\n  ")


@operation(help=ASKS | {"to": "A version that ran there, or its commit; else the one before."})
def rollback(
    context: Context, to: str = "", environment: str | None = None, yes: bool = False
) -> None:
    """Go back to an earlier deployment that was healthy; the database stays as it is."""
    name = target(environment, yes)
    print(f"{name} runs {deployment.rollback(ROOT, name, to).version}.")


@operation(help=WHERE)
def smoke(context: Context, environment: str | None = None) -> None:
    """See whether what was deployed answers, and is what was deployed."""
    smoke_test.run(ROOT, target(environment))


# --- versions ------------------------------------------------------------------------------------

PRE = {"pre": "A release candidate, such as v1.2.0-rc.1."}


@operation(help=PRE | {"dry": "Only say what comes next, why, and what the changelog would say."})
def tag(context: Context, dry: bool = False, pre: bool = False) -> None:
    """Make and push the next version of this commit: its tag, and the changelog."""
    if dry:
        print(*versions.describe(versions.plan(ROOT, pre=pre)), sep="\n")
    else:
        transaction.tag(ROOT, pre=pre)


@operation(help=PRE | {"repair": "vX.Y.Z: complete a version that is there already."})
def release(context: Context, repair: str = "", pre: bool = False) -> None:
    """Release this commit: version, changelog, tag, GitHub Release, tags of the images."""
    transaction.release(ROOT, rest_api.connect(ROOT), version=repair, pre=pre)


namespace = Collection(
    dev,
    add,
    remove,
    upgrade,
    protect,
    why,
    up,
    down,
    logs,
    status,
    deploy,
    rollback,
    smoke,
    tag,
    release,
)
namespace.add_collection(
    Collection(
        "env",
        env_list,
        env_current,
        env_use,
        env_init,
        env_show,
        env_check,
        env_diff,
        env_contract,
    )
)
namespace.add_collection(
    Collection("image", image_build, image_list, image_push, image_promote, image_prune)
)
