"""Measures failed requests and lost tasks during deployments and faults, under a steady load.

Builds the product once, pushes it to the registry in the variable REGISTRY (127.0.0.1:port/name,
without a login) and deploys it to a separate engine, which can be killed. For each event the table
has the failed requests, the longest time without a good answer, and lost and repeated tasks. Needs
root, because it kills processes of containers.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import engine
from benchmarks.engine import INSIDE, Engine
from benchmarks.measure import ENVIRONMENT, REPOSITORY, seconds

RATE = int(os.environ.get("BENCH_RATE", "100"))  # requests a second
MODEL = REPOSITORY / "tests" / "engine" / "containers" / "language_model.py"
HEAD = [
    "| what happens | times | requests | failed | longest gap | tasks | lost | run again | then |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
]
PORT = 8080  # of the app
PATIENCE = 60  # seconds until everything is healthy again
SERVICE = "services/backend/src/backend/app.py"
MEMORY = '''
    @app.get("/memory")
    async def memory() -> int:
        """Uses more memory than a container has."""
        return len(b"x" * (4 << 30))

    return app
'''


@dataclass
class Shop:
    """The product in staging.

    Attributes:
        path: the folder of the project.
        slug: its unique name in images and containers.
        versions: the tags of the running version, another healthy one, and an unhealthy one.
        engine: the engine that it is deployed to.
        questions: a file with a line for each question to the language model.
    """

    path: Path
    slug: str
    versions: list[str]
    engine: Engine
    questions: Path

    @property
    def url(self) -> str:
        """The address of the app."""
        return f"http://{INSIDE}:{PORT}"

    def inv(self, *words: str, status: int = 0) -> None:
        """Runs `inv`, which must end with the given status."""
        command = [str(self.path / ".venv" / "bin" / "inv"), *words]
        done = subprocess.run(command, cwd=self.path, env=ENVIRONMENT, capture_output=True)
        if done.returncode != status:
            sys.exit(f"{command}: {(done.stdout + done.stderr).decode()[-3000:]}")

    def deploy(self, number: int, status: int = 0) -> None:
        """Deploys one of the versions."""
        self.inv("deploy", "staging", self.versions[number], status=status)

    def container(self, service: str) -> str:
        """Returns the name of the latest container of a service."""
        labels = {"project": f"{self.slug}-staging", "service": service}
        filters = [f"--filter=label=com.docker.compose.{k}={v}" for k, v in labels.items()]
        return self.engine.docker("ps", "--format={{.Names}}", *filters).split()[0]

    def call(self, path: str) -> None:
        """Sends a request to the API."""
        url = f"{self.url}/api/backend{path}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            answer.read()

    def answered(self, ids: Iterable[int]) -> int:
        """Returns how many of these questions have an answer."""
        query = "SELECT count(*) FROM questions WHERE status = 'answered' AND id IN (%s)"
        psql = ["psql", "--username=app", "--tuples-only", "--command"]
        listed = ", ".join(map(str, ids)) or "0"
        return int(self.engine.docker("exec", self.container("database"), *psql, query % listed))

    def is_healthy(self) -> bool:
        """Returns whether the API answers and `inv status` shows no problem."""
        with contextlib.suppress(OSError):
            self.call("/questions")
            command = [str(self.path / ".venv" / "bin" / "inv"), "status", "staging"]
            done = subprocess.run(command, cwd=self.path, env=ENVIRONMENT, capture_output=True)
            said = done.stdout.decode()
            return "drift" not in said and "starting" not in said and "not finished" not in said
        return False


def kill(service: str) -> Callable[[Shop], None]:
    """Kills the first process in the container of a service, as a crash would."""

    def now(shop: Shop) -> None:
        pid = shop.engine.docker("inspect", "--format={{.State.Pid}}", shop.container(service))
        os.kill(int(pid), signal.SIGKILL)

    return now


def killed_deployment(shop: Shop) -> None:
    """Kills a deployment at a random moment, and runs the command again to finish it."""
    shop.versions[:2] = reversed(shop.versions[:2])
    command = [str(shop.path / ".venv" / "bin" / "inv"), "deploy", "staging"]
    command.append(shop.versions[0])
    run = subprocess.Popen(command, cwd=shop.path, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.wait(random.uniform(1, 15))
    run.kill()
    run.wait()
    shop.deploy(0)


def other_version(shop: Shop) -> None:
    """Deploys the other healthy version."""
    shop.versions[:2] = reversed(shop.versions[:2])
    shop.deploy(0)


def rollback(shop: Shop) -> None:
    """Goes back to the previous version."""
    shop.inv("rollback", "staging")
    shop.versions[:2] = reversed(shop.versions[:2])


def restarted_database(shop: Shop) -> None:
    """Stops the database and starts it again."""
    shop.engine.docker("restart", shop.container("database"))


def out_of_memory(shop: Shop) -> None:
    """Sends a request that makes the API use more memory than it may."""
    with contextlib.suppress(OSError):
        shop.call("/memory")


def killed_engine(*options: str) -> Callable[[Shop], None]:
    """Kills the engine, and starts it again after two seconds, as systemd does."""

    def now(shop: Shop) -> None:
        shop.engine.kill()
        time.sleep(2)
        shop.engine.start(*options)

    return now


def full_disk(shop: Shop) -> None:
    """Fills the disk of the database, the logs and the engine for a while."""
    with shop.engine.full():
        time.sleep(8)


EVENTS: dict[str, Callable[[Shop], None]] = {
    "nothing": lambda shop: time.sleep(5),
    "a deployment of another version": other_version,
    "a rollback": rollback,
    "a deployment that is unhealthy": lambda shop: shop.deploy(2, status=1),
    "a deployment that is killed, and typed again": killed_deployment,
    "`kill -9` of the API": kill("backend"),
    "`kill -9` of the agent": kill("agents"),
    "`kill -9` of the app": kill("frontend"),
    "`kill -9` of the proxy": kill("proxy"),
    "`kill -9` of the database": kill("database"),
    "a restart of the database": restarted_database,
    "the API is out of memory": out_of_memory,
    "the disk is full for 8 s": full_disk,
    "`kill -9` of the engine, which starts again": killed_engine(),
    "the same with `live-restore`": killed_engine("--live-restore"),
}


def rows(project: Path, repeat: int) -> list[str]:
    """Returns the table for a default project on one host; EVENTS chooses some rows by a word."""
    if not os.environ.get("REGISTRY"):
        sys.exit("Set REGISTRY to a registry without a login, such as 127.0.0.1:port/name.")
    chosen = {what: EVENTS[what] for what in EVENTS if os.environ.get("EVENTS", "") in what}
    found: dict[str, list[dict[str, float]]] = {what: [] for what in chosen}
    with tempfile.TemporaryDirectory() as folder, deployed(project, Path(folder)) as shop:
        for number in range(repeat):
            for what, event in chosen.items():
                print(f"{number + 1}: {what}", flush=True)
                found[what].append(measured(shop, event, Path(folder, "report")))
                print("   ", found[what][-1], os.getloadavg(), flush=True)
    return [f"{RATE} requests a second.", "", *HEAD, *map(row, chosen, found.values())]


def row(what: str, rounds: list[dict[str, float]]) -> str:
    """Returns a line of the table."""
    total = {name: sum(int(each[name]) for each in rounds) for name in rounds[0]}
    gap = max(each["gap"] for each in rounds)
    slow = max(each["recovered"] for each in rounds)
    stuck = sum(each["recovered"] < 0 for each in rounds)
    then = f"healthy after {slow:.0f} s"
    if stuck:
        then += f"; {stuck} times after `inv up`"
    return (
        f"| {what} | {len(rounds)} | {total['requests']} | {total['failed']} | {gap:.2f} s | "
        f"{total['tasks']} | {total['lost']} | {total['again']} | {then} |"
    )


def measured(shop: Shop, event: Callable[[Shop], None], file: Path) -> dict[str, float]:
    """Measures one event under load: failed requests, and lost and repeated tasks."""
    shop.questions.write_text("", encoding="utf-8")
    program = REPOSITORY / "benchmarks" / "load.py"
    command = [sys.executable, str(program), shop.url, str(RATE), str(file)]
    sender = subprocess.Popen(command)
    try:
        time.sleep(2)
        event(shop)
        recovered = until_healthy(shop)
        if recovered < 0:
            shop.inv("up", "staging")
        time.sleep(1)
    finally:
        sender.terminate()
        sender.wait()
    report = json.loads(file.read_text(encoding="utf-8"))
    for failure in report["failed"][:8]:
        print("   ", *failure, flush=True)
    print("   ", collections.Counter(why for _, _, why in report["failed"]), report["p99"])
    posted = report["posted"]
    deadline = time.monotonic() + PATIENCE
    while (lost := len(posted) - shop.answered(posted)) and time.monotonic() < deadline:
        time.sleep(0.5)
    asked = shop.questions.read_text(encoding="utf-8").splitlines()
    return {
        "requests": report["requests"],
        "failed": len(report["failed"]),
        "gap": report["gap"],
        "recovered": recovered,
        "tasks": len(posted),
        "lost": lost,
        "again": len(asked) - len(set(asked)),
    }


def until_healthy(shop: Shop) -> float:
    """Waits until everything is healthy; returns the seconds, or -1 if it needs help."""
    start = time.monotonic()
    while time.monotonic() < start + PATIENCE:
        if shop.is_healthy():
            return time.monotonic() - start
        time.sleep(0.5)
    return -1


@contextlib.contextmanager
def deployed(project: Path, folder: Path) -> Iterator[Shop]:
    """Deploys the product to an engine in a folder; three versions are in the registry."""
    slug = f"bench-{os.getpid()}"
    (folder / "engine").mkdir()
    port = urlsplit(f"//{os.environ['REGISTRY']}").port or 80
    with engine.running(folder / "engine", port) as own:
        shop = Shop(project, slug, [], own, folder / "questions")
        try:
            build(shop)
            start(shop)
            yield shop
        finally:
            listed = ["docker", "images", "--quiet", "--filter", f"reference=*/*/{slug}/*"]
            found = subprocess.run(listed, capture_output=True, text=True).stdout.split()
            subprocess.run(["docker", "rmi", "--force", *set(found)], capture_output=True)


def build(shop: Shop) -> None:
    """Builds and pushes three versions with the engine of this machine."""
    seconds([shop.path / ".venv" / "bin" / "nox", "-s", "setup"], shop.path)
    manifest = shop.path / "pyproject.toml"
    manifest.write_text(manifest.read_text().replace('slug = "shop"', f'slug = "{shop.slug}"'))
    service = shop.path / SERVICE
    text = service.read_text(encoding="utf-8").replace("    return app\n", MEMORY)
    for ending in ("\n\n# Another version\n", '\n\nraise SystemExit("it breaks")\n', ""):
        service.write_text(text + ending, encoding="utf-8")
        seconds(["git", "commit", "--quiet", "--all", "--no-verify", "-m", "fix: it"], shop.path)
        shop.inv("image.push")
        shop.versions.insert(0, f"sha-{head_of(shop.path)[:12]}")
    shop.versions = [shop.versions[0], shop.versions[2], shop.versions[1]]


def start(shop: Shop) -> None:
    """Deploys a version, starts a language model beside it, and deploys another version."""
    shop.engine.copy("python:3.13-slim", "postgres:17", "caddy:2")
    shop.inv("env.init", "staging")
    with (shop.path / ".env.staging").open("a", encoding="utf-8") as file:
        values = {
            "DOCKER_HOST": shop.engine.host,
            "PUBLISH_FRONTEND": PORT,
            "REGISTRY": os.environ["REGISTRY"],
            "AGENTS_LLM_URL": "http://llm:8000/v1",
            "AGENTS_LLM_MODEL": "test",
            "AGENTS_CONCURRENCY": 8,
            "AGENTS_STALLED_AFTER": 5,
        }
        file.writelines(f"\n{name}={value}" for name, value in values.items())
    program = MODEL.read_text(encoding="utf-8").replace(
        "self.answer(200, json.dumps(found))",
        'open("/questions", "a").write(f"{question}\\n"); self.answer(200, json.dumps(found))',
    )
    shop.questions.touch()
    shop.deploy(1)
    network = f"{shop.slug}-staging_inside"
    options = [
        *("--detach", "--restart=always", f"--volume={shop.questions}:/questions"),
        *("--network", network, "--network-alias=llm"),
    ]
    shop.engine.docker("run", *options, "python:3.13-slim", "python", "-c", program)
    shop.deploy(0)


def head_of(path: Path) -> str:
    """Returns the hash of the current commit."""
    command = ["git", "rev-parse", "HEAD"]
    return subprocess.run(command, cwd=path, check=True, capture_output=True, text=True).stdout
