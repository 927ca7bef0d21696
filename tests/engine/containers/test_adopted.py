"""The environments of an adopted repository run as its guide says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from engine.containers.deployable_project import DeployableProject
from engine.dev.terminal import free_ports
from stages.adoption import repositories
from stages.adoption.test_adoption import copy

from support import BIN, REPOSITORY, engine, need

GUIDE = (REPOSITORY / "docs/adopt.md").read_text(encoding="utf-8")
SERVER = """\
FROM python:3.13-slim
WORKDIR /srv
COPY {source} .
USER 1000
HEALTHCHECK --interval=1s CMD ["python", "-c", "from urllib import request as r; \\
    r.urlopen('http://127.0.0.1:{port}/')"]
CMD ["python", "-m", "http.server", "{port}"]
"""


@pytest.fixture
def shop(template: Path, tmp_path: Path) -> Iterator[DeployableProject]:
    """An adopted repository with images that serve files, with the capability `environments`."""
    need(engine(), "a container engine: https://docs.docker.com/engine/install/")
    made = DeployableProject(repositories.small(tmp_path / "shop").path)
    for name, port in (("backend", 8000), ("frontend", 8080)):
        made.write(f"{name}/Dockerfile", SERVER.format(source="marker", port=port))
    manifest = (made.path / "backend/pyproject.toml").read_text(encoding="utf-8")
    made.write("backend/pyproject.toml", f'{manifest}\n[tool.slipway]\nkind = "api"\n')
    made.commit("feat: servers")
    copy(template, made, "--data", "capabilities=[images, environments]")
    made.replace(".pipeline/pyproject.toml", "members = []", 'members = ["backend", "frontend"]')
    made.replace(".pipeline/pyproject.toml", 'slug = "shop"', f'slug = "{made.slug}"')
    (made.path / ".venv" / "bin").mkdir(parents=True)
    (made.path / ".venv" / "bin" / "inv").symlink_to(BIN / "inv")
    yield made
    made.remove()


def test_the_compose_files_of_the_guide_start_the_product_behind_its_proxy(
    shop: DeployableProject,
) -> None:
    base, development, deployed = re.findall(r"^```yaml\n(.*?)^```", GUIDE, re.M | re.S)
    files = {"": base, ".development": development, ".staging": deployed, ".production": deployed}
    for name, text in files.items():
        shop.replace(f"deploy/compose{name}.yaml", "services: {}\n", text)
    [proxy] = re.findall(r"^```text\n(:8080.*?)^```", GUIDE, re.M | re.S)
    caddyfile = (shop.path / "deploy/proxy/Caddyfile").read_text(encoding="utf-8")
    shop.write("deploy/proxy/Caddyfile", f"{caddyfile}\n{proxy}")
    *_, commands = re.findall(r"^```sh\n(.*?)^```", GUIDE, re.M | re.S)
    assert commands.count("inv ") == 4
    port = free_ports(1)
    for line in commands.splitlines():
        said = shop.inv(*line.partition(" inv ")[2].split())
        if "env.init" in line:
            assert "BACKEND_DATABASE_URL" in said
            values = {"BACKEND_DATABASE_URL": "postgresql://x", "PUBLISH_FRONTEND": str(port)}
            shop.fill("development", **values)
    assert f"frontend: http://127.0.0.1:{port}" in said
    for way, marker in (("marker", "frontend"), ("api/backend/marker", "backend")):
        with urlopen(f"http://127.0.0.1:{port}/{way}", timeout=10) as answer:
            assert answer.read().decode() == f"{marker}\n"
    assert "healthy" in shop.inv("status", "development")
