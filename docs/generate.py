"""Writes the pages that are made from the code: reference.md and messages.md.

`python docs/generate.py` writes them; `--check` only compares, and its exit status is 1 if one of
them is not current.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import jinja2
import yaml
from invoke.collection import Collection

DOCS = Path(__file__).parent
ROOT = DOCS.parent
PACKAGE = ROOT / "src" / "slipway_ops"
RECIPE = ROOT / "template" / "noxfile.py.jinja"

# The settings of [tool.slipway], by table. A test compares them with what the code reads.
SETTINGS = {
    "[tool.slipway] of the root": {
        "recipe": "Number of the recipe that noxfile.py, tasks.py and workflows are written for. "
        "The template changes it.",
        "root": 'Where the root is, seen from this file: `".."` in `.pipeline/`.',
        "members": "Folders of members, as patterns; `!` leaves one out. The default is "
        '`["services/*", "libs/*", "apps/*"]`.',
        "names": "Table: names of members whose folders have the same name.",
        "adopted": "The day on which `inv adopt` was done.",
        "capabilities": "The optional parts of the project. Change it with `inv enable`.",
        "slug": "The project's name in names of images and containers.",
        "python": "The Python of images and CI.",
        "types": 'The type checker of `lint`: `"pyrefly"` or `"mypy"`.',
        "registry": "The registry of the images, with the account.",
        "registry_realm": "The host on which the registry checks logins, if it is another one.",
        "images": "Table: `context`, `dockerfile` and `target` of a member's image, and `args`.",
        "observability": "Whether staging and production run Prometheus, Grafana and Loki too.",
        "release": '`"commit"`: a version is a tag and an entry in CHANGELOG.md. `"tag-only"`: a '
        "version is a tag.",
        "uses": "Table: members or paths that a member reads without depending on them.",
        "variables": "Table: variables that the sessions of a member may see, by member.",
        "stages": "Table: commands of a stage in place of those in noxfile.py, by member.",
        "ci": "Table: what workflows may do, see below.",
        "results": "Table: which inputs count for skipping, see below.",
    },
    "[tool.slipway] of a member": {
        "kind": "`api`, `worker` or `service` (the default).",
        "stages": "Table: the commands of a stage, as lists of strings.",
        "variables": "Variables that its sessions may see.",
    },
    "[tool.slipway.ci]": {
        "allowed": "What workflows may run besides nox.",
        "permissions": 'Table: what a job may do besides reading, by `"file/job"`.',
        "groups": "With a plan: at most this many machines. The default is 16.",
        "minutes": "With a plan: minutes of work for one machine. The default is 4.",
    },
    "[tool.slipway.results]": {
        "variables": "Patterns of variables that sessions may see and that count.",
        "exclude": "Patterns of files that do not count.",
        "trace": "Table: paths that may be read although they do not count, each with a reason.",
    },
}
# The variables that nox and inv read. A test compares them with what the code reads.
VARIABLES = {
    "On your machine": {
        "RESULTS": "`off`, `read`, `write`, `verify` or `trace`: what is skipped and stored.",
        "SINCE": "A commit or branch: run only what has changed since, and what depends on it.",
        "BASELINE": "`record`: write today's findings to baseline.json.",
        "AUDIT_TIMEOUT": "Seconds that one audit may take. The default is 60.",
        "AUDIT_OSV_URL": "The address of an OSV service or mirror.",
        "PIP_AUDIT_OSV_URL": "The same; pip-audit reads it too.",
        "AUDIT_NPM_REGISTRY": "The registry that npm asks for advisories.",
        "REGISTRY": "A registry to use in place of `registry` in pyproject.toml.",
        "DOCKER_CONFIG": "Docker's folder of logins.",
        "NO_COLOR": "If set, the output has no colors.",
        "FORCE_COLOR": "If set, the output has colors even if it is not a terminal.",
        "GITHUB_TOKEN": "A token of GitHub, for `inv protect` and `inv release`.",  # nosec B105
        "GH_ENTERPRISE_TOKEN": "The same for your own GitHub server.",  # nosec B105
        "GITHUB_API_URL": "The address of GitHub's API.",
    },
    "In CI": {
        "CI": "If set, locks must be current, and an audit without an answer fails.",
        "VERSION": "The version that `nox -s deploy` and `nox -s release` take.",
        "DOTENV": "The text of `.env.NAME`, as a secret.",
        "REGISTRY_LOGIN": "`user:password` of the registry, as a secret.",
        "DEPLOY_KEY": "The SSH key of the host, as a secret.",
        "DEPLOY_KNOWN_HOSTS": "The keys of the hosts, as `ssh-keyscan` prints them.",
    },
}
AREAS = {
    "adoption": "Adopting a repository",
    "cache": "Results and skipping",
    "checks": "Checks of workflows and documents",
    "deploy": "Deployments",
    "dev": "`inv dev`",
    "environments": "Environments and variables",
    "github": "GitHub",
    "images": "Images and registries",
    "node": "Web members",
    "release": "Releases",
    "stages": "Stages, audits and the baseline",
    "tasks": "Commands",
    "template": "Starting nox and inv",
}
REFUSALS = ("Exit", "ParseError", "exit")  # besides exceptions of ours: of invoke and of sys
# Names in a refusal that has no text of its own: another error, an exit status.
REPEATED = ("error", "_error", "status", "found", "_shown", "main")
# Names in messages that stand for a text of several words.
TEXTS = re.compile(
    r".*(ERROR|REASONS?|REMEDY|STDOUT|STDERR|TEXT|WHAT|WRONG|CAUSE|SAID|MORE|SUGGESTION|ED)"
)


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """The lines of a Markdown table."""
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    return [*(f"| {line} |" for line in (*lines, *map(" | ".join, rows))), ""]


def reference() -> str:
    """The text of reference.md."""
    lines = [
        "# Reference",
        "",
        "**At the end** you have found the setting, task, session or variable that you looked for.",
        "",
        "This page is made from the code, by `python docs/generate.py`.",
        "",
        "## Questions of `copier copy`",
        "",
        *table(("answer", "meaning"), list(_questions())),
        "## Capabilities",
        "",
        *table(("capability", "brings", "needs"), list(_capabilities())),
        "## Sessions of nox",
        "",
        *table(("session", "what it does"), list(_sessions())),
        "## Tasks of invoke",
        "",
        "`inv --help NAME` shows the same.",
        "",
        *_tasks(),
        "## Settings",
        "",
        "They are in `pyproject.toml`; in an adopted repository in `.pipeline/pyproject.toml`.",
        "",
    ]
    for name, settings in SETTINGS.items():
        rows = [(f"`{key}`", meaning) for key, meaning in settings.items()]
        lines += [f"### `{name}`" if name.endswith("]") else f"### {name}", ""]
        lines += table(("setting", "meaning"), rows)
    lines += ["## Variables", ""]
    for name, variables in VARIABLES.items():
        rows = [(f"`{key}`", meaning) for key, meaning in variables.items()]
        lines += [f"### {name}", "", *table(("variable", "meaning"), rows)]
    lines += [
        "The variables of services and environments are in "
        "[the contract](../template/docs/environments.md.jinja#the-contract) of a project."
    ]
    return "\n".join(lines) + "\n"


def _questions() -> Iterator[tuple[str, str]]:
    questions = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))
    for name, question in questions.items():
        if not name.startswith("_") and "help" in question:
            yield f"`{name}`", question["help"]


def _capabilities() -> Iterator[tuple[str, str, str]]:
    from slipway_ops.project import CAPABILITIES

    for name, each in CAPABILITIES.items():
        yield f"`{name}`", each.brings, f"`{each.needs}`" if each.needs else ""


def _sessions() -> Iterator[tuple[str, str]]:
    from slipway_ops.project import CAPABILITIES

    recipe = jinja2.Environment(autoescape=True).from_string(RECIPE.read_text(encoding="utf-8"))
    for node in ast.parse(recipe.render(capabilities=list(CAPABILITIES))).body:
        if isinstance(node, ast.FunctionDef):
            yield f"`{node.name}`", str(ast.get_docstring(node))


def _tasks() -> Iterator[str]:
    from slipway_ops.tasks import adoption, namespace

    adopt = Collection(adoption.adopt)  # which only an adopted repository has
    found = [(c, of[c.name]) for of in (namespace, adopt) for c in of.to_contexts()]
    for context, task in sorted(found, key=lambda each: str(each[0].name)):
        yield f"### `inv {context.name}`"
        yield ""
        text, _, examples = inspect.cleandoc(task.__doc__).partition("Examples:")
        yield from (" ".join(part.split()) + "\n" for part in text.strip().split("\n\n"))
        if examples:
            yield from ("```text", *map(str.strip, examples.strip().splitlines()), "```", "")
        rows = [(f"`{flags}`", str(meaning)) for flags, meaning in context.help_tuples()]
        yield from table(("option", "meaning"), rows) if rows else ()


def messages() -> str:
    """The text of messages.md."""
    lines = [
        "# All messages",
        "",
        "**At the end** you have found the message that stopped you, with what to do about it.",
        "",
        "These are all refusals of `nox` and `inv`. Words in capitals stand for names and values. "
        "Each says what is wrong, and most say what to type. [Troubleshooting](troubleshooting.md) "
        "explains the most common ones. This page is made from the code, by "
        "`python docs/generate.py`.",
        "",
    ]
    areas: dict[str, list[str]] = {}
    for area, text in all_messages():
        if text not in areas.setdefault(area, []):
            areas[area].append(text)
    for area, texts in sorted(areas.items()):
        lines += [f"## {area}", "", *(f"- {_markdown(text)}" for text in texts), ""]
    return "\n".join(lines).rstrip() + "\n"


def all_messages() -> Iterator[tuple[str, str]]:
    """Every refusal in the code, with its area."""
    classes = {"SlipwayError"}
    trees = {file: ast.parse(file.read_text("utf-8")) for file in sorted(PACKAGE.rglob("*.py"))}
    for tree in trees.values():
        found = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
        classes |= {
            node.name for node in found if any(ast.unparse(b) in classes for b in node.bases)
        }
    shared = {f.name: f for tree in trees.values() for f in _functions(tree)}
    known = {
        f"{file.stem}.{name}": value
        for file, tree in trees.items()
        for name, value in _constants(tree).items()
    }
    for file, tree in trees.items():
        name = file.relative_to(PACKAGE).parts[0]
        area = AREAS.get(name, name.capitalize() if "." not in name else "Projects and tools")
        for text in _Module(tree, classes, shared, known).messages():
            yield area, text
    for file in (RECIPE, ROOT / "template" / "tasks.py"):
        for text in re.findall(r'sys\.exit\("(.+?)"\)', file.read_text(encoding="utf-8")):
            yield AREAS["template"], text


class _Module:
    """The refusals of one module."""

    def __init__(
        self,
        tree: ast.Module,
        classes: set[str],
        functions: dict[str, ast.FunctionDef],
        constants: dict[str, ast.expr],
    ) -> None:
        self.tree, self.classes = tree, classes
        self.functions = functions | {f.name: f for f in _functions(tree)}
        self.constants = constants | _constants(tree)

    def messages(self) -> Iterator[str]:
        for function in [self.tree, *_functions(self.tree)]:
            local = self.constants | _constants(function)
            calls = [node for node in _own(function) if isinstance(node, ast.Call)]
            for node in sorted(calls, key=lambda call: call.lineno):
                if self._is_refusal(node.func):
                    words = [k.value for k in node.keywords if k.arg == "message"]
                    for argument in [*node.args[:1], *words]:
                        texts = self.texts(argument, local)
                        texts = [text for text in texts if re.search(r"[a-z]{3}", text)]
                        named = {n.id for n in ast.walk(argument) if isinstance(n, ast.Name)}
                        if not texts and not named.intersection(REPEATED):
                            raise ValueError(f"messages.md cannot say: {ast.unparse(argument)}")
                        yield from texts

    def _is_refusal(self, function: ast.expr) -> bool:
        return ast.unparse(function).rpartition(".")[2] in {*self.classes, *REFUSALS}

    def texts(self, node: ast.expr, local: dict[str, ast.expr], depth: int = 0) -> list[str]:
        """The texts that an expression can have, with placeholders for values of a run."""
        found = [_placeholder(node)]
        if isinstance(node, ast.Constant):
            return [str(node.value)]
        if depth > 6:
            return found
        if isinstance(node, ast.JoinedStr):
            parts = [self._part(part, local, depth) for part in node.values]
            pairs = zip(node.values, [None, *node.values], strict=False)
            is_second = [
                isinstance(part, ast.FormattedValue) and isinstance(before, ast.FormattedValue)
                for part, before in pairs
            ]
            return ["".join(p for p, second in zip(parts, is_second, strict=True) if not second)]
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            sides = [self.texts(side, local, depth + 1) for side in (node.left, node.right)]
            return [left + right for left in sides[0] for right in sides[1]]
        if isinstance(node, ast.IfExp):
            return [t for side in (node.body, node.orelse) for t in self.texts(side, local, depth)]
        if isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node) in local:
            return self.texts(local[ast.unparse(node)], local, depth + 1)
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            if function := self.functions.get(name):
                inner = self.constants | _constants(function)
                own = _own(function)
                values = [n.value for n in own if isinstance(n, ast.Return) and n.value]
                return [t for value in values for t in self.texts(value, inner, depth + 1)]
        return found

    def _part(self, part: ast.expr, local: dict[str, ast.expr], depth: int) -> str:
        if isinstance(part, ast.FormattedValue):
            value = part.value
            if ast.unparse(value) in self.constants:
                return self.texts(value, self.constants, depth + 1)[0]
            return _placeholder(value)
        return self.texts(part, local, depth + 1)[0]


def _functions(tree: ast.Module) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def _constants(scope: ast.AST) -> dict[str, ast.expr]:
    """The values that are assigned to names in a module or function."""
    return {
        node.targets[0].id: node.value
        for node in _own(scope)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }


def _own(function: ast.AST) -> list[ast.AST]:
    """The nodes of a function or module, without those of the functions in it."""
    found, waiting = [], list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop(0)
        found.append(node)
        if not isinstance(node, ast.FunctionDef):
            waiting += ast.iter_child_nodes(node)
    return found


def _placeholder(node: ast.expr) -> str:
    """`record.version` as VERSION; `…` for what has no name."""
    if isinstance(node, ast.Name | ast.Attribute):
        name = ast.unparse(node).rpartition(".")[2].strip("_").upper()
        return "…" if TEXTS.fullmatch(name) else name
    return "…"


def _markdown(text: str) -> str:
    """A message as Markdown: on one line, with nothing but its code spans as markup."""
    text = " ".join(text.split())
    parts = re.split(r"(`[^`]*`)", text)
    plain = [re.sub(r"([*_<>\[\]])", r"\\\1", part) for part in parts[::2]]
    parts[::2] = plain
    return "".join(parts)


def main() -> int:
    """Writes the pages, or says which of them is not current."""
    status = 0
    for name, text in {"reference.md": reference(), "messages.md": messages()}.items():
        file = DOCS / name
        if file.exists() and file.read_text(encoding="utf-8") == text:
            continue
        if "--check" in sys.argv:
            print(f"docs/{name} is not current. Type: python docs/generate.py")
            status = 1
        else:
            file.write_text(text, encoding="utf-8")
            print(f"docs/{name} is written.")
    return status


if __name__ == "__main__":
    sys.exit(main())
