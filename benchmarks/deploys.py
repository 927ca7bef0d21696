"""What people notice of a deployment, and of what goes wrong: a steady load while it happens.

The product is built once, pushed to the registry that REGISTRY names (one that takes pushes from
this engine without a login) and deployed on this machine. For each event the table has the requests
that failed, the longest time without a good answer, and what became of the tasks. Containers are
killed by their process, which needs the rights to do so.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import ENVIRONMENT, REPOSITORY, seconds

RATE = int(os.environ.get("BENCH_RATE", "100"))  # requests a second
MODEL = REPOSITORY / "tests" / "engine" / "containers" / "language_model.py"
HEAD = [
    "| what happens | times | requests | failed | longest gap | tasks | lost | run again | then |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
]
PATIENCE = 180  # seconds until everything is healthy again
SERVICE = "services/backend/src/backend/app.py"


@dataclass
class Shop:
    """The product, as it is deployed to staging.

    Attributes:
        path: of the project.
        slug: its name in images and containers, which nobody else has.
        port: on which its app is served.
        versions: the tags of two that are healthy and one that is not.
    """

    path: Path
    slug: str
    port: int
    versions: list[str]

    def inv(self, *words: str, status: int = 0) -> None:
        """`inv …`, which must end with a status."""
        command = [str(self.path / ".venv" / "bin" / "inv"), *words]
        done = subprocess.run(command, cwd=self.path, env=ENVIRONMENT, capture_output=True)
        if done.returncode != status:
            sys.exit(f"{command}: {(done.stdout + done.stderr).decode()[-3000:]}")

    def deploy(self, number: int, status: int = 0) -> None:
        """Deploys one of the versions."""
        self.inv("deploy", "staging", self.versions[number], status=status)

    def container(self, service: str) -> str:
        """The name of a service's latest container."""
        labels = {"project": f"{self.slug}-staging", "service": service}
        filters = [f"--filter=label=com.docker.compose.{k}={v}" for k, v in labels.items()]
        return docker("ps", "--format={{.Names}}", *filters).split()[0]

    def call(self, path: str) -> Any:
        """What the API answers."""
        url = f"http://127.0.0.1:{self.port}/api/backend{path}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.loads(answer.read())

    def is_well(self) -> bool:
        """Whether the API answers and everything runs that should."""
        with contextlib.suppress(OSError):
            self.call("/questions")
            command = [str(self.path / ".venv" / "bin" / "inv"), "status", "staging"]
            done = subprocess.run(command, cwd=self.path, env=ENVIRONMENT, capture_output=True)
            said = done.stdout.decode()
            return "drift" not in said and "starting" not in said and "not finished" not in said
        return False


def docker(*words: str) -> str:
    """`docker …`, which must succeed."""
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True).stdout


def kill(service: str) -> Callable[[Shop], None]:
    """Kills the first process of a service's container; the engine does not expect it."""

    def now(shop: Shop) -> None:
        pid = docker("inspect", "--format={{.State.Pid}}", shop.container(service))
        os.kill(int(pid), signal.SIGKILL)

    return now


def killed_deployment(shop: Shop) -> None:
    """Kills a deployment at a random moment; the same command then completes it."""
    shop.versions[:2] = reversed(shop.versions[:2])
    command = [str(shop.path / ".venv" / "bin" / "inv"), "deploy", "staging"]
    command.append(shop.versions[0])
    run = subprocess.Popen(command, cwd=shop.path, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.wait(random.uniform(1, 20))
    run.kill()
    run.wait()
    shop.deploy(0)


def other_version(shop: Shop) -> None:
    """Deploys the version that does not run."""
    shop.versions[:2] = reversed(shop.versions[:2])
    shop.deploy(0)


def rollback(shop: Shop) -> None:
    """Goes back to the version before, and deploys the present one again."""
    shop.inv("rollback", "staging")
    shop.deploy(0)


def restarted_database(shop: Shop) -> None:
    """Stops the database and starts it again."""
    docker("restart", shop.container("database"))


def out_of_memory(shop: Shop) -> None:
    """Leaves the API less memory than it uses, for as long as it takes to be killed."""
    name = shop.container("backend")
    limit = docker("inspect", "--format={{.HostConfig.Memory}}", name).strip()
    before = docker("inspect", "--format={{.RestartCount}}", name)
    docker("update", "--memory=6m", "--memory-swap=6m", name)
    deadline = time.monotonic() + 20
    while docker("inspect", "--format={{.RestartCount}}", name) == before:
        if time.monotonic() > deadline:
            break
        time.sleep(0.2)
    docker("update", f"--memory={limit}", f"--memory-swap={limit}", name)


EVENTS: dict[str, Callable[[Shop], None]] = {
    "nothing": lambda shop: time.sleep(5),
    "a deployment of another version": other_version,
    "a deployment that is unhealthy": lambda shop: shop.deploy(2, status=1),
    "a deployment that is killed, and typed again": killed_deployment,
    "a rollback, and the way back": rollback,
    "`kill -9` of the API": kill("backend"),
    "`kill -9` of the agent": kill("agents"),
    "`kill -9` of the app": kill("frontend"),
    "`kill -9` of the proxy": kill("proxy"),
    "`kill -9` of the database": kill("database"),
    "a restart of the database": restarted_database,
    "the API is out of memory": out_of_memory,
}


def rows(project: Path, repeat: int) -> list[str]:
    """The table for a default project of one host."""
    if not os.environ.get("REGISTRY"):
        sys.exit("Set REGISTRY to a registry that this engine can push to, such as host:port/name.")
    lines = [*HEAD]
    with deployed(project) as shop, tempfile.TemporaryDirectory() as folder:
        for what, event in EVENTS.items():
            rounds = [measured(shop, event, Path(folder, "report")) for _ in range(repeat)]
            total = {name: sum(each[name] for each in rounds) for name in rounds[0]}
            gap = max(each["gap"] for each in rounds)
            slow = max(each["recovered"] for each in rounds)
            then = f"well after {slow:.0f} s" if slow >= 0 else "needs somebody"
            lines.append(
                f"| {what} | {repeat} | {total['requests']} | {total['failed']} | {gap:.2f} s | "
                f"{total['tasks']} | {total['lost']} | {total['again']} | {then} |"
            )
            print(lines[-1], flush=True)
    return lines


def measured(shop: Shop, event: Callable[[Shop], None], file: Path) -> dict[str, float]:
    """One event under load: what failed, and what became of the tasks."""
    model = f"{shop.slug}-llm"
    asked = docker("logs", model).count("answered")
    url = f"http://127.0.0.1:{shop.port}"
    program = REPOSITORY / "benchmarks" / "load.py"
    command = [sys.executable, str(program), url, str(RATE), str(file)]
    sender = subprocess.Popen(command)
    try:
        time.sleep(2)
        event(shop)
        end = time.monotonic()
        while not (well := shop.is_well()) and time.monotonic() < end + PATIENCE:
            time.sleep(0.5)
        recovered = time.monotonic() - end if well else -1
        time.sleep(2)
    finally:
        sender.terminate()
        sender.wait()
    report = json.loads(file.read_text(encoding="utf-8"))
    for failure in report["failed"][:5]:
        print("   ", *failure, flush=True)
    open_ = set(report["posted"])
    deadline = time.monotonic() + PATIENCE
    while open_ and time.monotonic() < deadline:
        open_ -= {id for id in list(open_) if shop.call(f"/questions/{id}")["answer"]}
    answered = docker("logs", model).count("answered") - asked
    return {
        "requests": report["requests"],
        "failed": len(report["failed"]),
        "gap": report["gap"],
        "recovered": recovered,
        "tasks": len(report["posted"]),
        "lost": len(open_),
        "again": max(0, answered - len(report["posted"])),
    }


@contextlib.contextmanager
def deployed(project: Path) -> Iterator[Shop]:
    """The product, deployed, with three versions in the registry; removed at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    slug = f"bench-{os.getpid()}"
    shop = Shop(project, slug, port, [])
    seconds([project / ".venv" / "bin" / "nox", "-s", "setup"], project)
    manifest = shop.path / "pyproject.toml"
    manifest.write_text(manifest.read_text().replace('slug = "shop"', f'slug = "{slug}"'))
    text = (shop.path / SERVICE).read_text(encoding="utf-8")
    for ending in ("\n\n# Another version\n", '\n\nraise SystemExit("it breaks")\n', ""):
        (shop.path / SERVICE).write_text(text + ending, encoding="utf-8")
        seconds(["git", "commit", "--quiet", "--all", "--no-verify", "-m", "fix: it"], shop.path)
        shop.inv("image.push")
        head = head_of(shop.path)
        shop.versions.insert(0, f"sha-{head[:12]}")
    shop.versions = [shop.versions[0], shop.versions[2], shop.versions[1]]
    shop.inv("env.init", "staging")
    with (shop.path / ".env.staging").open("a", encoding="utf-8") as file:
        values = {
            "PUBLISH_FRONTEND": port,
            "REGISTRY": os.environ["REGISTRY"],
            "AGENTS_LLM_URL": "http://llm:8000/v1",
            "AGENTS_LLM_MODEL": "test",
            "AGENTS_CONCURRENCY": 8,
            "AGENTS_STALLED_AFTER": 5,
        }
        file.writelines(f"\n{name}={value}" for name, value in values.items())
    name, network = f"{slug}-llm", f"{slug}-staging_inside"
    program = MODEL.read_text(encoding="utf-8").replace(
        "self.answer(200, json.dumps(found))",
        'print("answered", flush=True); self.answer(200, json.dumps(found))',
    )
    try:
        shop.deploy(1)
        options = ["--detach", "--name", name, "--network", network, "--network-alias", "llm"]
        docker("run", *options, "python:3.13-slim", "python", "-c", program)
        shop.deploy(0)
        yield shop
    finally:
        subprocess.run(["docker", "rm", "--force", name], capture_output=True)
        down = ["compose", "--project-name", f"{slug}-staging", "down", "--volumes"]
        subprocess.run(["docker", *down], capture_output=True)
        volumes = docker("volume", "ls", "--quiet", "--filter", f"name={slug}-staging").split()
        if volumes:
            docker("volume", "rm", *volumes)
        images = docker("images", "--quiet", "--filter", f"reference=*/*/{slug}/*").split()
        if images:
            subprocess.run(["docker", "rmi", "--force", *set(images)], capture_output=True)


def head_of(path: Path) -> str:
    """The commit that is checked out."""
    command = ["git", "rev-parse", "HEAD"]
    return subprocess.run(command, cwd=path, check=True, capture_output=True, text=True).stdout
