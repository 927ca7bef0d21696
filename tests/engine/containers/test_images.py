"""Images run read-only and without rights, and stop quickly."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from engine.containers.deployable_project import docker, eventually
from engine.containers.running_images import CONFIG, RunningImages, add_by_hand, network, run_all

from support import engine, need, own_registry, render, run

pytestmark = pytest.mark.xdist_group("images")

ANSWERS = {
    "apis": ["shop", "billing"],
    "workers": ["agents", "reviewers"],
    "apps": ["web", "admin"],
    "libraries": ["money"],
}
MB = 1_000_000


@pytest.fixture(scope="module")
def stack(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningImages]:
    """All images of a project, built by `nox -s build`, each running and healthy."""
    need(engine(), "a container engine: https://docs.docker.com/engine/install/")
    project = render(template, tmp_path_factory.mktemp("images") / "project", **ANSWERS)
    add_by_hand(project)
    # The umask of a user who makes files private; in images, everybody can read them.
    run("chmod", "-R", "go=", project.path, cwd=project.path)
    with own_registry() as registry:
        project.green("-s", "build(repo)", REGISTRY=registry)
        apps = [path.parent.name for path in project.path.glob("apps/*/Dockerfile")]
        services = [path.parent.name for path in project.path.glob("services/*/Dockerfile")]
        images = {name: f"{registry}/shop/{name}:development" for name in apps + services}
        made = RunningImages(project, images, f"images-{uuid.uuid4().hex[:8]}", apps, services)
        with network(made.name):
            run_all(made)
            yield made


def test_every_image_runs_without_rights_on_a_read_only_root(
    stack: RunningImages,
) -> None:
    assert (len(stack.apps), len(stack.services)) == (2, 5)
    for member in stack.images:
        [container] = json.loads(docker("inspect", f"{stack.name}-{member}"))
        assert container["HostConfig"]["ReadonlyRootfs"]
        assert container["State"]["Health"]["Status"] == "healthy"
        [image] = json.loads(docker("image", "inspect", stack.images[member]))
        assert container["Config"]["Cmd"] == image["Config"]["Cmd"]
        assert image["Config"]["Cmd"][0] in ("python", "caddy")  # no shell in between
        assert image["Config"]["User"] == "10001"
        assert docker("exec", container["Name"][1:], "id", "-u").strip() == "10001"


def test_an_image_is_small_and_has_one_label_and_no_build_tools(stack: RunningImages) -> None:
    sizes = {
        base: int(docker("image", "inspect", base, "--format={{.Size}}"))
        for base in ("python:3.13-slim", "caddy:2")
    }
    tools = "uv uvx gcc cc g++ make node npm".split()
    for member, name in stack.images.items():
        [image] = json.loads(docker("image", "inspect", name))
        assert image["Config"]["Labels"] == {"org.opencontainers.image.title": f"shop/{member}"}
        app = member in stack.apps
        above = image["Size"] - sizes["caddy:2" if app else "python:3.13-slim"]
        assert above <= (5 if app else 130) * MB, f"{member}: {above / MB:.0f} MB"
        unwanted = " -o ".join(f"-name {word}" for word in [*tools, ".env*"])
        find = f"find / ( -path /proc -o -path /sys ) -prune -o ( {unwanted} ) -not -type d -print"
        found = docker("run", "--rm", "--user=0", name, *find.split()).split()
        assert found == [], member


def test_a_service_added_by_hand_has_its_library_and_no_other(stack: RunningImages) -> None:
    folders = {
        service: set(docker("exec", f"{stack.name}-{service}", "ls", "/own").split())
        for service in stack.services
    }
    assert folders.pop("pilots") == {"pilots", "charts", "runtime"}
    assert folders == {name: {name, "runtime"} for name in folders}


POLICY = {
    "content-security-policy": "default-src 'none'",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def test_every_answer_carries_the_security_headers(stack: RunningImages) -> None:
    paths = {"/": 200, "/config.json": 200, "/api/billing/questions": 200, "/some/page": 200,
             "/assets/gone.js": 404, "/api/gone/questions": 404, "/metrics": 404}  # fmt: skip
    for app in stack.apps:
        for path, status in paths.items():
            answered, headers, _ = stack.get(app, path)
            assert answered == status, path
            assert "server" not in headers, path
            for name, value in POLICY.items():
                assert headers[name].startswith(value), f"{path}: {name}"


def test_only_existing_files_with_a_hash_in_their_name_are_cached(stack: RunningImages) -> None:
    [app, *_] = stack.apps
    _, headers, page = stack.get(app, "/")
    assert headers["cache-control"] == "no-cache"
    [script] = re.findall(r'src="(/assets/[^"]+)"', page)
    status, headers, _ = stack.get(app, script)
    assert (status, headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
    assert "cache-control" not in stack.get(app, "/assets/gone.js")[1]


def test_the_page_gets_its_configuration_from_the_container(stack: RunningImages) -> None:
    for app in stack.apps:
        status, headers, body = stack.get(app, "/config.json")
        assert (status, headers["content-type"]) == (200, "application/json")
        assert headers["cache-control"] == "no-cache"
        # Without CONFIG it is the file in the bundle.
        assert json.loads(body) == ({"api": "/api/shop"} if app == "admin" else CONFIG)


HIDDEN = """
    /{0} //{0} /api/{1}/{0} /api/{1}//{0} //api/{1}/{0} /api//{1}/{0} /api/{1}/{0}/
    /api/{1}/{0}?a=b /api/{1}/%{2:x}{3} /api/{1}%2F{0} /api%2f{1}%2f{0} /api/{1}/%2F{0}
    /api/{1}/./{0} /api/{1}/questions/../{0} /api/{1}/questions/..%2f{0}
    /api/{1}/questions%2f..%2f{0} /api/{1}/questions/%2e%2e/{0} /api/gone/../{1}/{0}
    /x/../api/{1}/{0} /api/./{0} /api/{1}/.%2e/{0} /api/{1}/{0}%3f /api/{1}/{0}%3fa
    /api/{1}/{0}%23 /api/{1}/{0}%00 /api/{1}/{0}; /api/{1}/{0}%2f /api/{1}/%25{2:x}{3}
    /api/{1}\\{0} /api/{1}/%5c{0} /api/{1}/{0}%20 /api/{1}/{0}%0a /api/{1}/{0}/.
""".split()


@pytest.mark.parametrize("route", ["metrics", "healthz", "readyz"])
def test_health_and_metrics_cannot_be_reached_from_outside(
    stack: RunningImages, route: str
) -> None:
    [app, *_] = stack.apps
    name = "billing"
    inside = f"import urllib.request as r; print(r.urlopen('http://{name}:PORT/{route}').read())"
    ask = ["exec", f"{stack.name}-{name}", "python", "-c"]
    told = docker(*ask, inside.replace("PORT", "9000"))
    assert "# HELP" in told or '"status"' in told
    with pytest.raises(AssertionError, match="HTTP Error 404"):
        docker(*ask, inside.replace("PORT", "8000"))
    for pattern in HIDDEN:
        path = pattern.format(route, name, ord(route[0]), route[1:])
        status, _, body = stack.get(app, path)
        assert status in (400, 404), f"{path}: {status} {body[:200]}"
        assert "# HELP" not in body and '"status"' not in body, path


def test_the_admin_api_of_caddy_cannot_be_reached_from_outside(stack: RunningImages) -> None:
    [app, *_] = stack.apps
    for path in ("/config/", "/load", "/reverse_proxy/upstreams", "/debug/pprof/", "/id/x"):
        assert stack.get(app, path)[2].startswith("<!doctype html>"), path
    name = stack.services[0]
    reach = f"import socket; socket.create_connection(('{app}', PORT), timeout=5)"
    docker("exec", f"{stack.name}-{name}", "python", "-c", reach.replace("PORT", "8080"))
    with pytest.raises(AssertionError, match="ConnectionRefusedError"):
        docker("exec", f"{stack.name}-{name}", "python", "-c", reach.replace("PORT", "2019"))


def test_the_logs_of_a_healthy_app_have_no_errors(stack: RunningImages) -> None:
    for app in stack.apps:
        container = f"{stack.name}-{app}"
        done = subprocess.run(["docker", "logs", container], capture_output=True, text=True)
        lines = [json.loads(line) for line in (done.stdout + done.stderr).splitlines()]
        assert lines and [line for line in lines if line["level"] == "error"] == []


def test_every_image_ends_on_sigterm_within_ten_seconds_with_status_0(stack: RunningImages) -> None:
    names = [f"{stack.name}-{member}" for member in stack.images]
    docker("stop", "--time=10", *names)  # after that it would be SIGKILL, and status 137
    for name in names:
        assert docker("inspect", name, "--format={{.State.ExitCode}}").strip() == "0", name


def test_every_image_runs_with_the_restrictions_of_its_kubernetes_manifest(
    stack: RunningImages, template: Path, tmp_path: Path
) -> None:
    chosen = ["images", "environments", "kubernetes"]
    project = render(template, tmp_path / "project", capabilities=chosen, **ANSWERS)
    text = (project.path / "deploy/kubernetes/base/members.yaml").read_text(encoding="utf-8")
    found = [each for each in yaml.safe_load_all(text) if each["kind"] == "Deployment"]
    deployments = {each["metadata"]["name"]: each for each in found}
    assert set(deployments) >= {*stack.images} - {"pilots"}  # which was added by hand
    for member in set(deployments) & set(stack.images):
        pod = deployments[member]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        confined, limits = container["securityContext"], container["resources"]["limits"]
        user, own = pod["securityContext"], confined["capabilities"]
        [running] = json.loads(docker("inspect", f"{stack.name}-{member}"))
        name = f"{stack.name}-{member}-confined"
        docker(
            *("run", "--detach", f"--name={name}", f"--network={stack.name}", "--no-healthcheck"),
            *(f"--env={each}" for each in running["Config"]["Env"] if each[0] != "="),
            *(f"--cap-drop={each}" for each in own["drop"]),
            *(f"--cap-add={each}" for each in own.get("add", [])),
            *["--read-only"] * confined["readOnlyRootFilesystem"],
            *["--security-opt=no-new-privileges"] * (not confined["allowPrivilegeEscalation"]),
            f"--user={user['runAsUser']}:{user['runAsGroup']}",
            f"--memory={limits['memory'].removesuffix('i').lower()}",
            f"--cpus={limits['cpu']}",
            "--tmpfs=/tmp:size=64m",
            stack.images[member],
        )
        [address] = json.loads(docker("inspect", name))[0]["NetworkSettings"]["Networks"].values()
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked = container[probe]["httpGet"]
            place = address["IPAddress"], ports[asked["port"]], asked["path"]
            eventually(f"{member}: {probe}", lambda place=place: _status(*place) == 200)
        docker("rm", "--force", name)


def _status(host: str, port: int, path: str) -> int:
    """Returns the status of an answer; 0 if there is none."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()
