"""A product is deployed to all environments, on the real engine and registry."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import ask, chromium, open_page
from engine.containers.deployable_project import (
    REGISTRY,
    DeployableProject,
    call,
    deployable_project,
    docker,
    eventually,
    steady_load,
)
from engine.containers.ssh_server import ssh_host
from engine.dev.terminal import free_ports

from slipway_ops.images import bake
from support import BIN, clean_environment, engine, need, render, run

pytestmark = [
    pytest.mark.timeout(1500),
    pytest.mark.xdist_group("deployments"),  # one product for all tests
]

BACKEND = "services/backend/src/backend/__main__.py"
APP = "services/backend/src/backend/app.py"


@pytest.fixture(scope="module")
def product(
    template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DeployableProject]:
    """The product of all tests here."""
    with deployable_project(template, tmp_path_factory.mktemp("deployments")) as made:
        yield made


@pytest.fixture
def shop(product: DeployableProject) -> Iterator[DeployableProject]:
    """The product after its first commit: nothing runs, and it has no environments.

    Its images stay in the registry, so only one test can promote a version.
    """
    yield product
    product.reset()


def commit_of(shop: DeployableProject, revision: str = "HEAD") -> str:
    """The tag of the images of a commit."""
    return "sha-" + shop.git("rev-parse", revision).strip()[:12]


def change(shop: DeployableProject, name: str, text: str, message: str) -> str:
    """Appends text to a file, commits it on main, pushes its images; returns their tag."""
    with (shop.path / name).open("a", encoding="utf-8") as file:
        file.write(text)
    shop.commit(message)
    shop.git("push", "--quiet", "origin", "main")
    shop.inv("image.push")
    return commit_of(shop)


def test_the_same_digest_runs_in_staging_and_production(
    shop: DeployableProject, tmp_path: Path
) -> None:
    # Staging: the images of the commit, by digest.
    shop.inv("image.push")
    port = staging_port = shop.initialize("staging")
    assert "nothing was deployed" in shop.inv("status", "staging")
    assert "Nothing was deployed" in shop.refused("up", "staging")
    first = commit_of(shop)
    said = shop.inv("deploy", "staging")
    assert f"staging runs {first}." in said
    with shop.language_model("staging"), chromium() as browser:
        page = open_page(browser, f"http://127.0.0.1:{port}")
        ask(page, "Who are you?", "A model says: Who are you?")
    staged = {k: v for k, v in shop.images("staging").items() if k not in ("database", "proxy")}
    assert set(staged) == {"agents", "backend", "frontend"}
    assert all(re.search(r"@sha256:[0-9a-f]{64}$", image) for image in staged.values())
    said = shop.inv("status", "staging")
    assert first in said
    assert "drift" not in said

    # A change by hand is shown, and reverted.
    docker("rm", "--force", shop.container("staging", "agents"))
    assert "drift: agents does not run" in shop.inv("status", "staging")
    shop.inv("up", "staging")
    assert "drift" not in shop.inv("status", "staging")

    # Production refuses versions; tests/unit/deploy/test_version_rules.py has all rules.
    port = shop.initialize("production")
    deploy = ["deploy", "production", "--yes"]
    assert "Production takes a released version by name" in shop.refused(*deploy)
    assert "stable versions only" in shop.refused(*deploy, first)
    assert "there is no tag v1.0.0 here" in shop.refused(*deploy, "v1.0.0")
    shop.git("tag", "v1.0.0")
    said = shop.refused(*deploy, "v1.0.0")
    assert "v1.0.0" in said and "inv image.promote" in said
    shop.inv("image.promote", "--from", first, "--to", "v1.0.0")
    second = change(shop, BACKEND, "# a change\n", "fix: a change")
    shop.git("tag", "v1.0.1")
    shop.inv("image.promote", "--from", second, "--to", "v1.0.1")
    said = shop.refused(*deploy, "v1.0.1")
    assert "has no record of those of v1.0.1" in said
    without_yes = [word for word in deploy if word != "--yes"]
    said = shop.refused(*without_yes, "v1.0.0")
    assert "--yes" in said
    assert shop.images("production") == {}, "something was started in spite of the rules"

    # Production gets the digests that staging has run.
    assert "production runs v1.0.0." in shop.inv(*deploy, "v1.0.0")
    running = shop.images("production")
    assert {name: running[name] for name in staged} == staged
    with shop.language_model("production"), chromium() as browser:
        page = open_page(browser, f"http://127.0.0.1:{port}")
        ask(page, "Are you live?", "A model says: Are you live?")
    for environment in ("staging", "production"):
        published = docker("port", shop.container(environment, "database"))
        assert published == "", f"the database of {environment} is published"

    third = change(shop, APP, "raise SystemExit('it breaks')\n", "fix: it breaks")

    # From here on there are requests to staging, and none of them fails.
    site = f"http://127.0.0.1:{staging_port}"
    with shop.language_model("staging"):
        with steady_load(site, 10, tmp_path / "load.json") as report:
            # A second machine over SSH, which is this one under another address.
            with ssh_host(tmp_path / "ssh") as (host, variables):
                path = f"{variables['SSH_BIN']}{os.pathsep}{os.environ['PATH']}"
                shop.fill("staging", DOCKER_HOST=host)
                said = shop.inv("deploy", "staging", second, PATH=path)
                assert f"staging runs {second}." in said
                assert host in shop.inv("status", "staging", PATH=path)
            shop.fill("staging", DOCKER_HOST="")
            assert second in shop.inv("status", "staging")

            # Twice as many containers of the API.
            shop.fill("staging", REPLICAS_BACKEND="2")
            shop.inv("up", "staging")
            assert len(shop.containers("staging", "backend")) == 2

            # An unhealthy version: the previous one serves again, and the exit status is 1.
            said = shop.refused("deploy", "staging", third)
            assert f"staging goes on with {second}" in said
            assert "backend is" in said and "it breaks" in said
            said = shop.inv("status", "staging")
            assert second in said and "drift" not in said
            said = shop.inv("rollback", "staging")
            assert f"staging runs {first}." in said
            assert second in shop.refused("rollback", "staging")
            after = shop.images("staging")
            assert {name: after[name] for name in staged} == staged
        assert report["requests"] > 300 and report["failed"] == []
        for number in report["posted"]:
            question = f"{site}/api/backend/questions/{number}"
            eventually("an answer", lambda url=question: call(url)["answer"], 120)
    with ssh_host(tmp_path / "dead") as (host, variables):
        dead = host
    shop.fill("staging", DOCKER_HOST=dead)
    assert "staging: not known." in shop.inv("status", "--all", PATH=path)
    shop.fill("staging", DOCKER_HOST="")

    # The output contains no secret.
    for environment in ("staging", "production"):
        lines = (shop.path / f".env.{environment}").read_text(encoding="utf-8").splitlines()
        secrets = [line.partition("=")[2] for line in lines if line.startswith("DATABASE_PASSWORD")]
        assert len(secrets) == 1 and len(secrets[0]) > 16
        assert secrets[0] not in shop.everything_said
        for service in ("backend", "agents", "database"):
            logs = docker("logs", shop.container(environment, service))
            assert secrets[0] not in logs


def test_only_changed_images_are_pushed_and_replaced(
    shop: DeployableProject, tmp_path: Path
) -> None:
    shop.inv("image.push")
    shop.initialize("staging")
    shop.inv("deploy", "staging")
    members = ("agents", "backend", "frontend", "proxy")
    before = {name: shop.containers("staging", name) for name in members}

    # A second clone makes the same images later, without the first ones.
    clone = tmp_path / "somewhere" / "else"
    run("git", "clone", "--quiet", shop.path, clone, cwd=tmp_path)
    place = f"{REGISTRY}/{shop.slug}/{shop.slug}"
    built = ("backend", "frontend")
    bake.bake(clone, "second", "--load", "--no-cache", *built)
    for name in built:
        ids = docker("image", "inspect", "--format={{.Id}}", f"{place}/{name}:second",
                     f"{place}/{name}:{commit_of(shop)}").split()  # fmt: skip
        assert ids[0] == ids[1], name

    # A commit that changes no image: nothing is pushed, and nothing is replaced.
    first = commit_of(shop)
    shop.write("docs/notes.md", "# Notes\n")
    shop.commit("docs: notes")
    said = shop.inv("image.push")
    assert said.count(f", the same as {first}: nothing was pushed") == 3
    shop.inv("deploy", "staging")
    assert {name: shop.containers("staging", name) for name in members} == before
    said = shop.inv("status", "staging")
    assert commit_of(shop) in said and "drift" not in said
    assert "are those of" in shop.inv("smoke", "staging")

    # A commit that changes a service replaces only that service.
    changed = change(shop, BACKEND, "# another change\n", "fix: another change")
    said = shop.inv("deploy", "staging", changed)
    after = {name: shop.containers("staging", name) for name in members}
    assert {name for name in members if after[name] != before[name]} == {"backend"}


def test_development_is_built_here_and_a_task_survives_a_killed_agent(
    shop: DeployableProject,
) -> None:
    assert "inv env.init development" in shop.refused("up")
    port = shop.initialize(
        "development",
        AGENTS_LLM_URL="http://llm:8000/v1",
        AGENTS_LLM_MODEL="test",
        AGENTS_STALLED_AFTER="2",
    )
    shop.inv("env.use", "development")
    said = shop.inv("up")
    assert f"frontend: http://127.0.0.1:{port}" in said and "database migrated" in said
    assert "healthy" in shop.inv("status", "development")
    assert "development runs what is built here" in shop.refused("deploy")
    address = f"http://127.0.0.1:{port}/api/backend/questions"

    def answer(question: str) -> str | None:
        found = [each for each in call(address) if each["text"] == question]
        return str(found[0]["answer"]) if found and found[0]["answer"] else None

    agents = shop.container("development", "agents")
    with shop.language_model("development"):
        with chromium() as browser:
            page = open_page(browser, f"http://127.0.0.1:{port}")
            ask(page, "What is a slipway?", "A model says: What is a slipway?")

        # With SIGTERM, then with SIGKILL.
        call(address, text="slow slow slow slow, then SIGTERM")
        threading.Event().wait(1.5)
        docker("stop", agents)
        assert docker("inspect", "--format", "{{.State.ExitCode}}", agents).strip() == "0"
        docker("start", agents)
        eventually("the answer", lambda: answer("slow slow slow slow, then SIGTERM"))

        call(address, text="slow slow slow slow slow slow, then SIGKILL")
        threading.Event().wait(1.5)
        assert answer("slow slow slow slow slow slow, then SIGKILL") is None
        other = _second_agent(shop, agents)
        docker("kill", "--signal", "KILL", agents)
        try:
            eventually("the answer", lambda: answer("slow slow slow slow slow slow, then SIGKILL"))
            assert docker("inspect", "--format", "{{.State.Running}}", agents).strip() == "false"
        finally:
            docker("rm", "--force", other)

    assert _restart_beside_silent_clients(shop.container("development", "database"), port + 1) < 30

    shop.inv("up")  # running it again is harmless, and starts stopped containers
    assert call(address)[-1]["text"] == "What is a slipway?"
    shop.inv("down")
    assert shop.images("development") == {}


def _restart_beside_silent_clients(database: str, port: int) -> float:
    """Restarts PostgreSQL while clients connect and say nothing; returns the seconds.

    It waits for those that connect while it shuts down, by default for a minute.
    """
    restart = subprocess.Popen(["docker", "restart", database], stdout=subprocess.DEVNULL)
    begin = time.monotonic()
    with contextlib.ExitStack() as connections:
        while restart.poll() is None and time.monotonic() < begin + 3:
            with contextlib.suppress(OSError):
                connections.enter_context(socket.create_connection(("127.0.0.1", port), 1))
            time.sleep(0.01)
        restart.wait()
    return time.monotonic() - begin


def _second_agent(shop: DeployableProject, first: str) -> str:
    name = f"{first}-other"
    form = "{{range .Config.Env}}{{println .}}{{end}}"
    variables = [v for v in docker("inspect", "--format", form, first).splitlines() if v]
    image = docker("inspect", "--format", "{{.Config.Image}}", first).strip()
    words = [word for variable in variables for word in ("--env", variable)]
    network = f"--network={shop.slug}-development_inside"
    docker("run", "--detach", "--read-only", network, "--name", name, *words, image)
    eventually("a healthy second agent", lambda: "healthy" == _health(name))
    return name


def _health(container: str) -> str:
    return docker("inspect", "--format", "{{.State.Health.Status}}", container).strip()


def test_up_names_unhealthy_containers_and_shows_their_last_lines(shop: DeployableProject) -> None:
    shop.initialize("development")
    shop.inv("env.use", "development")
    shop.replace(
        BACKEND,
        'if __name__ == "__main__":',
        'raise SystemExit("no such luck")\nif __name__ == "x":',
    )
    said = shop.refused("up")
    assert "backend is exited (1). Its last lines:" in said
    assert "    no such luck" in said


HEALTHY = "HEALTHCHECK --interval=1s CMD true\n"
VERSIONS = [f"sha-{number:012}" for number in range(3)]  # of commits that are not here
NEVER_HEALTHY = "HEALTHCHECK --interval=1s --start-period=300s CMD false\n"


@pytest.fixture
def small(template: Path, tmp_path: Path) -> Iterator[DeployableProject]:
    """A product of one app, whose images are made in a second and do nothing; staging is ready."""
    need(engine(), "a container engine: https://docs.docker.com/engine/install/")
    slug = f"shop-{uuid.uuid4().hex[:8]}"
    answers = {"slug": slug, "registry": f"{REGISTRY}/{slug}", "apis": [], "workers": []}
    made = DeployableProject(render(template, tmp_path / slug, **answers).path)
    (made.path / ".venv" / "bin").mkdir(parents=True)
    (made.path / ".venv" / "bin" / "inv").symlink_to(BIN / "inv")
    try:
        made.inv("env.init", "staging")
        made.fill("staging", PUBLISH_FRONTEND=str(free_ports(1)))
        yield made
    finally:
        made.remove()


def publish(shop: DeployableProject, version: str, health: str) -> str:
    """Pushes an image of the app; returns its digest."""
    name = f"{REGISTRY}/{shop.slug}/{shop.slug}/frontend:{version}"
    label = f"LABEL version={version}\n"
    lines = f"FROM caddy:2\n{label}STOPSIGNAL SIGKILL\n{health}CMD sleep infinity\n"
    shop.write("made/Dockerfile", lines)
    docker("build", "--quiet", "--provenance=false", f"--tag={name}", str(shop.path / "made"))
    docker("push", "--quiet", name)
    return docker("inspect", "--format", "{{index .RepoDigests 0}}", name).strip().split("@")[1]


def test_a_deployment_that_was_killed_can_be_rolled_back(
    small: DeployableProject,
) -> None:
    digests = [publish(small, VERSIONS[number], HEALTHY) for number in range(2)]
    digests.append(publish(small, VERSIONS[2], NEVER_HEALTHY))

    def images() -> set[str]:
        names = small.containers("staging", "frontend")
        return set(docker("inspect", "--format={{.Config.Image}}", *names).split())

    def runs(number: int) -> bool:
        return [image.partition("@")[2] for image in images()] == [digests[number]]

    for number in range(2):
        assert f"runs {VERSIONS[number]}." in small.inv("deploy", "staging", VERSIONS[number])
    command = [str(small.path / ".venv/bin/inv"), "deploy", "staging", VERSIONS[2]]
    deployment = subprocess.Popen(command, cwd=small.path, env=clean_environment())
    try:
        eventually("the new container", lambda: len(images()) == 2)
        assert f"{VERSIONS[2]} has not finished" in small.inv("status", "staging")
    finally:
        deployment.kill()
        deployment.wait()
    assert f"runs {VERSIONS[1]}." in small.inv("rollback", "staging")
    assert runs(1)
    status = small.inv("status", "staging")
    assert VERSIONS[1] in status and "drift" not in status and VERSIONS[2] not in status

    assert f"runs {VERSIONS[0]}." in small.inv("rollback", "staging")
    assert runs(0)
    assert VERSIONS[1] in small.refused("rollback", "staging")
    assert f"runs {VERSIONS[1]}." in small.inv("rollback", "staging", "--to", VERSIONS[1])
    assert runs(1)
    locks = docker("ps", "--all", "--quiet", "--filter", f"name={small.slug}-staging-lock")
    assert locks == ""
