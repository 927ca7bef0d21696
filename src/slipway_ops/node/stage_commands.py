"""The commands of a web member's stages: its own scripts, or our defaults for its tools."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from slipway_ops.node import manifests, package_manager

# Programs, with the packages that bring them.
TOOLS = {
    "biome": "@biomejs/biome",
    "eslint": "eslint",
    "jest": "jest",
    "prettier": "prettier",
    "tsc": "typescript",
    "vite": "vite",
    "vitest": "vitest",
}
OF_STAGE = {
    "lint": ("eslint", "biome", "prettier", "tsc"),
    "test": ("vitest", "jest"),
    "build": ("vite",),
}
# Why a tool that is declared cannot run.
WITHOUT = {
    "eslint": "eslint is older than 9",
    "tsc": "no tsconfig.json",
    "vite": "no vite.config and no index.html",
}
# The build folders of frameworks; the first framework that a member has counts, because some are
# based on others.
MADE_BY = {
    "next": (".next", "out"),
    "nuxt": (".output",),
    "@sveltejs/kit": (".svelte-kit", "build"),
    "astro": ("dist",),
    "react-scripts": ("build",),
    "@angular/core": ("dist",),
    "vite": ("dist",),
}
NO_TEST = re.compile(r'echo "Error: no test specified" && exit 1')  # written by `npm init`
# Scripts that start a watcher even if CI is set, and the words that turn it off.
WATCHING = (
    (r"\bjest\b[^&|;]*--watch", ("--watch=false", "--watchAll=false")),
    (r"\bvitest\b[^&|;]*(\s(watch|dev)\b|--watch\b|\s-w\b)", ("--run",)),
)


def script(root: Path, member: Path, stage: str, words: tuple[str, ...] = ()) -> list[str]:
    """Returns the command for a member's own script of a stage; empty if it has none.

    Args:
        root: the root of the project.
        member: the folder of the member.
        stage: `lint`, `test` or `build`, which is also the script's name.
        words: arguments for the script's last program.

    Raises:
        SlipwayError: the manifest cannot be read, or the member has no lock.
    """
    text = _script(manifests.read(member), stage)
    if not text:
        return []
    once = [word for pattern, off in WATCHING if re.search(pattern, text) for word in off]
    return package_manager.of(root, member).script(stage, *once, *words)


def tools(root: Path, member: Path) -> dict[str, str]:
    """Returns the tools of a member that our defaults can run, with the declared ranges.

    They come from the member's manifest and from that of its workspace. TypeScript also needs a
    tsconfig.json, and vite a configuration or an index.html, because a workspace declares it for
    all its packages. eslint before version 9 is left out, because only a script can name the files
    to check.

    Raises:
        SlipwayError: a manifest cannot be read, or the member has no lock.
    """
    declared = _declared(root, member)
    found = {tool: declared[name] for tool, name in TOOLS.items() if name in declared}
    if not (member / "tsconfig.json").is_file():
        found.pop("tsc", None)
    if not ((member / "index.html").is_file() or list(member.glob("vite.config.*"))):
        found.pop("vite", None)
    if _is_old_eslint(found.get("eslint", "")):
        del found["eslint"]
    return found


def is_default(root: Path, member: Path, stage: str, tool: str) -> bool:
    """Returns whether a stage uses our default for a tool: there is the tool, and no own script.

    Raises:
        SlipwayError: a manifest cannot be read, or the member has no lock.
    """
    own = _script(manifests.read(member), stage)
    return not own and tool in tools(root, member)


def unchecked(root: Path, member: Path, stage: str) -> str:
    """Returns why a stage has nothing to run for a member; "" if it has.

    Raises:
        SlipwayError: a manifest cannot be read, or the member has no lock.
    """
    if _script(manifests.read(member), stage) or stage not in OF_STAGE:
        return ""
    known = tools(root, member)
    if any(tool in known for tool in OF_STAGE[stage]):
        return ""
    reasons = [f"no script {stage}"]
    for tool in OF_STAGE[stage]:
        declared = TOOLS[tool] in _declared(root, member)
        why = WITHOUT.get(tool, "")
        reasons.append(why if declared and why else f"no {tool}")
    return f"not checked: {', '.join(reasons)}"


def described(root: Path, member: Path, stage: str) -> str:
    """Describes a stage in a few words: a script, the tools, or why nothing is checked.

    Raises:
        SlipwayError: a manifest cannot be read, or the member has no lock.
    """
    known = tools(root, member)
    having = ", ".join(tool for tool in OF_STAGE[stage] if tool in known)
    return " ".join(script(root, member, stage)) or having or unchecked(root, member, stage)


def fitting(root: Path, member: Path, command: list[str]) -> list[str]:
    """Adapts a default command to a member.

    tsc also gets `--build` if tsconfig.json has references. If yarn installs no programs, the
    command runs through yarn.

    Raises:
        SlipwayError: a manifest cannot be read, or the member has no lock.
    """
    tool, *words = command
    if tool == "tsc":
        text = (member / "tsconfig.json").read_text(encoding="utf-8")
        if re.search(r'^\s*"references"\s*:', text, re.MULTILINE):
            words = ["--build", *words]
    manager = package_manager.of(root, member)
    if not manager.plug_n_play:
        return [tool, *words]
    own = manifests.declared(manifests.read(member))
    return [manager.name, "run", *([] if TOOLS[tool] in own else ["-T"]), tool, *words]


def made(member: Path) -> tuple[str, ...]:
    """Returns the folders that a member's build writes to; empty if they are unknown.

    Raises:
        SlipwayError: the manifest cannot be read.
    """
    declared = manifests.declared(manifests.read(member))
    return next((folders for name, folders in MADE_BY.items() if name in declared), ())


def _script(manifest: dict[str, Any], name: str) -> str:
    text = str((manifest.get("scripts") or {}).get(name) or "").strip()
    return "" if NO_TEST.fullmatch(text) else text


def _declared(root: Path, member: Path) -> dict[str, str]:
    """Returns the dependencies that a member and its workspace declare for their own use."""
    kinds = ("dependencies", "devDependencies", "optionalDependencies")
    above = manifests.read(package_manager.of(root, member).folder)
    return manifests.declared(above, *kinds) | manifests.declared(manifests.read(member), *kinds)


def _is_old_eslint(wanted: str) -> bool:
    version = re.match(r"[\^~>=v\s]*(\d+)", wanted)
    return version is not None and int(version[1]) < 9
