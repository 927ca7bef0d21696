"""`inv upgrade` updates both kinds of locks, and the new locks can be installed."""

from __future__ import annotations

import tomllib


from support import BIN, Project


def test_an_upgrade_writes_both_locks_within_their_ranges(bench: Project) -> None:
    old = bench.run(BIN / "uv", "lock", "--upgrade-package", "idna==3.11")
    assert old.returncode == 0, old.stdout
    done = bench.run(BIN / "inv", "upgrade")
    assert done.returncode == 0, done.stdout
    assert "The locks are updated." in done.stdout
    assert bench.run(BIN / "uv", "lock", "--check").returncode == 0
    lock = tomllib.loads((bench.path / "uv.lock").read_text("utf-8"))
    assert lock["options"]["exclude-newer-span"] == "P1W", "from now on versions are a week old"
    assert 'name = "idna"\nversion = "3.11"' not in (bench.path / "uv.lock").read_text("utf-8")
    assert '"resolved"' not in (bench.path / "apps/frontend/package-lock.json").read_text("utf-8")
    bench.green("-s", "build(frontend)", "build(runtime)")


def test_an_impossible_upgrade_says_why(bench: Project) -> None:
    bench.replace("apps/frontend/package.json", '"react": "^', '"react": "^99')
    done = bench.run(BIN / "inv", "upgrade")
    assert done.returncode == 1
    assert "`npm update" in done.stdout and "npm error" in done.stdout and "react" in done.stdout
    assert "Traceback" not in done.stdout
