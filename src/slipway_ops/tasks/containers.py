"""`inv up`, `inv deploy` and others: the containers of an environment."""

from __future__ import annotations

from pathlib import Path

from invoke.exceptions import Exit

from slipway_ops.tasks.env import ENVIRONMENT, confirm
from slipway_ops.tasks.operation import operation

ASKS = ENVIRONMENT | {"yes": "Do not ask to confirm production."}


@operation(help=ASKS | {"observability": "Also Prometheus, Grafana, Loki and their alerts."})
def up(
    root: Path, environment: str | None = None, yes: bool = False, observability: bool = False
) -> None:
    """Start an environment, and wait until it is healthy.

    Examples:
        inv up
        inv up staging
        inv up --observability
    """
    from slipway_ops.deploy import deployment

    found = deployment.find(root, target(root, environment, yes))
    deployment.up(found, observability=observability)
    print(f"{found.environment} is up.", *found.urls(), sep="\n  ")
    same = f" {environment}" if environment else ""
    print(f"Its logs: inv logs{same} --follow. To stop it: inv down{same}")


@operation(help=ASKS | {"volumes": "Also delete the data of the database (development only)."})
def down(
    root: Path, environment: str | None = None, volumes: bool = False, yes: bool = False
) -> None:
    """Stop an environment; its data stays.

    Examples:
        inv down
        inv down staging
        inv down --volumes
    """
    from slipway_ops.deploy import deployment

    name = target(root, environment, yes)
    if volumes and name != "development":
        raise Exit(f"This command does not delete the data of {name}. Type it without --volumes.")
    deployment.down(deployment.find(root, name), volumes=volumes)
    print(f"{name} is stopped; its data {'is deleted' if volumes else 'stays'}.")


@operation(
    help=ENVIRONMENT
    | {"service": "Only this one.", "follow": "Continue until Ctrl-C.", "lines": "How many lines."},
)
def logs(
    root: Path,
    service: str = "",
    environment: str | None = None,
    *,
    follow: bool = False,
    lines: int = 100,
) -> None:
    """Show the logs of an environment, or of one service.

    Examples:
        inv logs
        inv logs backend --follow
        inv logs staging
        inv logs staging backend --lines 1000
    """
    from slipway_ops.deploy import deployment

    found = deployment.find(root, target(root, environment))
    raise Exit(code=found.logs(*[service] * bool(service), follow=follow, lines=lines))


@operation(help=ENVIRONMENT | {"all_": "Every environment."})
def status(root: Path, environment: str | None = None, all_: bool = False) -> None:
    """Show what runs in an environment, and what should run.

    Examples:
        inv status
        inv status staging
        inv status --all
    """
    from slipway_ops.deploy import environment_status
    from slipway_ops.environments import environment_files

    chosen = environment_files.NAMES if all_ else [target(root, environment)]
    print(*(line for name in chosen for line in environment_status.describe(root, name)), sep="\n")


@operation(
    help=ASKS | {"version": "vX.Y.Z, or sha-<12 hex>; default in staging: the commit at HEAD."}
)
def deploy(
    root: Path, environment: str | None = None, version: str | None = None, yes: bool = False
) -> None:
    """Run a version in an environment (in CI: nox -s deploy).

    If it does not become healthy, the previous version is started again.

    Examples:
        inv deploy staging
        inv deploy staging sha-0123456789ab
        inv deploy production v1.2.3
    """
    from slipway_ops.deploy import deployment, version_rules

    name = target(root, environment)
    version, digests, revision = version_rules.resolve(root, name, version)
    confirm(name, yes)  # now, because a version that is refused needs no answer
    found = deployment.find(root, name)
    record = deployment.deploy(found, digests, version=version, revision=revision)
    print(f"{name} runs {record.version}.", *found.urls(), sep="\n  ")


@operation(help=ASKS | {"to": "A version that ran there, or its commit; default: the one before."})
def rollback(root: Path, environment: str | None = None, to: str = "", yes: bool = False) -> None:
    """Go back to an earlier deployment; the database stays.

    Examples:
        inv rollback staging
        inv rollback production v1.2.2
    """
    from slipway_ops.deploy import deployment

    found = deployment.find(root, target(root, environment, yes))
    print(f"{found.environment} runs {deployment.rollback(found, to).version}.")


@operation(help=ENVIRONMENT)
def smoke(root: Path, environment: str | None = None) -> None:
    """Check that a deployment answers (in CI: nox -s smoke).

    Examples:
        inv smoke
        inv smoke staging
    """
    from slipway_ops.deploy import deployment, smoke_test

    smoke_test.check(deployment.find(root, target(root, environment)))


def target(root: Path, environment: str | None, yes: bool = True) -> str:
    """Returns the environment for a command: the active one if none is named.

    Args:
        yes: do not ask to confirm production.

    Raises:
        SlipwayError: the environment does not exist, none is active, or production was not
            confirmed.
    """
    from slipway_ops.environments import environment_files

    name = environment or environment_files.require_active(root)
    environment_files.file_of(root, name)  # raises an error for an unknown name
    confirm(name, yes)
    return name
