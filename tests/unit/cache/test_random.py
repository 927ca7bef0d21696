"""Random edits of a small monorepo: a session that would fail is never skipped."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings, strategies as st
from unit.cache.monorepo import FILES, Monorepo

FOLDERS = ["libs/core/", "libs/solo/", "services/api/", "services/worker/", "apps/web/", "docs/"]
OWN = [name for name in FILES if name not in ("pyproject.toml", "noxfile.py")]
NEW = [f"{folder}{name}" for folder in FOLDERS for name in ("a.py", ".env", "src/b/c.txt")]
TEXTS = ["good\n", "BUG\n", "fine\n", "BAG\n"]  # all but one as long as another
TABLES = ["tool.black", "tool.mypy", "tool.pytest.ini_options", "tool.coverage.run", "tool.bandit"]

writes = st.tuples(st.just("write"), st.sampled_from(OWN + NEW), st.sampled_from(TEXTS))
deletes = st.tuples(st.just("delete"), st.sampled_from(OWN + NEW), st.just(""))
moves = st.tuples(st.just("move"), st.sampled_from(OWN + NEW), st.sampled_from(NEW))
tables = st.tuples(st.just("table"), st.sampled_from(TABLES), st.sampled_from(TEXTS))
variables = st.tuples(
    st.just("variable"),
    st.sampled_from(["TZ", "SHOP_MODE", "AUDIT_OSV_URL"]),
    st.sampled_from(TEXTS),
)
branches = st.tuples(st.just("branch"), st.sampled_from(["a", "b"]), st.just(""))
runs = st.tuples(st.just("run"), st.just(""), st.just(""))
edits = st.one_of(writes, writes, deletes, moves, tables, variables, branches, runs)


def is_manifest(name: str) -> bool:
    """Whether a file decides which members there are, and so what the second opinion is about."""
    return name.endswith(("pyproject.toml", "package.json"))


def edit(monorepo: Monorepo, what: str, name: str, more: str) -> None:
    """Makes one edit, where it can be made."""
    file = monorepo.path / name
    if what == "write" and not is_manifest(name):
        monorepo.write(name, more)
    elif what == "delete" and not is_manifest(name):
        file.unlink(missing_ok=True)
    elif what == "move" and file.is_file() and not is_manifest(name):
        (monorepo.path / more).parent.mkdir(parents=True, exist_ok=True)
        file.rename(monorepo.path / more)
    elif what == "table":
        head, found, rest = (
            (monorepo.path / "pyproject.toml").read_text("utf-8").partition(f"[{name}]\n")
        )
        line, _, rest = rest.partition("\n")
        monorepo.write("pyproject.toml", f'{head}{found}a = "{more.strip()}"\n{rest}')
    elif what == "variable":
        monorepo.environment[name] = more
    elif what == "branch":
        monorepo.git("add", "--all")
        monorepo.git("commit", "--quiet", "--allow-empty", "--message", "state")
        known = (monorepo.path / f".git/refs/heads/{name}").exists()
        monorepo.git("switch", "--quiet", *(() if known else ("--create",)), name)


def check(monorepo: Monorepo) -> None:
    """Runs, and looks whether what was skipped would have failed."""
    ran = monorepo.run()
    for stage_and_name in monorepo.sessions - ran:
        stage, _, name = stage_and_name.rstrip(")").partition("(")
        assert monorepo.would_pass(stage, monorepo.members[name]), stage_and_name


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(edits, min_size=1, max_size=8))
def test_a_session_that_would_fail_is_never_skipped(
    monorepo: Monorepo, steps: list[tuple[str, str, str]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        copy = Monorepo(Path(shutil.copytree(monorepo.path, Path(folder, "shop"))))
        for what, name, more in steps:
            edit(copy, what, name, more)
            if what == "run":
                check(copy)
        check(copy)
        before = copy.red
        check(copy)
        assert before == copy.red, "what failed runs again"
