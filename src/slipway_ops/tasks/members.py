"""`inv add`, `inv remove`, `inv enable`: one member more or less, one capability more."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from slipway_ops.tasks.operation import operation

KIND = {"kind": "One of: api, worker, app, library.", "name": "The member's name."}
say = partial(print, flush=True)  # at once, also where the output goes to a file


@operation(help=KIND)
def add(root: Path, kind: str, name: str) -> None:
    """Render one more member, wired everywhere, lock and install it; your edits are kept."""
    from slipway_ops import growth

    new = growth.add(root, kind, name, say)
    if new:
        print("New variables; `inv env.check NAME` says which of them an environment still needs:")
        print(*(f"  {v.name}: {v.meaning}{' Required.' * v.required}" for v in new), sep="\n")
    print(f"{name} is ready. Look at it with `git status`, check it with `nox -t {name}`.")


@operation(help=KIND)
def remove(root: Path, kind: str, name: str) -> None:
    """Take a member out; files that you added to it stay, git keeps what you edited."""
    from slipway_ops import growth

    growth.remove(root, kind, name, say)
    print(f"{name} is gone. Look at what changed with `git status`.")


@operation()
def capabilities(root: Path) -> None:
    """List what the project has besides its stages, and what `inv enable` can add."""
    from slipway_ops import project, text_table

    on = project.capabilities(root)
    rows = []
    for name, each in project.CAPABILITIES.items():
        lacking = f"needs {each.needs}" if each.needs not in ("", *on) else ""
        rows.append((name, "on" if name in on else lacking, each.brings))
    print(*text_table.lines(rows), sep="\n")


@operation(help={"name": "One of those that `inv capabilities` lists."})
def enable(root: Path, name: str) -> None:
    """Add a capability: its files, sessions, tasks; your edits are kept."""
    from slipway_ops import growth

    growth.enable(root, name, say)
    print(f"{name} is ready. Look at it with `git status`, check it with `nox -s lint`.")
    if (root / "docs" / f"{name}.md").exists():
        print(f"docs/{name}.md says how to set it up.")
