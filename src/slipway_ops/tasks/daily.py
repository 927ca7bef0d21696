"""`inv dev`, `inv why`, and less frequent tasks for the whole project."""

from __future__ import annotations

from pathlib import Path

from invoke.exceptions import Exit

from slipway_ops.tasks.operation import operation


@operation(
    help={
        "port": "The first port; the others follow. Use another one for a second project.",
        "reload": "Restart APIs and workers when their code or a library changes.",
    }
)
def dev(root: Path, *, port: int = 8000, reload: bool = True) -> None:
    """Run the whole product on this machine, without Docker.

    It starts a database, the APIs, the workers and the apps. It reloads what you edit.

    Examples:
        inv dev
        inv dev --port 9000
        inv dev --no-reload
    """
    from slipway_ops.dev import product

    raise Exit(code=product.run(root, port, reload))


@operation()
def upgrade(root: Path) -> None:
    """Upgrade all dependencies, within the ranges of the manifests.

    No new version is less than a week old.

    Examples:
        inv upgrade
    """
    from slipway_ops import growth

    for sentence in growth.upgrade(root):
        print(sentence)
    print("The locks are updated. Check them with `nox`, then commit them.")


@operation(
    help={
        "stage": "One of: lint, test, scan, build.",
        "member": "A member, or repo.",
        "trace": "Also show what its key includes, and what it accessed when it was traced.",
    }
)
def why(root: Path, stage: str, member: str, trace: bool = False) -> None:
    """Explain why a session runs again or is skipped.

    Examples:
        inv why lint backend
        inv why test backend --trace
    """
    from slipway_ops.cache import results, trace as traces

    print(results.why(root, stage, member))
    if trace:
        print(traces.show(root, f"{stage}({member})"))


@operation(help={"check": "Only compare; the exit status is 1 if something differs."})
def protect(root: Path, check: bool = False) -> None:
    """Apply the rulesets and merge settings of .github on GitHub.

    Examples:
        inv protect --check
        inv protect
    """
    from slipway_ops.github import rest_api, rulesets

    rulesets.protect(root, rest_api.connect(root), check=check)
