"""The builds of `docker buildx bake`, and the errors if it cannot work."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from slipway_ops.errors import SlipwayError
from slipway_ops.images import bake
from slipway_ops.uv import LockError
from support import REPOSITORY, need, run

DEAD = {"DOCKER_HOST": "tcp://127.0.0.1:1"}
ROOT = """\
[tool.slipway]
recipe = 2
slug = "shop"
registry = "ghcr.io/example"
python = "3.12"
"""


@pytest.fixture(autouse=True)
def _at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """These small projects make their lock when it is missing, as they do outside CI."""
    monkeypatch.delenv("CI", raising=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project of two apps; only one of them has a Dockerfile."""
    (tmp_path / "pyproject.toml").write_text(ROOT, encoding="utf-8")
    for app in ("web", "plain"):
        (tmp_path / "apps" / app).mkdir(parents=True)
        (tmp_path / "apps" / app / "package.json").write_text("{}", encoding="utf-8")
    (tmp_path / "apps/web/Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
    (tmp_path / "deploy").mkdir()
    shutil.copy2(REPOSITORY / "template/deploy/docker-bake.hcl", tmp_path / "deploy")
    return tmp_path


def add_service(root: Path, name: str, dockerfile: str, dependencies: list[str]) -> None:
    """Adds a Python service by hand, and a lock that knows it."""
    folder = root / "services" / name
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text(dockerfile, encoding="utf-8")
    manifest(folder, name, dependencies)
    workspace = '\n[tool.uv.workspace]\nmembers = ["services/*", "libs/*"]\n'
    (root / "pyproject.toml").write_text(ROOT + workspace, encoding="utf-8")


def manifest(folder: Path, name: str, dependencies: list[str]) -> None:
    """Writes the pyproject.toml of a Python member that depends on others of the workspace."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = "".join(f"{other} = {{ workspace = true }}\n" for other in dependencies)
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "{name}"\nversion = "0"\nrequires-python = ">=3.11"\n'
        f"dependencies = {json.dumps(dependencies)}\n\n[tool.uv.sources]\n{sources}",
        encoding="utf-8",
    )


def test_every_member_with_a_dockerfile_is_an_image_even_if_added_by_hand(root: Path) -> None:
    assert [member.name for member in bake.images(root)] == ["web"]
    (root / "apps/plain/Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
    assert [member.name for member in bake.images(root)] == ["plain", "web"]
    assert bake.targets(root, "v1", {})["plain"] == {
        "inherits": ["_web"],
        "dockerfile-inline": "FROM scratch\n",
        "labels": {"org.opencontainers.image.title": "shop/plain"},
        "tags": ["ghcr.io/example/shop/plain:v1"],
    }


def test_the_registry_of_the_environment_takes_precedence(root: Path) -> None:
    name = bake.repository(root, "web", {"REGISTRY": "127.0.0.1:5000/team"})
    assert name == "127.0.0.1:5000/team/shop/web"
    assert bake.repository(root, "web", {"REGISTRY": ""}) == "ghcr.io/example/shop/web"


COPY = "FROM scratch\nCOPY --chmod=555 {}services/pilots/src /\n"
EVERY = COPY.format("libs/*/src ")


def test_a_service_gets_the_libraries_that_it_depends_on_and_no_others(root: Path) -> None:
    manifest(root / "libs/money", "money", ["texts"])
    manifest(root / "libs/texts", "texts", [])
    manifest(root / "libs/unused", "unused", [])
    add_service(root, "pilots", EVERY, ["money"])
    target = bake.targets(root, "v1", {})["pilots"]
    assert target["dockerfile-inline"] == COPY.format("libs/money/src libs/texts/src ")


def test_a_service_may_depend_on_no_library(root: Path) -> None:
    add_service(root, "pilots", EVERY, [])
    text = bake.targets(root, "v1", {})["pilots"]["dockerfile-inline"]
    assert text.split() == COPY.format("").split()


def test_an_outdated_lock_is_refused(root: Path) -> None:
    add_service(root, "pilots", EVERY, [])
    bake.targets(root, "v1", {})
    manifest(root / "libs/texts", "texts", [])
    manifest(root / "services/pilots", "pilots", ["texts"])
    with pytest.raises(LockError, match="Type `uv lock`"):
        bake.targets(root, "v1", {})


def printed(root: Path, capfd: pytest.CaptureFixture[str], **environment: str) -> dict[str, str]:
    """The arguments that bake would build the app with."""
    need(shutil.which("docker") is not None, "docker with buildx")
    bake.bake(root, "v1", "--print", environment=environment)
    target = json.loads(capfd.readouterr().out)["target"]["web"]
    assert target["labels"] == {"org.opencontainers.image.title": "shop/web"}
    return dict(target["args"])


def test_base_images_are_variables_and_a_commit_does_not_change_the_build(
    root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    base = {"NODE_IMAGE": "node:24-slim", "CADDY_IMAGE": "caddy:2", "SOURCE_DATE_EPOCH": "0"}
    assert printed(root, capfd) == base
    for words in (
        ["init", "--quiet"],
        ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "a", "--allow-empty"],
    ):
        run("git", *words, cwd=root)
    mirror = {"CADDY_IMAGE": f"mirror.example/caddy:2@sha256:{64 * 'a'}"}
    assert printed(root, capfd, **mirror) == base | mirror


@pytest.mark.parametrize(
    ("given", "image"),
    [({}, "python:3.12-slim"), ({"PYTHON_IMAGE": "mirror.example/python:3"},) * 2],
    ids=["from pyproject.toml", "from the environment"],
)
def test_the_version_of_python_is_written_once(
    root: Path, capfd: pytest.CaptureFixture[str], given: dict[str, str], image: object
) -> None:
    need(shutil.which("docker") is not None, "docker with buildx")
    add_service(root, "pilots", "FROM scratch\n", [])
    bake.bake(root, "v1", "--print", "pilots", environment=given)
    targets = json.loads(capfd.readouterr().out)["target"]
    expected = image if isinstance(image, str) else given["PYTHON_IMAGE"]
    assert targets["pilots"]["args"]["PYTHON_IMAGE"] == expected
    assert list(targets) == ["pilots"]


def test_without_an_engine_an_error_says_how_to_get_one(root: Path) -> None:
    need(shutil.which("docker") is not None, "docker with buildx")
    with pytest.raises(SlipwayError) as refused:
        bake.build(root, "v1", DEAD)
    sentence = str(refused.value)
    assert "tcp://127.0.0.1:1" in sentence and "Start Docker" in sentence
    assert bake.GET_DOCKER in sentence


def test_without_docker_or_buildx_an_error_says_what_to_install(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(SlipwayError, match="docker is not installed\nInstall"):
        bake.build(root, "v1")
    (programs / "docker").write_text(
        "#!/bin/sh\necho \"docker: 'buildx' is not a docker command.\" >&2\nexit 1\n", "utf-8"
    )
    (programs / "docker").chmod(0o755)
    with pytest.raises(SlipwayError, match="is not a docker command.\nInstall .*docker-buildx"):
        bake.build(root, "v1")


def test_docker_is_not_called_if_no_member_is_an_image(root: Path) -> None:
    (root / "apps/web/Dockerfile").unlink()
    bake.build(root, "v1", DEAD)


def test_a_failed_build_is_an_error_with_the_output_of_docker(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text('#!/bin/sh\necho "unknown instruction: FRM" >&2\nexit 1\n', "utf-8")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(docker.parent), prepend=":")
    with pytest.raises(SlipwayError, match="not built"):
        bake.bake(root, "v1", "--load")
    assert "FRM" in capfd.readouterr().err
