"""`inv doctor`: finds problems of this machine and of an environment."""

from __future__ import annotations

from pathlib import Path

from invoke.exceptions import Exit

from slipway_ops.tasks.operation import operation

WHERE = {"environment": "development, staging or production; default: the active one, if any."}


@operation(help=WHERE)
def doctor(root: Path, environment: str | None = None) -> None:
    """Check this machine and an environment; say what to fix.

    Examples:
        inv doctor
        inv doctor production
    """
    from slipway_ops import project
    from slipway_ops.doctor import environment as environments, machine
    from slipway_ops.environments import environment_files

    failed = False
    print("This machine:")
    for check in machine.checks(root):
        print(check, flush=True)
        failed |= check.is_well is False
    name = environment or environment_files.active(root)
    if name and "environments" in project.capabilities(root):
        environment_files.file_of(root, name)  # raises an error for an unknown name
        print(f"{name}:")
        for check in environments.checks(root, name):
            print(check, flush=True)
            failed |= check.is_well is False
    if failed:
        raise Exit("Something needs to be fixed: see above.", code=1)
