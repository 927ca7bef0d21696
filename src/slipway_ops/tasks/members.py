"""`inv add`, `inv remove`, `inv enable`: adds and removes members, adds capabilities."""

from __future__ import annotations

from pathlib import Path

from slipway_ops.tasks.operation import operation

KIND = {"kind": "One of: api, worker, app, library.", "name": "The member's name."}


@operation(help=KIND)
def add(root: Path, kind: str, name: str) -> None:
    """Add a member, and connect it everywhere; keeps your edits.

    Examples:
        inv add api billing
        inv add worker mailer
        inv add app admin
        inv add library money
    """
    import textwrap

    from slipway_ops import growth

    new = growth.add(root, kind, name)
    if new:
        print("New variables; `inv env.check NAME` shows which ones an environment needs:")
        for v in new:
            text = f"{v.name}: {v.meaning}{' Required.' * v.required}"
            print(textwrap.fill(text, 79, initial_indent="  ", subsequent_indent="    "))
    print(f"{name} is ready. See the changes with `git status`, check it with `nox -t {name}`.")


@operation(help=KIND)
def remove(root: Path, kind: str, name: str) -> None:
    """Remove a member; files that you added to it stay.

    Examples:
        inv remove api billing
    """
    from slipway_ops import growth

    growth.remove(root, kind, name)
    print(f"{name} is removed. See the changes with `git status`.")


@operation()
def capabilities(root: Path) -> None:
    """List the capabilities that this project has or can have.

    Examples:
        inv capabilities
    """
    from slipway_ops import project, text_table

    on = project.capabilities(root)
    rows = []
    for name, each in project.CAPABILITIES.items():
        lacking = f"needs {each.needs}" if each.needs not in ("", *on) else ""
        rows.append((name, "on" if name in on else lacking, each.brings))
    print(*text_table.lines(rows), sep="\n")


@operation(help={"capability": "One of the names in `inv capabilities`."})
def enable(root: Path, capability: str) -> None:
    """Add a capability: files, sessions, tasks; keeps your edits.

    Examples:
        inv enable releases
    """
    from slipway_ops import growth, project
    from slipway_ops.adoption import adopt
    from slipway_ops.stages import baseline

    growth.enable(root, capability)
    if capability == "images" and project.is_adopted(root) and adopt.record_dockerfiles(root):
        print(f"{baseline.FILE} has what hadolint finds in your Dockerfiles today.")
    print(f"{capability} is ready. See the changes with `git status`, check with `nox -s lint`.")
    if (root / "docs" / f"{capability}.md").exists():
        print(f"To set it up, read docs/{capability}.md.")
