"""Checks that each stage of noxfile.py runs a tool, and that coverage has a minimum.

The noxfile is parsed, not run. Each path through the function of a stage must run a tool before it
ends. Options that make a tool check less and code that hides a failure are findings.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from slipway_ops import project
from slipway_ops.checks.finding import Finding
from slipway_ops.errors import SlipwayError
from slipway_ops.node import stage_commands

NOXFILE = "noxfile.py"
# These functions only prepare a session.
PREPARING = {"enter", "install", "node", "node_modules", "sync", "sync_all", "web_commands"}
LOGGING = {"debug", "error", "log", "skip", "warn"}
ENDING = {"_exit", "exit", "quit", "skip"}
# Options with which pytest, vitest, flake8 and bandit check less or ignore findings.
WEAKENING = re.compile(
    r"(--co|--collect-only|--cov-fail-under|--deselect|--exit-zero|--help|--last-failed|--lf"
    r"|--no-cov|--passWithNoTests|--version)(=.*)?|-k.*|.*\|\|.*"
)
NO_TOOLS = {":", "echo", "true"}  # programs that always succeed
COMMENT = re.compile(r"(?:^|(?<=\s))//[^\n]*|^\s*/\*.*?\*/", re.MULTILINE | re.DOTALL)
# https://vitest.dev/config/coverage#coverage-thresholds
THRESHOLD = re.compile(r"\b(?:lines|functions|branches|statements|100)\b[\"']?\s*:\s*([^\s,}]+)")
CONFIGURATIONS = ("vitest.config", "vite.config")  # vitest reads the first that exists


def findings(root: Path, stages: Iterable[str]) -> Iterator[Finding]:
    """Yields every reason why a stage could pass and check nothing, or less than it should.

    Args:
        root: the root of the project.
        stages: the names of the sessions that `nox` runs without arguments.

    Raises:
        SlipwayError: the noxfile or the manifest of a member cannot be read, or a lock is missing.
    """
    sessions, shared = _read(root / NOXFILE)
    for stage in sorted(stages):
        yield from faults(root / NOXFILE, stage)
    for node in shared:
        yield from _less(node)
    if project.is_adopted(root):
        return  # each member has its own settings, and the minimums are in baseline.json
    tables = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8")).get("tool", {})
    pytest = tables.get("pytest", {})
    for options in (pytest, pytest.get("ini_options", {})):
        given = options.get("addopts", "")
        for word in given.split() if isinstance(given, str) else given:
            if WEAKENING.fullmatch(str(word)):
                yield Finding(
                    "pyproject.toml", f"pytest checks less with {word} in addopts. Remove it."
                )
    nodes = [*shared, *(sessions[stage] for stage in stages if stage in sessions)]
    yield from _minimums(root, tables, {word for node in nodes for _, word in _words(node)})


def faults(noxfile: Path, stage: str) -> list[Finding]:
    """Returns every reason why a stage could pass and check nothing, or less than it should.

    Raises:
        SlipwayError: the noxfile cannot be read.
    """
    function = _read(noxfile)[0].get(stage)
    if function is None:
        return [Finding(NOXFILE, f"the stage {stage} is not defined in this file. Define it here.")]
    whole, ends = _follow(function.body, _parameter(function))
    if not whole:
        ends.append(function.body[-1].end_lineno or function.lineno)
    text = f"{stage} can end here before it has run a tool. Run one on every path."
    return [*(Finding(f"{NOXFILE}:{line}", text) for line in ends), *_less(function)]


def _read(noxfile: Path) -> tuple[dict[str, ast.FunctionDef], list[ast.stmt]]:
    """Returns the functions of sessions, by the name of the session, and all other statements."""
    try:
        tree = ast.parse(noxfile.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        raise SlipwayError(f"{noxfile.name} cannot be read: {error}") from error
    sessions: dict[str, ast.FunctionDef] = {}
    shared: list[ast.stmt] = []
    for node in tree.body:
        name = _session(node) if isinstance(node, ast.FunctionDef) else ""
        if name and isinstance(node, ast.FunctionDef):
            sessions[name] = node
        else:
            shared.append(node)
    return sessions, shared


def _session(function: ast.FunctionDef) -> str:
    """Returns the name of the session that a function defines; "" if it defines none."""
    for decorator in function.decorator_list:
        if not re.match(r"(nox\.)?session\b", ast.unparse(decorator)):
            continue
        for keyword in decorator.keywords if isinstance(decorator, ast.Call) else []:
            if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
                return str(keyword.value.value)
        return function.name
    return ""


def _parameter(function: ast.FunctionDef) -> str:
    """Returns the name of the first parameter, which is the session; "" if there is none."""
    return function.args.args[0].arg if function.args.args else ""


def _follow(body: list[ast.stmt], session: str) -> tuple[bool, list[int]]:
    """Follows each path through statements.

    Returns:
        Whether each path has run a tool before the last statement ends, and the lines on which a
        path ends early and has not.
    """
    ends: list[int] = []
    for node in body:
        match node:
            case ast.If():
                ways = [_follow(node.body, session), _follow(node.orelse, session)]
            case ast.Match():
                ways = [_follow(case.body, session) for case in node.cases]
                last = node.cases[-1]
                if last.guard or not isinstance(last.pattern, ast.MatchAs) or last.pattern.pattern:
                    ways.append((False, []))
            case ast.With() | ast.For() | ast.While():
                ways = [_follow(node.body, session)]
            case ast.Try():
                ways = [_follow([*node.body, *node.orelse, *node.finalbody], session)]
            case ast.Raise():
                return True, ends  # the session fails
            case ast.Return():
                return True, ends if _checks(node.value, session) else [*ends, node.lineno]
            case ast.Expr() | ast.Assign() | ast.AnnAssign():
                if _called(node.value) in ENDING:
                    return True, [*ends, node.lineno]
                if _checks(node.value, session):
                    return True, ends
                continue
            case _:
                continue
        ends += [line for _, lines in ways for line in lines]
        if all(whole for whole, _ in ways):
            return True, ends
    return False, ends


def _called(node: ast.expr | None) -> str:
    """Returns the last part of the name of a called function; "" if this is not a call."""
    if not isinstance(node, ast.Call):
        return ""
    return ast.unparse(node.func).rpartition(".")[2]


def _checks(node: ast.AST | None, session: str) -> bool:
    """Returns whether a call runs a program in the session, fails it, or passes it on."""
    if not isinstance(node, ast.Call) or _called(node) in PREPARING | ENDING:
        return False
    own = ast.unparse(node.func) in (f"{session}.run", f"{session}.error")
    return own or any(isinstance(word, ast.Name) and word.id == session for word in node.args)


def _less(root: ast.stmt) -> Iterator[Finding]:
    """Yields what makes a tool check less or hides its failure."""
    session = _parameter(root) if isinstance(root, ast.FunctionDef) else ""
    for line, word in _words(root):
        if WEAKENING.fullmatch(word):
            yield Finding(f"{NOXFILE}:{line}", f"a stage checks less with {word}. Remove it.")
    for node in ast.walk(root):
        if isinstance(node, ast.keyword) and node.arg == "success_codes":
            yield Finding(
                f"{NOXFILE}:{node.value.lineno}", "success_codes hides failures. Remove it."
            )
        if isinstance(node, ast.Call) and _checks(node, session):
            if found := NO_TOOLS.intersection(_texts(node)[:1]):
                yield Finding(
                    f"{NOXFILE}:{node.lineno}", f"{found.pop()} checks nothing. Run a tool."
                )
        if isinstance(node, ast.Try | ast.With) and _hides(node):
            inside = [inner for each in node.body for inner in ast.walk(each)]
            if any(_checks(inner, session) for inner in inside):
                yield Finding(
                    f"{NOXFILE}:{node.lineno}", "this hides a failure. Let it end the session."
                )


def _hides(node: ast.Try | ast.With) -> bool:
    """Returns whether it hides exceptions: a handler neither raises nor fails the session."""
    if isinstance(node, ast.With):
        return any(_called(item.context_expr) == "suppress" for item in node.items)
    last = [handler.body[-1] for handler in node.handlers]
    return not all(
        isinstance(each, ast.Raise) or isinstance(each, ast.Expr) and _called(each.value) == "error"
        for each in last
    )


def _texts(call: ast.Call) -> list[str]:
    """Returns the arguments of a call that are strings."""
    return [
        str(a.value) for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)
    ]


def _words(root: ast.stmt) -> Iterator[tuple[int, str]]:
    """Yields the words of all strings except docstrings and messages, with their lines."""
    prose = set()
    for node in ast.walk(root):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            prose.add(node.value)
        elif isinstance(node, ast.Call) and _called(node) in LOGGING:
            prose |= {inner for inner in ast.walk(node) if isinstance(inner, ast.Constant)}
    for node in ast.walk(root):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in prose:
            yield from ((node.lineno, word) for word in node.value.split())


def _minimums(root: Path, tables: dict[str, Any], words: set[str]) -> Iterator[Finding]:
    """Yields what is missing for a minimum of coverage.

    Args:
        root: the root of the project.
        tables: `[tool]` of the root's pyproject.toml.
        words: the arguments that stages pass to their tools.
    """
    members = project.members(root)
    apps = [
        member
        for member in members
        if member.language == "web"
        and stage_commands.is_default(root, member.path, "test", "vitest")
    ]
    if any(member.language == "python" for member in members):
        if not tables.get("coverage", {}).get("report", {}).get("fail_under"):
            yield Finding(
                "pyproject.toml",
                "Python coverage has no minimum. Set fail_under in [tool.coverage.report].",
            )
        if not any(word.partition("=")[0] == "--cov" for word in words):
            yield Finding(NOXFILE, "pytest does not measure coverage. Add --cov.")
    if apps and "--coverage" not in words:
        yield Finding(NOXFILE, "vitest does not measure coverage. Add --coverage.")
    for app in apps:
        files = [file for name in CONFIGURATIONS for file in sorted(app.path.glob(f"{name}.*"))]
        text = COMMENT.sub("", files[0].read_text(encoding="utf-8")) if files else ""
        values = THRESHOLD.findall(text.partition("thresholds")[2])
        if not values or any(re.fullmatch(r"0(\.0*)?|false", value) for value in values):
            name = files[0].name if files else "vite.config.ts"
            yield Finding(
                f"{app.folder}/{name}",
                "coverage has no minimum. Set its thresholds, none of them 0.",
            )
