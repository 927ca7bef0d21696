"""The steps in docs/environments.md of a project, for a user whose host is lost."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
import pytest
from dotenv import dotenv_values
from engine.containers.deployable_project import (
    REGISTRY,
    DeployableProject,
    call,
    deployable_project,
    docker,
)
from engine.containers.s3_server import s3_server
from engine.dev.terminal import free_ports

from support import BIN

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("lost-host"),
]

SECOND = '''"""One more column, which a version that does not know it leaves alone."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column."""
    op.execute("ALTER TABLE questions ADD COLUMN stars integer")
'''


@pytest.fixture
def shop(template: Path, tmp_path: Path) -> Iterator[DeployableProject]:
    """A product with only an API."""
    with deployable_project(template, tmp_path, workers=[], apps=[]) as made:
        yield made


def commands(text: str, title: str) -> list[str]:
    """The commands in the section of a document."""
    section = re.split(rf"^#+ {title}$", text, flags=re.MULTILINE)[1]
    section = re.split(r"^##", section, flags=re.MULTILINE)[0]
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", section, flags=re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines()]


def migrate(shop: DeployableProject, version: str) -> None:
    """Migrates staging's database for a version, without changing its containers."""
    values = dotenv_values(shop.path / ".env.staging")
    url = f"--env=RUNTIME_DATABASE_URL={values['RUNTIME_DATABASE_URL']}"
    words = [
        "--rm",
        f"--network={shop.slug}-staging_inside",
        url,
        "--env=RUNTIME_ENVIRONMENT=staging",
    ]
    image = f"{REGISTRY}/{shop.slug}/{shop.slug}/backend:{version}"
    docker("run", *words, image, "python", "-m", "runtime.migrate")


def test_the_steps_of_the_document_restore_the_data_on_a_new_host(
    shop: DeployableProject, tmp_path: Path
) -> None:
    document = (shop.path / "docs/environments.md").read_text(encoding="utf-8")
    before, steps = commands(document, "Backups"), commands(document, "When a host is lost")
    assert len(steps) > 5
    extra, setup = before[before.index("nox -s setup") - 1 :][:2]
    shop.run(BIN / "uv", *shlex.split(extra)[1:])
    shop.green(*setup.split()[1:])
    shop.commit("chore: backups leave the host")
    key = pyrage.x25519.Identity.generate()
    (tmp_path / "backups.key").write_text(f"{key}\n", encoding="utf-8")
    with s3_server() as s3:
        # Staging, because the rules of production are tested elsewhere.
        shop.inv("env.init", "staging")
        port = free_ports(1)
        shop.fill(
            "staging",
            PUBLISH_BACKEND=str(port),
            BACKUP_RECIPIENT=str(key.to_public()),
            **s3.values,
        )
        shop.inv("image.push")
        shop.inv("deploy", "staging")
        address = f"http://127.0.0.1:{port}/questions"
        asked = call(address, text="Is it saved?")
        [night] = re.findall(r"^\d.* cd /srv/.*$", document, flags=re.MULTILINE)
        each = night.split(maxsplit=5)[5].replace("/srv/project", str(shop.path))
        done = shop.run("sh", "-c", each.replace("production", "staging"))
        assert done.returncode == 0 and "with the same tables and rows" in done.stdout, done.stdout

        # The next version, whose migration the backup does not have. While its schema is in place,
        # the previous version keeps running.
        folder = "libs/runtime/src/runtime/migrations/versions"
        shop.write(f"{folder}/0002_stars.py", SECOND)
        shop.commit("feat: stars")
        shop.inv("image.push")
        version = "sha-" + shop.git("rev-parse", "HEAD").strip()[:12]
        migrate(shop, version)
        later = call(address, text="Does the old version work?")
        assert {each["id"] for each in call(address)} == {asked["id"], later["id"]}

        # Everything on the host is gone.
        shop.end()
        assert not docker("volume", "ls", "-q", "--filter", f"name={shop.slug}-staging").strip()
        for step in steps:
            step = step.replace("production", "staging").replace("v1.2.3", version)
            words = step.replace("~", str(tmp_path)).split()[1:]
            shop.inv(*words, *["--yes"] * (words[0] == "db.restore"))
        assert [each["text"] for each in call(address)] == ["Is it saved?"]
        assert call(f"{address}/{asked['id']}")["text"] == "Is it saved?"
        said = shop.said("doctor", "staging").stdout
        for what in ("Variables", "Deployments", "Containers"):
            assert f"ok   {what}: " in said, said
        query = "SELECT stars IS NULL FROM questions"
        done = subprocess.run(
            [shop.path / ".venv/bin/inv", "db.shell", "staging"],
            cwd=shop.path,
            input=query,
            capture_output=True,
            text=True,
        )
        assert re.search(r"^ t$", done.stdout, flags=re.MULTILINE), done
        assert str(key) not in shop.everything_said
        assert s3.values["BACKUP_KEY"] not in shop.everything_said
