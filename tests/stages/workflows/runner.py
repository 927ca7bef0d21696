"""Runs the steps of a workflow on this machine, in the environment that Actions provides.

    run = Runner(origin, "pull_request", event).workflow(".github/workflows/ci.yml")
    assert run.results["gate"] == "success", run.log

Each job, and each combination of a matrix, gets a fresh clone of `origin`. `run` steps and the
actions of the repository are executed. Other actions have a replacement below with the same effect;
an action without one is an error.
"""

from __future__ import annotations

import fnmatch
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from stages.workflows.expressions import condition, insert, shown

from support import BIN, clean_environment

BAD = ("failure", "cancelled")
KEPT = ("/.venv", "/.nox", "/.mypy_cache", "node_modules")  # kept between jobs


@dataclass
class Ran:
    """The results of a workflow.

    Attributes:
        results: {job: success, failure, skipped or cancelled}.
        outputs: {job: {name: value}}.
        summaries: {job with its matrix: its summary on the page of the run}.
        logs: {job with its matrix: the output of its steps}.
        commands: every command line that was executed, in order.
    """

    results: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    summaries: dict[str, str] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)

    @property
    def log(self) -> str:
        """The end of the output of every job, for the message of an assertion."""
        return "\n".join(f"== {name}\n{text[-3000:]}" for name, text in self.logs.items())


@dataclass
class Runner:
    """A GitHub that runs workflows for one event.

    Attributes:
        origin: the repository that is checked out.
        event_name: pull_request, push, merge_group, schedule or workflow_dispatch.
        event: the payload; steps get it as a file.
        ref: the reference that is checked out, such as `refs/heads/main`.
        environment: additional variables of the machine, such as the address of a registry.
        secrets, variables: `secrets.*` and `vars.*` of the repository.
        environments: {name: `secrets.*` that only the jobs of this environment get}.
        attested: the digests that `actions/attest` got.
        inputs: `inputs.*` of a workflow that was started by hand.
        given: fixed results of jobs, or of combinations such as `stage (lint)`, which do not run.
        run_id: the number of the run.
        caches: the Actions cache: {(reference, key): a copy of the files}.
        artifacts: {name: a copy of the files}, which only this run sees.
        kept: a folder for all jobs, one after another, in which ignored files except results stay,
            as on a developer's machine. By default each job has a new machine.
        before: called with the name and the folder of a job before each `run` step.
    """

    origin: Path
    event_name: str = "push"
    event: dict[str, Any] = field(default_factory=dict)
    ref: str = "refs/heads/main"
    environment: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    environments: dict[str, dict[str, str]] = field(default_factory=dict)
    attested: set[str] = field(default_factory=set)
    inputs: dict[str, Any] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)
    run_id: str = "1"
    caches: dict[tuple[str, str], Path] = field(default_factory=dict)
    artifacts: dict[str, Path] = field(default_factory=dict)
    kept: Path | None = None
    before: Callable[[str, Path], object] = lambda job, folder: None

    def workflow(self, path: str, inputs: Mapping[str, Any] | None = None, prefix: str = "") -> Ran:
        """Runs every job of a workflow, in the order of their needs.

        Args:
            path: the file of the workflow, relative to the root of the checkout.
            inputs: the inputs from a calling workflow.
            prefix: the prefix of the names of jobs, if another workflow calls this one.
        """
        document = yaml.safe_load(self._git("show", f"{self._commit}:{path}"))
        declared = (document.get(True) or {}).get("workflow_call") or {}
        defaults = {k: v.get("default") for k, v in (declared.get("inputs") or {}).items()}
        github = self._github(str(document.get("name", path)))
        ran = Ran()
        jobs = dict(document["jobs"])
        while jobs:
            name = next(n for n, job in jobs.items() if not set(_needs(job)) & jobs.keys())
            job = jobs.pop(name)
            needs = {
                n: {"result": ran.results[n], "outputs": ran.outputs.get(n, {})}
                for n in _needs(job)
            }
            contexts = {
                "github": github,
                "needs": needs,
                "inputs": {**defaults, **(self.inputs if inputs is None else inputs)},
                "secrets": {"GITHUB_TOKEN": github["token"], **self.secrets},
                "vars": self.variables,
                "env": insert(document.get("env") or {}, {"github": github}),
            }
            own = self.environments.get(str(job.get("environment", "")), {})
            contexts["secrets"] |= own
            state = _state(name, document["jobs"], ran.results)
            if f"{prefix}{name}" in self.given:
                ran.results[name] = self.given[f"{prefix}{name}"]
            elif not condition(job.get("if"), contexts, state):
                ran.results[name] = "skipped"
            else:
                self._job(f"{prefix}{name}", name, job, document, contexts, ran)
        return ran

    def _job(
        self,
        shown_name: str,
        name: str,
        job: dict[str, Any],
        document: dict[str, Any],
        contexts: dict[str, Any],
        ran: Ran,
    ) -> None:
        if "uses" in job:
            given = insert(job.get("with") or {}, contexts)
            inner = self.workflow(str(job["uses"]).removeprefix("./"), given, f"{shown_name} / ")
            ran.commands += inner.commands
            ran.summaries |= inner.summaries
            ran.logs |= inner.logs
            every = inner.results.values()
            ran.results[name] = next((bad for bad in BAD if bad in every), "success")
            return
        matrix = insert((job.get("strategy") or {}).get("matrix") or {}, contexts)
        each: list[str] = []
        for index, values in enumerate(_combinations(matrix)):
            what = [values["name"]] if "name" in values else values.values()
            label = f"{shown_name} ({', '.join(map(shown, what))})" if values else shown_name
            if label in self.given:
                each.append(self.given[label])
                continue
            inside = contexts | {"matrix": values, "strategy": {"job-index": index}}
            with tempfile.TemporaryDirectory() as folder:
                machine = _Machine(self, label, Path(folder), document, job, inside)
                each.append(machine.run(job["steps"]))
                ran.outputs[name] = insert(job.get("outputs") or {}, machine.contexts)
                ran.summaries[label] = machine.read("GITHUB_STEP_SUMMARY")
            ran.commands += machine.commands
            ran.logs[label] = machine.log
        wrong = next((bad for bad in BAD if bad in each), "success")
        ran.results[name] = wrong if each else "failure"  # to GitHub an empty matrix is an error

    def _github(self, workflow: str) -> dict[str, Any]:
        return {
            "event": self.event,
            "event_name": self.event_name,
            "ref": self.ref,
            "ref_name": self.ref.removeprefix("refs/heads/"),
            "repository": self.environment.get("GITHUB_REPOSITORY", "example/shop"),
            "repository_owner": "example",
            "run_id": self.run_id,
            "server_url": "https://github.com",
            "sha": self._commit,
            "token": self.environment.get("TOKEN_OF_THE_RUN", "a-token"),
            "actor": "octocat",
            "workflow": workflow,
        }

    @property
    def _commit(self) -> str:
        return self._git("rev-parse", f"{self.ref}^{{commit}}").strip()

    def _git(self, *words: str) -> str:
        command = ["git", "-C", str(self.origin), *words]
        return subprocess.run(command, check=True, text=True, capture_output=True).stdout


class _Machine:
    """The machine of one job: a folder, an environment, a state."""

    def __init__(
        self,
        runner: Runner,
        label: str,
        folder: Path,
        document: dict[str, Any],
        job: dict[str, Any],
        contexts: dict[str, Any],
    ) -> None:
        self.runner, self.label, self.folder = runner, label, folder
        self.root = runner.kept or folder / "work"
        if (self.root / ".git").exists():
            _tidy(self.root)
        self.root.mkdir(exist_ok=True)
        self.state, self.log = "success", ""
        self.commands: list[str] = []
        self.minutes = int(job.get("timeout-minutes", 10))
        self.shell = ((job.get("defaults") or document.get("defaults") or {}).get("run") or {}).get(
            "shell"
        )
        self.contexts = contexts | {"steps": {}, "job": {"status": "success"}}
        # Machines of GitHub have no uv and no nox, so hide the programs of this test run.
        kept = [p for p in os.environ["PATH"].split(os.pathsep) if Path(p) != BIN]
        self.path = os.pathsep.join([str(self._system()), *kept])
        self.variables = runner.environment | insert(contexts["env"], contexts)
        self.variables |= insert(job.get("env") or {}, self.contexts)

    def _system(self) -> Path:
        """Returns a folder with a `sudo` that does nothing: the packages are installed already."""
        programs = self.folder / "system"
        programs.mkdir(parents=True, exist_ok=True)
        (programs / "sudo").write_text('#!/bin/sh\ntest "$1" = apt-get\n', encoding="utf-8")
        (programs / "sudo").chmod(0o755)
        return programs

    def run(self, steps: list[dict[str, Any]]) -> str:
        """Executes the steps; returns how the job ended."""
        for step in steps:
            self._step(step, self.contexts)
        return self.state

    def read(self, variable: str) -> str:
        """Returns what steps have written to a file of GitHub so far."""
        file = self.folder / variable
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def _step(self, step: dict[str, Any], contexts: dict[str, Any]) -> None:
        contexts = contexts | {"env": {**contexts.get("env", {}), **self.variables}}
        if not condition(step.get("if"), contexts, self.state, str(self.root)):
            return
        given = insert(step.get("with") or {}, contexts, str(self.root))
        extra = insert(step.get("env") or {}, contexts, str(self.root))
        if "run" in step:
            well = self._execute(step, contexts, extra)
        elif str(step["uses"]).startswith("./"):
            well = self._composite(str(step["uses"]), given, contexts)
        else:
            action = str(step["uses"]).partition("@")[0]
            outputs = ACTIONS[action](self, given)
            if "id" in step:
                self.contexts["steps"][step["id"]] = {"outputs": outputs}
            well = True
        if not well and not step.get("continue-on-error"):
            self.state = "failure"

    def _composite(self, uses: str, given: dict[str, Any], contexts: dict[str, Any]) -> bool:
        file = self.root / uses / "action.yml"
        action = yaml.safe_load(file.read_text(encoding="utf-8"))
        inputs = {k: v.get("default") for k, v in (action.get("inputs") or {}).items()} | given
        for name, value in (action.get("inputs") or {}).items():
            assert not value.get("required") or inputs[name] is not None, f"{uses} lacks {name}"
        for step in action["runs"]["steps"]:
            self._step(step, contexts | {"inputs": inputs})
        return self.state == "success"

    def _execute(
        self, step: dict[str, Any], contexts: dict[str, Any], extra: dict[str, Any]
    ) -> bool:
        text = shown(insert(step["run"], contexts, str(self.root)))
        shell = step.get("shell", self.shell)
        script = self.folder / "step.sh"
        script.write_text(text + "\n", encoding="utf-8")
        strict = ["--noprofile", "--norc", "-e", "-o", "pipefail"] if shell == "bash" else ["-e"]
        assert shell in (None, "bash"), f"no such shell here: {shell}"
        self.commands.append(text.strip())
        self.runner.before(self.label, self.root)
        where = self.root / str(step.get("working-directory", "."))
        done = subprocess.run(
            ["bash", *strict, str(script)],
            cwd=where,
            env=self._environment({k: shown(v) for k, v in extra.items()}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60 * self.minutes,
        )
        self.log += f"$ {text.strip()}\n{done.stdout}"
        added = self.read("GITHUB_PATH").split()
        self.path = os.pathsep.join([*reversed(added), *self._without(added)])
        self.variables |= _assignments(self.read("GITHUB_ENV"))
        if "id" in step:
            outputs = _assignments(self.read("GITHUB_OUTPUT"))
            self.contexts["steps"][step["id"]] = {"outputs": outputs}
        (self.folder / "GITHUB_OUTPUT").unlink(missing_ok=True)
        return done.returncode == 0

    def _without(self, added: list[str]) -> list[str]:
        return [part for part in self.path.split(os.pathsep) if part not in added]

    def _environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        github = self.contexts["github"]
        event = self.folder / "event.json"
        event.write_text(json.dumps(github["event"]), encoding="utf-8")
        files = ("GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")
        for name in files:
            (self.folder / name).touch()
        names = ("event_name", "ref", "ref_name", "repository", "repository_owner", "run_id")
        said = {f"GITHUB_{n.upper()}": str(github[n]) for n in (*names, "server_url", "sha")}
        usual = {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": "http://127.0.0.1:9",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_WORKSPACE": str(self.root),
            "RUNNER_TEMP": str(self.folder),
        }
        paths = {name: str(self.folder / name) for name in files}
        base = clean_environment() | said | usual | paths
        return {**base, **self.variables, **extra, "PATH": self.path}

    # --- replacements of actions -----------------------------------------------------------

    def checkout(self, given: dict[str, Any]) -> dict[str, str]:
        """actions/checkout: checks out a branch; other references are a detached HEAD."""
        github = self.contexts["github"]
        ref = str(given.get("ref") or github["ref"])
        depth = str(given.get("fetch-depth", 1))
        deep = [] if depth == "0" else [f"--depth={depth}", "--no-tags"]
        wanted = ref if "ref" in given else github["sha"]
        known = {"refs/heads/" + ref, ref} & set(self._refs())
        branch = next(iter(known), "") if "ref" in given else ref
        commands = [
            ["init", "--quiet"],
            ["remote", "add", "origin", self.runner.origin.as_uri()],
            ["fetch", "--quiet", *deep, "origin", (branch or ref) if "ref" in given else wanted],
            ["checkout", "--quiet", "--detach", "FETCH_HEAD" if "ref" in given else wanted],
        ]
        if depth == "0":
            everything = "+refs/heads/*:refs/remotes/origin/*"
            commands.insert(3, ["fetch", "--quiet", "--tags", "origin", everything])
        if branch.startswith("refs/heads/"):
            name = branch.removeprefix("refs/heads/")
            if deep:
                commands.append(["update-ref", f"refs/remotes/origin/{name}", "HEAD"])
            commands.append(["checkout", "--quiet", "-B", name])
        for words in commands:
            done = subprocess.run(
                ["git", *words], cwd=self.root, text=True, capture_output=True, env=os.environ
            )
            assert done.returncode == 0, f"git {' '.join(words)}: {done.stderr}"
        return {}

    def _refs(self) -> list[str]:
        return self.runner._git("for-each-ref", "--format=%(refname)").split()

    def setup_uv(self, given: dict[str, Any]) -> dict[str, str]:
        """astral-sh/setup-uv: adds only uv to PATH, which uses the Python of this machine."""
        programs = self.folder / "uv"
        programs.mkdir(exist_ok=True)
        (programs / "uv").symlink_to(BIN / "uv")
        self.path = os.pathsep.join([str(programs), self.path])
        self.variables["UV_PYTHON"] = sys.executable
        return {}

    def attest(self, given: dict[str, Any]) -> dict[str, str]:
        """actions/attest: records the digests in the file as signed."""
        lines = (self.root / given["subject-checksums"]).read_text(encoding="utf-8").splitlines()
        found = {f"sha256:{line.split()[0]}" for line in lines}
        assert found, "there is nothing to sign"
        self.runner.attested |= found
        return {}

    def app_token(self, given: dict[str, Any]) -> dict[str, str]:
        """actions/create-github-app-token: returns the token of the App."""
        assert given["app-id"] and given["private-key"]
        return {"token": self.runner.secrets["TOKEN_OF_THE_APP"]}

    def restore(self, given: dict[str, Any]) -> dict[str, str]:
        """actions/cache/restore: reads entries of the reference of the run, and of main."""
        wanted = [str(given["key"]), *str(given.get("restore-keys", "")).split()]
        for ref in (self.contexts["github"]["ref"], "refs/heads/main"):
            found = [key for of, key in self.runner.caches if of == ref]
            for start in wanted:
                keys = [key for key in found if key.startswith(start)]
                if keys:
                    self._lay(self.runner.caches[ref, keys[-1]], given["path"])
                    return {"cache-hit": str(keys[-1] == wanted[0]).lower()}
        return {"cache-hit": ""}

    def save(self, given: dict[str, Any]) -> dict[str, str]:
        """actions/cache/save: adds an entry for the reference of the run; replaces none."""
        place = (self.contexts["github"]["ref"], str(given["key"]))
        if place not in self.runner.caches:
            self.runner.caches[place] = self._copy(given["path"])
        return {}

    def upload(self, given: dict[str, Any]) -> dict[str, str]:
        """actions/upload-artifact: leaves out hidden files by default."""
        hidden = any(part.startswith(".") for part in Path(given["path"]).parts)
        assert given.get("include-hidden-files") or not hidden, "nothing would be uploaded"
        name = str(given["name"])
        assert name not in self.runner.artifacts or given.get("overwrite"), f"{name} is there"
        self.runner.artifacts[name] = self._copy(given["path"])
        return {}

    def download(self, given: dict[str, Any]) -> dict[str, str]:
        """actions/download-artifact: copies all artifacts of this run with matching names."""
        assert given["merge-multiple"]
        for name in fnmatch.filter(self.runner.artifacts, given["pattern"]):
            self._lay(self.runner.artifacts[name], given["path"])
        return {}

    def _copy(self, path: str) -> Path:
        kept = Path(tempfile.mkdtemp(dir=self.runner.origin.parent)) / "kept"
        shutil.copytree(self.root / path, kept)
        return kept

    def _lay(self, kept: Path, path: str) -> None:
        shutil.copytree(kept, self.root / path, dirs_exist_ok=True)

    def nothing(self, given: dict[str, Any]) -> dict[str, str]:
        """Does nothing, because this machine has it already, or another one would do it."""
        return {}


ACTIONS: dict[str, Callable[[_Machine, dict[str, Any]], dict[str, str]]] = {
    "actions/attest": _Machine.attest,
    "actions/cache/restore": _Machine.restore,
    "actions/cache/save": _Machine.save,
    "actions/checkout": _Machine.checkout,
    "actions/create-github-app-token": _Machine.app_token,
    "actions/download-artifact": _Machine.download,
    "actions/setup-node": _Machine.nothing,
    "actions/upload-artifact": _Machine.upload,
    "astral-sh/setup-uv": _Machine.setup_uv,
}


def _tidy(root: Path) -> None:
    """Removes the checkout and results of an earlier job; its environments stay."""
    shutil.rmtree(root / ".nox" / "results", ignore_errors=True)
    for words in (
        ["rm", "--cached", "--quiet", "-r", "."],
        ["clean", "-ffdxq", *(f"--exclude={name}" for name in KEPT)],
    ):
        subprocess.run(["git", *words], cwd=root, check=True)
    shutil.rmtree(root / ".git")


def _combinations(matrix: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the value of `matrix` in each run of a job; `include` may only be alone."""
    if "include" in matrix:
        assert matrix.keys() == {"include"}, f"not understood here: {matrix}"
        return [dict(entry) for entry in matrix["include"]]
    products = itertools.product(*matrix.values())
    return [dict(zip(matrix, values, strict=True)) for values in products]


def _needs(job: dict[str, Any]) -> list[str]:
    needs = job.get("needs") or []
    return [needs] if isinstance(needs, str) else list(needs)


def _state(name: str, jobs: Mapping[str, Any], results: Mapping[str, str]) -> str:
    """Returns how the jobs that a job needs have ended, directly or through other jobs."""
    before, waiting = set(), _needs(jobs[name])
    while waiting:
        needed = waiting.pop()
        before.add(results[needed])
        waiting += _needs(jobs[needed])
    return next((bad for bad in (*BAD, "skipped") if bad in before), "success")


def _assignments(text: str) -> dict[str, str]:
    """Parses `NAME=value`, and `NAME<<END` with lines up to END."""
    found, lines = {}, iter(text.splitlines())
    for line in lines:
        name, sign, value = line.partition("=")
        if "<<" in name or not sign:
            name, _, end = line.partition("<<")
            value = "\n".join(iter(lambda: next(lines), end))
        found[name] = value
    return found
