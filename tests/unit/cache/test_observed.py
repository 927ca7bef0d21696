"""Each access of a session is in its key, harmless by a rule, or a finding."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from unit.cache.monorepo import PYPROJECT, Monorepo

from slipway_ops.cache import (
    cache_key,
    file_trees,
    observed,
    root_files,
    strace,
    tools,
    web_dependencies,
)
from slipway_ops.cache.cache_key import Inputs
from slipway_ops.cache.file_trees import Trees
from slipway_ops.cache.strace import Access, Accesses
from slipway_ops.errors import SlipwayError
from support import BIN, clean_environment, need, run, strace as can_trace


@dataclass
class Watched:
    """A monorepo in which one session at a time is observed."""

    monorepo: Monorepo
    temporary: Path = field(default_factory=lambda: Path("/nowhere"))

    def findings(self, session: str, *accesses: tuple[str, str], program: str = "tool") -> set[str]:
        """The findings if a session makes these accesses: how, and a path from the root."""
        found = {Access(how, self.absolute(what)): f"cmd > {program}" for how, what in accesses}
        return self._findings(session, found)

    def of_command(self, session: str, *command: str | Path) -> set[str]:
        """The findings if a session runs a command in the folder of its member."""
        need(can_trace(), "strace observes programs only on Linux, where ptrace is allowed")
        member = self.monorepo.members[session.rstrip(")").partition("(")[2]]
        file = self.monorepo.path.parent / "strace.txt"
        done = run(*strace.prefix(file), *command, cwd=member.path, env=clean_environment())
        assert done.returncode == 0, done.stdout
        accesses = Accesses()
        accesses.read(file.read_text("utf-8").splitlines(), str(member.path), "cmd")
        return self._findings(session, accesses.found)

    def _findings(self, session: str, found: dict[Access, str]) -> set[str]:
        stage, _, name = session.rstrip(")").partition("(")
        inputs = Inputs(self.monorepo.path, {})
        member = inputs.members[name]
        report = observed.report(inputs, stage, member, found, self.temporary)
        inputs.save()
        return {finding.what for finding in report.findings}

    def absolute(self, what: str) -> str:
        """Returns the absolute path of a path from the root; addresses stay."""
        return what if ":" in what else os.path.normpath(self.monorepo.path / what)


@pytest.fixture
def watched(monorepo: Monorepo) -> Watched:
    """The monorepo, observed."""
    return Watched(monorepo)


@pytest.fixture(scope="module")
def still(_green: Path, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """A monorepo that tests do not change."""
    folder = tmp_path_factory.mktemp("still")
    shutil.copytree(_green, folder / "shop", symlinks=True)
    monorepo = Monorepo(folder / "shop")
    monorepo.write("services/api/notes/it", "excluded")
    for name in ("outside", "socket"):
        (folder / name).touch()
    return Watched(monorepo)


@pytest.mark.parametrize(
    "what",
    [
        "services/api/src/api/__init__.py",
        "services/api/new.py",
        "services/api",
        "services/api/src/new/deep.py",
        "libs/core/src/core/__init__.py",
        "libs/core/setup.cfg",
        "noxfile.py",
        "pyproject.toml",
        "uv.lock",
        "conftest.py",
        "services/conftest.py",
        ".nox/test-api/lib/it.py",
        ".mypy_cache/it.json",
        "services/api/src/api/__pycache__/it.pyc",
        ".git",
        "..",
        "../pyproject.toml",
        "/proc/self/status",
        "/usr/lib/libc.so.6",
        "~/.cache/it",
        f"{sys.base_prefix}/lib/os.py",
    ],
)
def test_an_access_that_is_in_the_key_or_harmless_is_not_a_finding(
    what: str, still: Watched
) -> None:
    what = os.path.expanduser(what)
    path = Path(still.absolute(what))
    how = "looked up" if path.is_dir() else "read" if path.exists() else "missed"
    assert not still.findings("test(api)", (how, what))


@pytest.mark.parametrize(
    ("how", "what"),
    [
        ("read", "services/worker/src/worker/__init__.py"),
        ("looked up", "services/worker"),
        ("listed", "services/worker/tests"),
        ("missed", "services/worker/conftest.py"),
        ("listed", "services"),
        ("listed", "."),
        ("read", "docs/guide.md"),
        ("missed", "docs/more.md"),
        ("missed", ".env"),
        ("read", ".flake8"),
        ("read", ".git/HEAD"),
        ("read", "services/api/notes/it"),
        ("read", "../outside"),
        ("listed", ".."),
        ("connected to", "192.0.2.1:443"),
        ("connected to", "../socket"),
        ("run", "../outside"),
        ("run", "/usr/bin/git"),
    ],
)
def test_an_access_that_could_change_the_result_is_a_finding(
    how: str, what: str, still: Watched
) -> None:
    found = still.findings("test(api)", (how, what))
    outside = what.startswith((".", "/")) and what not in (".", ".env", ".flake8", ".git/HEAD")
    assert found == {still.absolute(what) if outside else what}


def test_each_stage_has_its_own_key(still: Watched) -> None:
    assert not still.findings("lint(api)", ("read", ".flake8"))
    assert not still.findings("scan(api)", ("connected to", "192.0.2.1:443"))
    core = ("read", "libs/core/src/core/__init__.py")
    assert still.findings("build(api)", core) == {"libs/core/src/core/__init__.py"}
    everything = ("services/worker/tests", "docs", ".git/index", "services")
    assert not still.findings("lint(repo)", *(("looked up", what) for what in everything))
    assert not still.findings("lint(repo)", ("read", "apps/web/node_modules/it/index.js"))


def test_the_output_of_a_stage_is_not_an_input_of_another(watched: Watched) -> None:
    watched.monorepo.write("apps/web/dist/index.html", "made")
    made = ("looked up", "apps/web/dist"), ("listed", "apps/web/dist")
    assert not watched.findings("test(web)", *made)
    assert watched.findings("test(web)", ("read", "apps/web/dist/index.html"))


def test_programs_whose_versions_are_in_the_key_are_not_findings(watched: Watched) -> None:
    plain = ("run", "/usr/bin/env"), ("run", "/bin/sh"), ("run", os.path.realpath(sys.executable))
    assert not watched.findings("test(api)", *plain, ("run", ".nox/test-api/bin/pytest"))
    script = "services/api/tests/tool"
    watched.monorepo.write(script, "#!/bin/sh\n")
    assert not watched.findings("test(api)", ("run", script))


def test_only_uv_may_read_the_manifests_of_other_members(
    watched: Watched,
) -> None:
    manifest = "services/worker/pyproject.toml"
    looks = ("read", manifest), ("listed", "services"), ("looked up", "services/worker")
    assert not watched.findings("build(api)", *looks, program="uv")
    assert watched.findings("build(api)", ("read", manifest), program="python") == {manifest}


def test_lint_may_look_for_modules_in_every_member_but_not_read_them(watched: Watched) -> None:
    folder = "services/worker/src"
    pth = ".nox/all/lib/python3.13/site-packages/worker.pth"
    watched.monorepo.write(pth, str(watched.monorepo.path / folder))
    looks = ("looked up", folder), ("listed", folder), ("missed", f"{folder}/typing.py")
    assert not watched.findings("lint(api)", *looks)
    assert watched.findings("lint(api)", ("read", f"{folder}/worker/__init__.py"))
    assert watched.findings("test(api)", *looks), "which has an environment of its own"


def test_only_files_in_the_new_temporary_folder_are_harmless(
    watched: Watched, tmp_path: Path
) -> None:
    watched.temporary = tmp_path / "new"
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "it").touch()
    reads = ("read", str(tmp_path / "new/it")), ("read", str(tmp_path / "old/it"))
    assert watched.findings("test(api)", *reads) == {str(tmp_path / "old/it")}


def test_a_file_in_memory_is_a_finding_while_it_exists(still: Watched) -> None:
    need(os.path.isdir("/dev/shm"), "files in memory: /dev/shm")
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        assert still.findings("test(api)", ("read", file.name)) == {file.name}
    assert not still.findings("test(api)", ("read", file.name), ("read", "/dev/null"))


def test_declared_files_are_in_the_key(watched: Watched) -> None:
    watched.monorepo.write("services/worker/contract.json", "1\n")
    reads = ("read", "services/worker/contract.json"), ("read", "docs/guide.md")
    uses = 'web = ["api"]\nsolo = ["services/worker/contract.json", "docs"]'
    assert watched.findings("test(solo)", *reads) == {what for _, what in reads}
    watched.monorepo.replace("pyproject.toml", 'web = ["api"]', uses)
    assert not watched.findings("test(solo)", *reads)
    assert watched.findings("test(solo)", ("read", "services/worker/pyproject.toml"))


def test_a_session_that_uses_the_root_may_list_it(watched: Watched) -> None:
    watched.monorepo.replace("pyproject.toml", 'web = ["api"]', 'web = ["api"]\nsolo = ["."]')
    assert not watched.findings("test(solo)", ("listed", "."), ("read", "docs/guide.md"))
    assert watched.findings("test(solo)", ("listed", "services/worker")) == {"services/worker"}


def test_git_and_docker_of_repo_read_their_own_settings(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (".gitconfig", ".docker/config.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for name, program in ((".gitconfig", "git"), (".docker/config.json", "docker")):
        read = ("read", str(tmp_path / name))
        assert not watched.findings("lint(repo)", read, program=program)
        assert watched.findings("lint(repo)", read) and watched.findings("lint(api)", read)
    engine = ("connected to", "192.0.2.1:2376")
    assert not watched.findings("test(repo)", engine, program="docker")
    assert watched.findings("test(repo)", engine)


def exclude(monorepo: Monorepo, text: str) -> None:
    monorepo.replace(
        "pyproject.toml",
        "[tool.slipway.uses]",
        f"[tool.slipway.results.trace]\n{text}\n[tool.slipway.uses]",
    )


def test_a_path_that_is_excluded_with_a_reason_is_not_a_finding(watched: Watched) -> None:
    reads = ("read", "docs/guide.md"), ("run", "/usr/bin/git"), ("connected to", "192.0.2.1:53")
    exclude(watched.monorepo, '"docs/*" = "only shown"\ngit = "its version"\n"192.0.2.*" = "names"')
    assert not watched.findings("test(api)", *reads)
    assert watched.findings("test(api)", ("read", ".flake8")) == {".flake8"}


def test_an_exclusion_without_a_reason_is_refused(watched: Watched) -> None:
    exclude(watched.monorepo, '"docs/*" = " "')
    with pytest.raises(SlipwayError, match="docs"):
        watched.findings("test(api)", ("read", "docs/guide.md"))


def test_findings_name_the_path_the_program_and_the_line_to_add(monorepo: Monorepo) -> None:
    inputs = Inputs(monorepo.path, {})
    findings = [
        observed.Finding("read", "docs/guide.md", "vitest > node"),
        observed.Finding("looked up", "docs/guide.md", "vitest > node"),
        observed.Finding("run", "/usr/bin/git", "vitest > node"),
        observed.Finding("read", f"{Path.home()}/.npmrc", "vitest > node"),
        *(observed.Finding("read", f"data/{n}.json", "vitest") for n in range(40)),
    ]
    lines = observed.lines(inputs, "test", inputs.members["web"], findings)
    assert "docs/guide.md (read and looked up by vitest > node)" in lines
    assert "data/ (40 paths read by vitest)" in lines and len(lines) < 12
    edges = next(line for line in lines if line.strip().startswith("web = "))
    assert json.loads(edges.partition("=")[2]) == ["api", "docs/guide.md", "data"]
    text = "\n".join(lines)
    assert observed.USES in text and observed.EXCLUSIONS in text
    assert '"git" = ' in text and '"~/.npmrc" = ' in text


# Each test reverts a fix of test_wrong_skips.py, so that an input is missing in the key.


def test_without_the_fix_an_ignore_file_at_the_root_is_found(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = watched.monorepo.path / "services/api/src"
    command = (BIN / "black", "--check", "--quiet", str(folder))
    exclude(watched.monorepo, 'black = "in a session it is that of the environment"')
    (folder / "api/__init__.py").write_text("api = 1\n", encoding="utf-8")
    assert not watched.of_command("lint(api)", *command)
    monkeypatch.setattr(root_files, "reads", lambda name, *_: name != ".gitignore")
    assert watched.of_command("lint(api)", *command) == {".gitignore"}


def test_without_the_fix_the_target_of_a_link_at_the_root_is_found(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.monorepo.write("services/worker/data/one.json", "1\n")
    (watched.monorepo.path / "shared").symlink_to("services/worker/data")
    assert not watched.of_command("test(core)", "cat", "../../shared/one.json")
    monkeypatch.setattr(Trees, "_follow", lambda *_: None)
    found = watched.of_command("test(core)", "cat", "../../shared/one.json")
    assert "services/worker/data/one.json" in found


def test_without_the_fix_the_target_of_a_link_to_files_of_other_sessions_is_found(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    (watched.monorepo.path / "shared").symlink_to("docs")
    assert not watched.of_command("test(core)", "cat", "../../shared/guide.md")
    monkeypatch.setattr(cache_key.Snapshot, "links", {})
    assert "docs/guide.md" in watched.of_command("test(core)", "cat", "../../shared/guide.md")


def test_without_the_fix_an_empty_folder_that_is_listed_is_found(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    (watched.monorepo.path / "services/api/tests/inbox").mkdir()
    assert not watched.of_command("test(api)", "ls", "tests/inbox")
    read = Trees.read

    def without(
        trees: Trees, folder: Path, left_out: Iterable[Path] = (), whole: bool = False
    ) -> file_trees.Tree:
        tree = read(trees, folder, left_out, whole)
        return {name: what for name, what in tree.items() if what != "empty folder"}

    monkeypatch.setattr(Trees, "read", without)
    assert watched.of_command("test(api)", "ls", "tests/inbox") == {"services/api/tests/inbox"}


def test_without_the_fix_the_program_behind_a_shim_is_found(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tmp_path / "versions/22/bin/node"
    shim = tmp_path / "shims/node"
    for file, text in ((real, "true"), (shim, f"exec {real}")):
        file.parent.mkdir(parents=True)
        file.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        file.chmod(0o755)
    monkeypatch.setenv("PATH", str(shim.parent), prepend=":")
    assert not watched.of_command("test(web)", shim)
    monkeypatch.setattr(tools, "may_be_shim", lambda *_: False)
    assert str(real) in watched.of_command("test(web)", shim)


def test_without_the_fix_a_package_by_its_path_is_found(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.monorepo.write("apps/ui/package.json", '{"name": "ui"}\n')
    manifest = {"dependencies": {"ui": "file:../ui"}}
    watched.monorepo.write("apps/web/package.json", json.dumps(manifest))
    link = watched.monorepo.path / "apps/web/node_modules/ui"
    link.parent.mkdir()
    link.symlink_to("../../ui")
    read = ("cat", "node_modules/ui/package.json")
    assert not watched.of_command("test(web)", *read)
    monkeypatch.setattr(web_dependencies, "folders", lambda *_: set())
    assert "apps/ui/package.json" in watched.of_command("test(web)", *read)


def test_without_the_fix_a_python_package_by_its_path_is_found(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    sibling = watched.monorepo.path.parent / "sib"
    (sibling / "src/sib").mkdir(parents=True)
    (sibling / "src/sib/__init__.py").touch()
    manifest = PYPROJECT.format(name="sib", dependencies="")
    (sibling / "pyproject.toml").write_text(manifest, encoding="utf-8")
    source = '[tool.uv.sources]\nsib = { path = "../../../sib", editable = true }\n'
    own = PYPROJECT.format(name="solo", dependencies='"sib"')
    watched.monorepo.write("libs/solo/pyproject.toml", own + source)
    assert run(BIN / "uv", "lock", "--quiet", cwd=watched.monorepo.path).returncode == 0
    read = ("cat", "../../../sib/src/sib/__init__.py")
    assert not watched.of_command("test(solo)", *read)
    monkeypatch.setattr(cache_key, "READING", ())
    found = watched.of_command("test(solo)", *read)
    assert str(sibling / "src/sib/__init__.py") in found


def test_without_the_fix_a_file_that_is_declared_by_its_path_is_found(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.monorepo.write("services/worker/contract.json", "1\n")
    uses = 'web = ["api"]\nsolo = ["services/worker/contract.json"]'
    watched.monorepo.replace("pyproject.toml", 'web = ["api"]', uses)
    read = ("cat", "../../services/worker/contract.json")
    assert not watched.of_command("test(solo)", *read)
    declared: Callable[..., list[str]] = lambda *_: []  # noqa: E731
    monkeypatch.setattr(Inputs, "_declared", declared)
    assert "services/worker/contract.json" in watched.of_command("test(solo)", *read)
