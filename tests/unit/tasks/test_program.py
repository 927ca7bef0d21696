"""Commands as people type them: words in place of flags, a list by purpose, suggestions."""

from __future__ import annotations

import inspect
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
from invoke.context import Context
from invoke.exceptions import Exit, ParseError
from invoke.parser.context import ParserContext

from slipway_ops.project import CAPABILITIES
from slipway_ops.tasks import containers, namespace
from slipway_ops.tasks.program import Program
from support import BIN, REPOSITORY, Project, recipe

DAILY = ["dev", "up", "status", "logs", "down", "why", "doctor"]
OWN_TASK = '''
@task
def greet(context: Context, name: str = "world", times: int = 1, *, tone: str = "") -> None:
    """Greet."""
    print(name, times, tone)


namespace.add_task(greet)
'''


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with two APIs; one has nearly the name of an environment."""
    made = Project(tmp_path)
    made.write("tasks.py", (REPOSITORY / "template/tasks.py").read_text(encoding="utf-8"))
    made.write("pyproject.toml", '[tool.slipway]\nrecipe = 2\nslug = "small"\n')
    for name in ("backend", "stager"):
        manifest = f'[project]\nname = "{name}"\n[tool.slipway]\nkind = "api"\n'
        made.write(f"services/{name}/pyproject.toml", manifest)
    monkeypatch.chdir(tmp_path)
    return made


@pytest.fixture
def program(project: Project) -> Program:
    """Our program in that project, with every task."""
    made = Program(namespace)
    made.create_config()
    made.parse_core(["inv"])
    made.parse_collection()
    return made


def read(program: Program, line: str) -> list[ParserContext]:
    """Returns the tasks and arguments that invoke reads from a command line."""
    program.core.unparsed[:] = shlex.split(line)
    program.parse_tasks()
    return list(program.tasks)


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        ("deploy staging", "deploy --environment staging"),
        ("deploy production v1.2.3", "deploy --environment production --version v1.2.3"),
        (
            "deploy --yes production v1.2.3",
            "deploy --yes --environment production --version v1.2.3",
        ),
        ("deploy -e production v1.2.3", "deploy -e production --version v1.2.3"),
        ("deploy --version v1.2.3 staging", "deploy --version v1.2.3 --environment staging"),
        ("deploy --version=v1.2.3 staging", "deploy --version v1.2.3 --environment staging"),
        ("rollback production v1.0.0", "rollback --environment production --to v1.0.0"),
        ("logs backend", "logs --service backend"),
        ("logs migrate", "logs --service migrate"),
        ("logs backend -f staging", "logs --service backend -f --environment staging"),
        ("logs staging backend", "logs --environment staging --service backend"),
        ("logs staging", "logs --environment staging"),
        ("env.show staging", "env.show --environment staging"),
        ("down up staging", "down up --environment staging"),
        ("up", "up"),
    ],
)
def test_a_word_is_the_same_as_its_flag(program: Program, words: str, flags: str) -> None:
    meant = [(context.name, context.as_kwargs) for context in read(program, flags)]
    assert [(context.name, context.as_kwargs) for context in read(program, words)] == meant


def test_each_task_that_has_an_environment_takes_it_as_its_first_word(program: Program) -> None:
    taking = [name for name, context in program.contexts.items() if "environment" in context.args]
    assert {"up", "down", "status", "deploy", "rollback", "smoke", "env.show", "logs"} < set(taking)
    for name in taking:
        [called] = read(program, f"{name} staging")
        assert called.args.environment.value == "staging", name


def test_only_tasks_that_choose_an_environment_require_its_name(program: Program) -> None:
    needing = {
        name
        for name, context in program.contexts.items()
        if "environment" in context.args and context.missing_positional_args
    }
    assert needing == {"env.diff", "env.init", "env.use"}


@pytest.mark.parametrize("line", ["release v1.2.0", "dev 9000", "tag v2.0.0", "image.push main"])
def test_ambiguous_parameters_are_only_flags(program: Program, line: str) -> None:
    with pytest.raises(ParseError, match="does not accept another word"):
        read(program, line)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("depoy staging", "Did you mean deploy?"),
        ("env.shwo", "Did you mean env.show"),
        ("deploy --enviroment staging", "Did you mean --environment?"),
        ("stop", "Did you mean down?"),
        ("push", "Did you mean image.push?"),
        ("--help stauts", "Did you mean status?"),
        ("env", "inv --list env"),
        ("dev --port abc", "needs a number"),
        ("deploy --yes=staging", "--yes takes no value"),
        ("env.use", "env.use needs: environment"),
        ("env.use stagin", "Did you mean staging?"),
        ("status stagin", "Did you mean staging?"),
        ("logs prodution", "Did you mean production?"),
        ("up prodution", "Did you mean production?"),
        ("enable release", "Did you mean releases?"),
    ],
)
def test_an_unknown_name_is_refused_with_the_closest_one(
    project: Project, line: str, expected: str
) -> None:
    done = project.run(BIN / "inv", *line.split())
    assert done.returncode == 1
    assert expected in done.stdout and "Traceback" not in done.stdout


def test_ctrl_d_in_place_of_an_answer_is_a_no(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("builtins.input", end)
    with pytest.raises(Exit, match="Nothing was changed"):
        containers.rollback(Context(), environment="production")


def test_a_version_that_is_refused_for_production_is_not_asked_about(project: Project) -> None:
    done = project.run(BIN / "inv", "deploy", "production")
    assert done.returncode == 1 and "inv deploy production vX.Y.Z" in done.stdout


def test_a_task_of_the_project_takes_words_too(project: Project) -> None:
    tasks = (REPOSITORY / "template/tasks.py").read_text(encoding="utf-8")
    own = tasks.replace("\nprogram.run", f"{OWN_TASK}program.run")
    project.write("tasks.py", own)
    assert project.run(BIN / "inv", "greet", "you", "3").stdout == "you 3 \n"
    assert project.run(BIN / "inv", "greet", "--times", "3", "you").stdout == "you 3 \n"
    assert (
        "does not accept another word"
        in project.run(BIN / "inv", "greet", "you", "3", "kindly").stdout
    )


def groups(project: Project) -> dict[str, list[str]]:
    """The tasks below each heading of `inv --list`."""
    done = project.run(BIN / "inv", "--list", COLUMNS="80")
    assert done.returncode == 0, done.stdout
    assert max(map(len, done.stdout.splitlines())) < 80
    assert not re.search("^ {10}", done.stdout, re.MULTILINE), "a task takes more than one line"
    found = re.findall(r"^(\w.*):\n((?:  .*\n)+)", done.stdout, re.MULTILINE)
    return {heading: re.findall(r"^  (\S+)", text, re.MULTILINE) for heading, text in found}


def test_the_list_is_grouped_by_purpose_and_begins_with_daily_commands(
    project: Project, program: Program
) -> None:
    found = groups(project)
    assert next(iter(found.values())) == DAILY
    listed = [name for names in found.values() for name in names]
    assert sorted(listed) == sorted([*program.collection.task_names, "version"])
    assert found["Your own tasks"] == ["version"], "an operation has no purpose"


@pytest.mark.parametrize("adopted", [False, True], ids=["new", "adopted"])
def test_the_list_begins_with_daily_commands_with_few_capabilities_too(
    project: Project, adopted: bool
) -> None:
    settings = f"capabilities = []\n{'adopted = false' * adopted}\nslug"
    project.replace("pyproject.toml", "slug", settings)
    found = groups(project)
    assert next(iter(found.values())) == ["dev", "why", "doctor"]
    assert ("adopt" in sum(found.values(), [])) is adopted


def test_each_task_shows_examples_that_are_commands(program: Program) -> None:
    for name in program.collection.task_names:
        text = inspect.getdoc(program.collection[name]) or ""
        examples = re.findall(r"^    inv (.*)$", text.partition("\nExamples:\n")[2], re.MULTILINE)
        assert examples, f"{name} shows no example"
        for example in examples:
            command = example.partition(" <")[0]  # the rest is for the shell
            assert [each.name for each in read(program, command)] == [name], example


def test_the_help_of_a_task_shows_its_words_examples_and_options(project: Project) -> None:
    said = project.run(BIN / "inv", "--help", "deploy").stdout
    assert "inv deploy [environment] [version]" in said
    assert "inv deploy staging\n" in said
    assert re.search(r"--yes +Do not ask", said), "the help of an option is missing"


def test_a_name_that_is_a_session_and_a_task_says_for_whom_in_both_lists(program: Program) -> None:
    sessions = dict(
        re.findall(r'^def (\w+)\(session.*\n    """(.*)"""', recipe(*CAPABILITIES), re.MULTILINE)
    )
    both = sessions.keys() & program.collection.task_names.keys()
    assert both == {"deploy", "smoke", "release"}
    for name in both:
        first = (inspect.getdoc(program.collection[name]) or "").partition("\n")[0]
        assert f"in CI: nox -s {name}" in first
        assert f"you: inv {name}" in sessions[name] and "CI" in sessions[name]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("inv deploy", {"development", "staging", "production"}),
        ("inv deploy st", {"staging", "status"}),
        ("inv env.use", {"development", "staging", "production"}),
        ("inv logs", {"backend", "stager", "development", "staging", "production"}),
        ("inv env.diff staging", {"development", "staging", "production"}),
        ("inv why", {"lint", "test", "scan", "build"}),
        ("inv why lint", {"backend", "stager", "repo", "lint"}),
        ("inv dev", set()),
        ("inv deploy --ver", set()),
        ("inv", set()),
    ],
)
def test_words_are_completed(program: Program, typed: str, offered: set[str]) -> None:
    assert set(program.completions(typed)) == offered
