"""Compares the tasks that each runner runs after a change with the tasks that had to run."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.configs import depend
from benchmarks.measure import BIN, timed
from benchmarks.sample import STAGES, Sample

Make = Callable[[Sample], dict[str, str] | None]


@dataclass(frozen=True)
class Change:
    """A change, and the tasks whose results may change.

    Attributes:
        name: what is changed.
        make: makes the change in a monorepo; may return environment variables for the run.
        runs: the tasks that depend on it, such as `lint(*)`, `*(service1)`; `users` are the members
            that use the library. With a `!`, all tasks have to run if one sees the variable STRAY.
        reason: why Slipway runs more tasks.
    """

    name: str
    make: Make
    runs: str = ""
    reason: str = ""


ONE, USERS, ALL = "*(service1)", "*(core) lint(users) test(users)", "*(*)"
SEEN = f"{ONE}!"
HOME = "services/service1"
SOURCE = f"{HOME}/src/service1"
CODE = f"{SOURCE}/part1.py"
LIBRARY = "libs/core/src/core"
WHOLE = "the key of a member has all files of the members that it uses"
IGNORED = "any tool may read the ignore files at the root"
UNKNOWN = "any tool may read unknown files at the root"


def _append(name: str, text: str = "\n\nMORE = 1\n") -> Make:
    def change(sample: Sample) -> None:
        file = sample.path / name
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        sample.write(name, before + text)

    return change


def _replace(name: str, old: str, new: str) -> Make:
    return lambda sample: sample.replace(name, old, new)


def _remove(name: str) -> Make:
    def change(sample: Sample) -> None:
        path = sample.path / name
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    return change


def _move(name: str, to: str) -> Make:
    def change(sample: Sample) -> None:
        (sample.path / to).parent.mkdir(parents=True, exist_ok=True)
        (sample.path / name).rename(sample.path / to)

    return change


def _folder(name: str) -> Make:
    return lambda sample: (sample.path / name).mkdir(parents=True)


def _link(name: str, target: str) -> Make:
    def change(sample: Sample) -> None:
        (sample.path / name).unlink(missing_ok=True)
        (sample.path / name).symlink_to(target)

    return change


def _bytes(name: str, old: bytes, new: bytes) -> Make:
    def change(sample: Sample) -> None:
        file = sample.path / name
        file.write_bytes(file.read_bytes().replace(old, new) if file.exists() else new)

    return change


def _variable(name: str, value: str) -> Make:
    return lambda _: {name: value}


def _git(*commands: str) -> Make:
    def change(sample: Sample) -> None:
        for command in commands:
            timed(["git", *command.split(" ")], sample.path)

    return change


def _in_turn(*makes: Make) -> Make:
    """Makes several changes at once."""

    def change(sample: Sample) -> dict[str, str]:
        variables: dict[str, str] = {}
        for make in makes:
            variables |= make(sample) or {}
        return variables

    return change


def _after(first: Make, then: Make) -> Make:
    """Makes a change, runs all tasks, and makes another change."""

    def change(sample: Sample) -> dict[str, str] | None:
        first(sample)
        sample.run()
        return then(sample)

    return change


def _swap(sample: Sample) -> None:
    folder = sample.path / SOURCE
    (folder / "part2.py").rename(folder / "swap.py")
    (folder / "part3.py").rename(folder / "part2.py")
    (folder / "swap.py").rename(folder / "part3.py")


def _same_size_and_time(sample: Sample) -> None:
    file = sample.path / CODE
    before = file.stat()
    sample.replace(CODE, "a tax", "A tax")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def _windows(sample: Sample) -> None:
    file = sample.path / SOURCE / "part4.py"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))


def _copy_for_link(sample: Sample) -> None:
    path = sample.path / HOME / "linked.md"
    text = path.read_text(encoding="utf-8")
    path.unlink()
    path.write_text(text, encoding="utf-8")


def _file_to_folder(sample: Sample) -> None:
    (sample.path / SOURCE / "part5.py").unlink()
    sample.write(f"{SOURCE}/part5.py/__init__.py", "")


def _touch(sample: Sample) -> None:
    for file in sample.path.glob("services/*/src/*/part1.py"):
        os.utime(file)


def _new_inode(sample: Sample) -> None:
    text = (sample.path / CODE).read_text(encoding="utf-8")
    (sample.path / CODE).unlink()
    sample.write(CODE, text)


def _order(sample: Sample) -> None:
    sample.replace("pyproject.toml", "[tool.black]\nline-length = 99\n", "")
    _append("pyproject.toml", "[tool.black]\nline-length = 99\n")(sample)


def _locked(package: str) -> Make:
    """Changes a hash in the lock, as if the index had a new wheel of the same version."""

    def change(sample: Sample) -> None:
        text = (sample.path / "uv.lock").read_text(encoding="utf-8")
        _, _, rest = text.partition(f'[[package]]\nname = "{package}"\n')
        match = re.search(r"sha256:[0-9a-f]{64}", rest)
        if match is None:
            raise ValueError(f"{package} is not locked")
        sample.replace("uv.lock", match[0], "sha256:" + "0" * 64)

    return change


def _lock(sample: Sample) -> None:
    timed([BIN / "uv", "lock", "--quiet"], sample.path)


def _uses(name: str, library: bool) -> Make:
    return lambda sample: depend(sample, name, library)


def _new_member(sample: Sample) -> None:
    """Adds a copy of the member without dependencies on other members."""
    old, new = sample.loner, "extra"
    source, folder = sample.path / f"services/{old}", sample.path / f"services/{new}"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("__pycache__", ".turbo"))
    (folder / "src" / old).rename(folder / "src" / new)
    (folder / "tests" / f"test_{old}.py").rename(folder / "tests" / f"test_{new}.py")
    for name in ("pyproject.toml", "package.json", "project.json", f"tests/test_{new}.py"):
        if (folder / name).exists():
            text = (folder / name).read_text(encoding="utf-8")
            (folder / name).write_text(text.replace(old, new), encoding="utf-8")
    depend(sample, new, False)


def _rename_member(sample: Sample) -> None:
    _move("services/extra", "services/other")(sample)
    folder = sample.path / "services/other"
    for name in ("pyproject.toml", "package.json", "project.json"):
        if (folder / name).exists():
            text = (folder / name).read_text(encoding="utf-8")
            (folder / name).write_text(text.replace("extra", "other"), encoding="utf-8")
    depend(sample, "other", False)


def _gone_member(sample: Sample) -> None:
    shutil.rmtree(sample.path / "services/other")
    depend(sample, sample.loner, False)


def _commit(sample: Sample) -> None:
    _git("add --all", "commit --quiet --allow-empty --message it")(sample)


def _branch(sample: Sample) -> None:
    _commit(sample)
    _git("switch --quiet --create other")(sample)
    sample.replace(f"{SOURCE}/part6.py", "part 6", "part six")
    _commit(sample)
    sample.run()
    _git("switch --quiet main")(sample)


def _merge(sample: Sample) -> None:
    _commit(sample)
    _git("switch --quiet --create feature")(sample)
    _git("commit --quiet --allow-empty --message feature", "switch --quiet main")(sample)
    _git("merge --quiet --no-ff --message merge feature")(sample)


def _back(sample: Sample) -> None:
    sample.replace(".flake8", "100", "99")
    sample.run()
    sample.replace(".flake8", "99", "100")


def _definition(stage: str) -> Make:
    """Changes the command of a stage in the configuration of the runner."""

    def change(sample: Sample) -> None:
        do = f"{sample.do}"
        name, old, new = {
            "slipway": ("noxfile.py", f'"{do}", "{stage}"', f'"{do}", "{stage}", "again"'),
            "moon": (".moon/tasks/all.yml", f"{do} {stage}", f"{do} {stage} again"),
        }.get(sample.runner, ("", f"{do} {stage}", f"{do} {stage} again"))
        manifest = "package.json" if sample.runner == "turbo" else "project.json"
        places = [name] if name else [f"{at}/{manifest}" for at in sample.folders.values()]
        for file in places:
            sample.replace(file, old, new)

    return change


def _of_one(*files: tuple[str, Make]) -> list[Change]:
    return [Change(name, make, ONE) for name, make in files]


def _of_nobody(*files: tuple[str, Make]) -> list[Change]:
    return [Change(name, make) for name, make in files]


CHANGES = [
    Change("nothing", lambda _: None),
    *_of_one(
        ("a file of one member", _append(CODE)),
        ("one letter", _replace(CODE, "The sum", "the sum")),
        ("a file that keeps its size and time", _same_size_and_time),
        ("a space at the end of a line", _replace(CODE, "MORE = 1", "MORE = 1 ")),
        ("the line ends", _windows),
        ("a new file", _append(f"{SOURCE}/new.py", "NEW = 1\n")),
        ("a new empty file", _append(f"{SOURCE}/py.typed", "")),
        ("a file that becomes empty", lambda s: s.write(f"{SOURCE}/new.py", "")),
        ("a deleted file", _remove(f"{SOURCE}/part9.py")),
        ("a renamed file", _move(f"{SOURCE}/part8.py", f"{SOURCE}/part11.py")),
        ("a renamed file, only its case", _move(f"{SOURCE}/part11.py", f"{SOURCE}/Part11.py")),
        ("a file in another folder", _move(f"{SOURCE}/part10.py", f"{SOURCE}/more/part10.py")),
        ("two files that swap names", _swap),
        ("a name with a space", _append(f"{HOME}/a name.txt")),
        ("a name with an umlaut", _append(f"{HOME}/prüfung.txt")),
        ("a hidden file", _append(f"{HOME}/.hidden")),
        ("a file in a hidden folder", _append(f"{HOME}/.config/tool.toml", "a = 1\n")),
        ("a file six folders deep", _append(f"{HOME}/a/b/c/d/e/f.txt")),
        ("a new folder that is empty", _folder(f"{HOME}/empty")),
        ("a renamed folder", _move(f"{HOME}/a", f"{HOME}/z")),
        ("an empty folder that is gone", _remove(f"{HOME}/empty")),
        ("a mode", lambda s: (s.path / SOURCE / "part7.py").chmod(0o755)),
        ("a file that becomes a folder", _file_to_folder),
        ("a link", _link(f"{HOME}/linked.md", "../../docs/guide.md")),
        ("what a link leads to", _append("docs/guide.md", "More.\n")),
        ("a link that leads elsewhere", _link(f"{HOME}/linked.md", "../../docs/other.md")),
        ("a link that becomes a copy", _copy_for_link),
        ("a link to nothing", _link(f"{HOME}/nothing", "nowhere")),
        ("a binary file", _bytes(f"{HOME}/tests/data.bin", b"", b"\x00\xff\x01")),
        ("a byte of a binary file", _bytes(f"{HOME}/tests/data.bin", b"\xff", b"\xfe")),
        ("its tests", _append(f"{HOME}/tests/test_service1.py")),
        ("its conftest.py", _append(f"{HOME}/tests/conftest.py", "")),
        ("the data of its tests", _append(f"{HOME}/tests/cases.json", "{}\n")),
        ("its README.md", _append(f"{HOME}/README.md")),
        ("its own .flake8", _append(f"{HOME}/.flake8", "[flake8]\n")),
        ("its own pytest.ini", _append(f"{HOME}/pytest.ini", "[pytest]\n")),
        ("its own .gitignore", _append(f"{HOME}/.gitignore", "kept.txt\n")),
        (
            "its description",
            _replace(f"{HOME}/pyproject.toml", "dependencies", 'description = "it"\ndependencies'),
        ),
        ("a comment in its pyproject.toml", _append(f"{HOME}/pyproject.toml", "# more\n")),
        ("a file that its .gitignore names", _append(f"{HOME}/kept.txt")),
        ("a file that the root's .gitignore names, `.env`", _append(f"{HOME}/.env")),
        ("generated code that git ignores", _append(f"{HOME}/generated/client.py", "A = 1\n")),
        ("a change in generated code", _append(f"{HOME}/generated/client.py", "B = 2\n")),
        (
            "a file that .git/info/exclude names",
            _in_turn(_append(".git/info/exclude", "mine\n"), _append(f"{HOME}/mine")),
        ),
        (
            "a file that git assumes unchanged",
            _in_turn(
                _git(f"update-index --assume-unchanged {SOURCE}/__init__.py"),
                _append(f"{SOURCE}/__init__.py"),
            ),
        ),
        (
            "a file that git skips",
            _in_turn(
                _git(f"update-index --no-assume-unchanged {SOURCE}/__init__.py"),
                _git(f"update-index --skip-worktree {SOURCE}/__init__.py"),
                _append(f"{SOURCE}/__init__.py", "\n\nOTHER = 2\n"),
            ),
        ),
        (
            "a file of a repository inside",
            _after(
                _in_turn(
                    _git(
                        f"init --quiet {HOME}/inner",
                        f"-C {HOME}/inner commit --quiet --allow-empty --message it",
                    ),
                    _append(f"{HOME}/inner/a.py", "A = 1\n"),
                ),
                _append(f"{HOME}/inner/a.py", "B = 2\n"),
            ),
        ),
    ),
    *_of_nobody(
        ("the same, but with git's index made again", _git("reset --quiet")),
        ("the same text in a new file", _new_inode),
        ("only the times of files", _touch),
        ("what was run is added to git", _git("add --all")),
        ("what was run is committed", _git("commit --quiet --message all")),
        ("compiled code", _append(f"{SOURCE}/__pycache__/a.cpython-313.pyc")),
        ("the cache of pytest", _append(f"{HOME}/.pytest_cache/a")),
        ("the cache of mypy", _append(f"{HOME}/.mypy_cache/a.json")),
        ("the cache of ruff", _append(f"{HOME}/.ruff_cache/a")),
        ("a virtual environment in a member", _append(f"{HOME}/.venv/bin/a")),
        ("node_modules in a member", _append(f"{HOME}/node_modules/a/a.js")),
        ("an egg-info", _append(f"{HOME}/service1.egg-info/PKG-INFO")),
        ("the data of coverage", _append(f"{HOME}/.coverage")),
        ("a report of coverage", _append(f"{HOME}/htmlcov/index.html")),
        ("a wheel in dist/", _append(f"{HOME}/dist/a.whl")),
        ("what macOS leaves behind", _append(f"{HOME}/.DS_Store")),
        ("what vim leaves behind", _append(f"{HOME}/.a.py.swp")),
        ("what an IDE leaves behind", _append(f"{HOME}/.idea/a.xml")),
        ("a file that the project excludes, `*.log`", _append(f"{HOME}/it.log")),
    ),
    Change("a shared library", _append(f"{LIBRARY}/part1.py"), USERS),
    Change("a new file of the library", _append(f"{LIBRARY}/new.py"), USERS),
    Change("a deleted file of the library", _remove(f"{LIBRARY}/part9.py"), USERS),
    Change(
        "a renamed file of the library",
        _move(f"{LIBRARY}/part8.py", f"{LIBRARY}/part11.py"),
        USERS,
    ),
    Change("a mode in the library", lambda s: (s.path / LIBRARY / "part7.py").chmod(0o755), USERS),
    Change("data of the library", _append(f"{LIBRARY}/rates.json", "{}\n"), USERS),
    Change("a git-ignored file of the library", _append("libs/core/.env"), USERS),
    Change("a link in the library", _link("libs/core/linked.md", "../../docs/guide.md"), USERS),
    Change("what a link in the library leads to", _append("docs/guide.md", "More.\n"), USERS),
    Change("an empty folder in the library", _folder(f"{LIBRARY}/plugins"), USERS),
    Change(
        "only the tests of the library", _append("libs/core/tests/test_core.py"), "*(core)", WHOLE
    ),
    Change("the library's README.md", _append("libs/core/README.md"), "*(core)", WHOLE),
    Change("a member begins to use the library", _uses("service3", True), "*(service3)"),
    Change(
        "the library, after that",
        _append(f"{LIBRARY}/part2.py"),
        f"{USERS} lint(service3) test(service3)",
    ),
    Change(
        "the member no longer uses it",
        _in_turn(_append("services/service3/README.md"), _uses("service3", False)),
        "*(service3)",
    ),
    Change("the library, after that again", _append(f"{LIBRARY}/part3.py"), USERS),
    Change("a new member", _new_member, "*(extra)"),
    Change("a file of the new member", _append("services/extra/src/extra/part1.py"), "*(extra)"),
    Change("a renamed member", _rename_member, "*(other)"),
    Change("a member that is gone", _gone_member),
    Change("a new file in a declared folder", _append("schemas/new.json", "{}\n"), ONE, UNKNOWN),
    Change("a declared file outside of the member", _append("schemas/api.json"), ONE, UNKNOWN),
    Change("a deleted file in a declared folder", _remove("schemas/new.json"), ONE, UNKNOWN),
    Change("`.flake8`", _append(".flake8", "extend-ignore = E731\n"), "lint(*)"),
    Change("`[tool.black]`", _replace("pyproject.toml", "length = 100", "length = 99"), "lint(*)"),
    Change("`[tool.mypy]`", _append("pyproject.toml", "[tool.mypy]\nstrict = true\n"), "lint(*)"),
    Change(
        "`[tool.pytest]`", _replace("pyproject.toml", "strict = true", "strict = false"), "test(*)"
    ),
    Change(
        "`[tool.coverage]`",
        _append("pyproject.toml", "[tool.coverage.run]\nbranch = true\n"),
        "test(*)",
    ),
    Change(
        "`[tool.bandit]`", _replace("pyproject.toml", "skips = []", 'skips = ["B101"]'), "scan(*)"
    ),
    Change(
        "the table of a tool that nobody knows",
        _append("pyproject.toml", "[tool.other]\na = 1\n"),
        ALL,
    ),
    Change("a comment in pyproject.toml", _append("pyproject.toml", "# more\n")),
    Change("the order of its tables", _order),
    Change("an accepted advisory, `audit.toml`", _append("audit.toml", "# more\n"), "scan(*)"),
    Change("the root's .gitignore", _append(".gitignore", "private.py\n"), "lint(*)", IGNORED),
    Change("a file at the root that nobody knows", _append("setup.cfg"), "", UNKNOWN),
    Change("a folder at the root that nobody knows", _append("notes/a.txt"), "", UNKNOWN),
    Change("`.gitattributes`", _append(".gitattributes", "*.bin binary\n"), "", UNKNOWN),
    *_of_nobody(
        ("a document at the root", _append("README.md")),
        ("a document", _append("docs/more.md")),
        ("the changelog", _append("CHANGELOG.md")),
        ("the license", _append("LICENSE")),
        ("a workflow", _append(".github/workflows/ci.yml", "name: ci\n")),
        ("the owners of code", _append(".github/CODEOWNERS")),
        ("the hooks", _append(".pre-commit-config.yaml", "repos: []\n")),
        ("a compose file", _append("deploy/compose.yaml", "services: {}\n")),
        ("the operations, `tasks.py`", _append("tasks.py", "# tasks\n")),
        ("`.dockerignore`", _append(".dockerignore", "*\n")),
        ("`.env` at the root", _append(".env", "A=1\n")),
    ),
    Change("a lock entry of one member", _locked("toml"), "*(loner)"),
    Change("a lock entry of the lint", _locked("mccabe"), "lint(*)"),
    Change("a lock entry of the tests", _locked("iniconfig"), "lint(*) test(*)"),
    Change("a lock entry of the scan", _locked("stevedore"), "scan(*)"),
    Change("a comment in the lock", _append("uv.lock", "# more\n")),
    Change(
        "another version for one member",
        _in_turn(
            _replace("services/service3/pyproject.toml", "toml==0.10.2", "toml==0.10.1"), _lock
        ),
        "*(loner)",
    ),
    Change("a declared variable", _variable("SHOP_MODE", "fast"), ALL),
    Change("a declared variable that is empty", _variable("SHOP_MODE", ""), ALL),
    Change(
        "a variable that nobody declared, and a file of one member",
        _in_turn(_append(CODE), _variable("STRAY", "1")),  # something runs, and shows if it is seen
        SEEN,
    ),
    Change("a proxy", _variable("HTTPS_PROXY", "http://proxy.example.com:3128")),
    Change("no color", _variable("NO_COLOR", "1")),
    Change(
        "the command of one stage", _definition("lint"), "lint(*)", "all stages are in one noxfile"
    ),
    Change(
        "the command of another stage",
        _definition("test"),
        "test(*)",
        "all stages are in one noxfile",
    ),
    Change("a change and back", _back),
    Change("a commit of the same tree", _commit),
    Change("another message of the commit", _git("commit --quiet --amend --message other")),
    Change("a tag", _git("tag v1.0.0")),
    Change("a branch and back", _branch),
    Change("a merge of the same tree", _merge),
    Change("a checkout without a branch", _git("switch --quiet --detach")),
    Change("git's housekeeping", _git("switch --quiet main", "gc --quiet")),
    Change(
        "a change that is stashed and taken back",
        _after(_append(CODE, "STASHED = 1\n"), _git("stash --quiet", "stash pop --quiet")),
    ),
]


def table(samples: dict[str, Sample]) -> list[str]:
    """Returns a table with the missed and superfluous tasks of each runner after each change.

    Args:
        samples: the same monorepo for each runner.
    """
    head = ["change", "had to run", *samples]
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join(['---'] * len(head))} |"]
    sums = {name: [0, 0] for name in samples}
    for sample in samples.values():
        sample.run()
        if sample.run().tasks:
            sys.exit(
                f"{sample.runner} runs tasks again in {sample.path}, although nothing has changed"
            )
    for change in CHANGES:
        cells = []
        due: set[str] = set()
        for name, sample in samples.items():
            variables = change.make(sample) or {}
            due = wanted(change.runs, sample)
            ran = sample.run(**variables)
            if change.runs == SEEN and ran.stray:
                due = wanted(ALL, sample)
            missed, more = len(due - ran.tasks), len(ran.tasks - due)
            sums[name][0] += missed
            sums[name][1] += more
            if variables:
                sample.run()  # without the variables
            cells.append(
                f"{f'**{missed} missed**, ' * bool(missed)}{more} more"
                if missed or more
                else "exact"
            )
        count = "those that see it" if change.runs == SEEN else str(len(due))
        lines.append(f"| {' | '.join([change.name, count, *cells])} |")
    total = [f"{missed} missed, {more} more" for missed, more in sums.values()]
    lines.append(f"| {' | '.join([f'all {len(CHANGES)}', '', *total])} |")
    reasons = sorted({change.reason for change in CHANGES if change.reason})
    return [*lines, "", f"Slipway runs more tasks because {'; because '.join(reasons)}."]


def wanted(words: str, sample: Sample) -> set[str]:
    """Returns the tasks that words such as `lint(*)` stand for."""
    groups = {"*": [*sample.folders], "users": sample.users, "loner": [sample.loner]}
    found = set()
    for word in words.split():
        stage, _, member = word.rstrip(")!").partition("(")
        for one in STAGES if stage == "*" else (stage,):
            found |= {f"{one}({name})" for name in groups.get(member, [member])}
    return found
