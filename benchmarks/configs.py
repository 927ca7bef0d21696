"""Configures the monorepo of sample.py for each runner, following its documentation."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from benchmarks.measure import BIN, commit
from benchmarks.sample import STAGES, Sample, write

DO = """#!/bin/sh
# Each task of each runner is `do STAGE` in the folder of a member.
printf '%s %s %s\\n' "$1" "${{PWD##*/}}" "${{STRAY:-}}" >> {ran}
{idle}PATH={tools}:$PATH
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=src:../../libs/core/src
case $1 in
lint)
    black --check --quiet --config ../../pyproject.toml src tests || exit
    flake8 --config ../../.flake8 src tests
    ;;
test) pytest --quiet -p no:cacheprovider --config-file ../../pyproject.toml --rootdir . ;;
scan) bandit --quiet --configfile ../../pyproject.toml --recursive src ;;
esac
"""
NOXFILE = '''"""Stages by member, like in the template."""

import nox

from slipway_ops.nox_api import at_a_time, each

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "test", "scan"]
nox.options.allow_parallel = True
'''
SESSION = """

@nox.session
@each("python")
def {stage}(session, member):
    session.chdir(member.path)
    session.run("sh", "{do}", "{stage}", external=True)
"""


COMMANDS = {
    "slipway": [".nox/all/bin/nox", "-s", *STAGES],
    "turbo": ["node_modules/.bin/turbo", "run", *STAGES, "--concurrency=2"],
    "nx": ["node_modules/.bin/nx", "run-many", "--parallel=2", "-t", *STAGES],
    "moon": ["node_modules/.bin/moon", "run", "--concurrency=2", *(f":{s}" for s in STAGES)],
}
RECORDS = {
    "slipway": (".nox/results", ".nox/inputs.json"),
    "turbo": (".turbo/cache",),
    "nx": (".nx/cache",),
    "moon": (".moon/cache",),
}


def samples(
    work: Path, size: int, tools: Path, modules: Path | None = None, idle: bool = False
) -> dict[str, Sample]:
    """Writes and commits the monorepo of each runner; returns them by the names of the runners.

    Args:
        work: the folder for the monorepos.
        size: the number of members.
        tools: the folder with the programs of the tasks.
        modules: the node_modules of the other runners; without it, only Slipway has a monorepo.
        idle: whether tasks only record that they ran.
    """
    folder = work / f"{size}{'-idle' * idle}"
    folder.mkdir()
    script = DO.format(ran=folder / "ran", tools=tools, idle="exit 0\n" * idle)
    (folder / "do").write_text(script, encoding="utf-8")
    (folder / "do").chmod(0o755)
    lock = ""
    made = {}
    for runner in COMMANDS if modules else ("slipway",):
        sample = Sample(folder / runner, runner, size, COMMANDS[runner], RECORDS[runner])
        write(sample)
        if not lock:
            subprocess.run([str(BIN / "uv"), "lock", "--quiet"], cwd=sample.path, check=True)
            lock = (sample.path / "uv.lock").read_text(encoding="utf-8")
        sample.write("uv.lock", lock)
        CONFIGURE[runner](sample)
        if modules and runner != "slipway":
            _link(sample, modules)
        else:  # where sessions of the template have it
            (sample.path / ".nox").mkdir()
            (sample.path / ".nox" / "all").symlink_to(tools.parent)
        commit(sample.path)
        made[runner] = sample
    return made


def _link(sample: Sample, modules: Path) -> None:
    """Links the runners into a monorepo, as if they were installed there."""
    (sample.path / "node_modules").mkdir()
    for package in modules.iterdir():
        (sample.path / "node_modules" / package.name).symlink_to(package)


def _slipway(sample: Sample) -> None:
    stages = "".join(SESSION.format(stage=stage, do=sample.do) for stage in STAGES)
    sample.write("noxfile.py", NOXFILE + stages + "\n\nnox.options.parallel = at_a_time()\n")


def _packages(sample: Sample, scripts: bool) -> None:
    """Writes package.json files, for the two runners that use npm workspaces."""
    root = {
        "name": "shop",
        "private": True,
        "packageManager": "npm@11.0.0",
        "workspaces": ["libs/*", "services/*"],
    }
    sample.write("package.json", json.dumps(root, indent=2))
    for name, folder in sample.folders.items():
        package: dict[str, object] = {"name": name, "version": "0.0.0", "private": True}
        if name in sample.users:
            package["dependencies"] = {"core": "0.0.0"}
        if scripts:
            package["scripts"] = {stage: f"{sample.do} {stage}" for stage in STAGES}
        sample.write(f"{folder}/package.json", json.dumps(package, indent=2))
    _lock_packages(sample)


def _lock_packages(sample: Sample) -> None:
    install = ["npm", "install", "--silent", "--package-lock-only", "--no-audit"]
    subprocess.run(install, cwd=sample.path, check=True)


def depend(sample: Sample, name: str, library: bool) -> None:
    """Adds or removes the dependency of a service on the library, and updates the locks."""
    folder = sample.path / "services" / name
    manifest = folder / "pyproject.toml"
    text = manifest.read_text(encoding="utf-8").replace('"core", ', "")
    if library:
        text = text.replace("dependencies = [", 'dependencies = ["core", ', 1)
    manifest.write_text(text, encoding="utf-8")
    subprocess.run([str(BIN / "uv"), "lock", "--quiet"], cwd=sample.path, check=True)
    if (folder / "package.json").exists():
        package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
        package["dependencies"] = {"core": "0.0.0"} if library else {}
        (folder / "package.json").write_text(json.dumps(package, indent=2), encoding="utf-8")
        _lock_packages(sample)
    if (folder / "moon.yml").exists():
        (folder / "moon.yml").write_text(json.dumps({"dependsOn": ["core"] * library}))


ROOT_FILES: dict[str, tuple[str, ...]] = {"lint": (".flake8", "pyproject.toml", "uv.lock")}
ROOT_FILES |= {"test": ("pyproject.toml", "uv.lock")}
ROOT_FILES |= {"scan": ("pyproject.toml", "uv.lock", "audit.toml")}


def _turbo(sample: Sample) -> None:
    """Follows its documentation: a `transit` task for dependencies, and .env as an input."""
    _packages(sample, scripts=True)
    tasks: dict[str, object] = {"transit": {"dependsOn": ["^transit"]}}
    own: dict[str, object] = {}
    for stage in STAGES:
        files = [f"$TURBO_ROOT$/{name}" for name in ROOT_FILES[stage]]
        inputs = ["$TURBO_DEFAULT$", ".env*", "!**/*.log", *files]
        own[stage] = {"inputs": [*inputs, "$TURBO_ROOT$/schemas/**"]}
        tasks[stage] = {
            "inputs": inputs,
            "env": ["SHOP_MODE"],
            "dependsOn": [] if stage == "scan" else ["transit"],
            "outputs": [],
        }
    sample.write("turbo.json", json.dumps({"tasks": tasks}, indent=2))
    service = {"extends": ["//"], "tasks": own}
    sample.write("services/service1/turbo.json", json.dumps(service, indent=2))


def _nx(sample: Sample) -> None:
    """Follows its documentation: named inputs, `^` for dependencies, and the daemon."""
    _packages(sample, scripts=False)
    defaults = {}
    shared: dict[str, list[object]] = {}
    for stage in STAGES:
        inputs: list[object] = [f"{{workspaceRoot}}/{name}" for name in ROOT_FILES[stage]]
        inputs += ["default", *([] if stage == "scan" else ["^default"]), {"env": "SHOP_MODE"}]
        shared[stage] = inputs
        defaults[stage] = {"cache": True, "inputs": inputs, "outputs": []}
    settings = {
        "namedInputs": {"default": ["{projectRoot}/**/*", "!{projectRoot}/**/*.log"]},
        "targetDefaults": defaults,
        "neverConnectToCloud": True,
        "analytics": False,
    }
    sample.write("nx.json", json.dumps(settings, indent=2))
    for name, folder in sample.folders.items():
        targets: dict[str, dict[str, object]] = {
            stage: {"command": f"{sample.do} {stage}", "options": {"cwd": folder}}
            for stage in STAGES
        }
        if name == "service1":
            for stage, inputs in shared.items():
                targets[stage]["inputs"] = [*inputs, "{workspaceRoot}/schemas/**/*"]
        project = {"name": name, "targets": targets}
        sample.write(f"{folder}/project.json", json.dumps(project, indent=2))


def _moon(sample: Sample) -> None:
    """Follows its documentation: tasks with inputs that all projects inherit."""
    sample.write(".moon/workspace.yml", "projects: ['libs/*', 'services/*']\ntelemetry: false\n")
    tasks: dict[str, object] = {}
    for stage in STAGES:
        inputs: list[object] = [
            "**/*",
            "!**/*.log",
            "$SHOP_MODE",
            *(f"/{name}" for name in ROOT_FILES[stage]),
        ]
        inputs += [] if stage == "scan" else [{"project": "^"}]
        tasks[stage] = {"command": f"{sample.do} {stage}", "inputs": inputs}
    sample.write(".moon/tasks/all.yml", json.dumps({"tasks": tasks}, indent=2))
    for name, folder in sample.folders.items():
        own: dict[str, object] = {"dependsOn": ["core"] if name in sample.users else []}
        if name == "service1":
            own["tasks"] = {stage: {"inputs": ["/schemas/**/*"]} for stage in STAGES}
        sample.write(f"{folder}/moon.yml", json.dumps(own))


CONFIGURE = {"slipway": _slipway, "turbo": _turbo, "nx": _nx, "moon": _moon}
