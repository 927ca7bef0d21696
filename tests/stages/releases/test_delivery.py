"""The jobs of release.yml: their input, and their errors if something is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine.images.docker_registry import docker_registry
from stages.releases.world import MEMBERS, World, put_image
from unit.images.memory_registry import PASSWORD, USER


def test_a_commit_is_published_once_and_its_images_are_named_for_signing(shop: World) -> None:
    commit = shop.merge("feat: refunds")
    status, said = shop.deliver("publish", DOCKER_HOST="tcp://127.0.0.1:9")
    assert status == 0, said  # docker is not called, because nothing is built
    subjects = (shop.path / ".nox/subjects.sha256").read_text(encoding="utf-8").splitlines()
    found = {line.split("  ")[1]: f"sha256:{line.split('  ')[0]}" for line in subjects}
    tag = f"sha-{commit[:12]}"
    assert found == {f"{shop.registry}/shop/{m}": shop.digest(m, tag) for m in MEMBERS}


def test_only_missing_images_of_a_commit_are_built(shop: World) -> None:
    commit = shop.merge("feat: refunds", images=False)
    put_image(f"{shop.registry}/shop/agents", f"sha-{commit[:12]}", commit)
    before = shop.digest("agents", f"sha-{commit[:12]}")
    status, said = shop.deliver("publish", DOCKER_HOST="tcp://127.0.0.1:9")
    assert status == 1 and "Images cannot be built here" in said, said
    assert shop.digest("agents", f"sha-{commit[:12]}") == before


@pytest.mark.parametrize(
    ("words", "env", "expected"),
    [
        ([], {}, "Type one of: nox -s publish"),
        (["deploy"], {}, "nox -s deploy -- ENVIRONMENT"),
        (["release", "--force"], {}, "nox -s release (-- --pre)"),
        (
            ["deploy", "staging"],
            {"GITHUB_ACTIONS": "true"},
            "has no secret DOTENV. Type: gh secret set DOTENV --env staging < .env.staging",
        ),
        (["deploy", "moon"], {"DOTENV": "A=b"}, "There is no environment"),
        (
            ["smoke", "staging"],
            {"DOTENV": "A=b", "DEPLOY_KEY": "a key"},
            "DEPLOY_KNOWN_HOSTS is not set",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_job_that_lacks_something_says_what_to_set_up(
    words: list[str], env: dict[str, str], expected: str, shop: World, tmp_path: Path
) -> None:
    page = tmp_path / "page"
    page.touch()
    status, said = shop.deliver(*words, where=None, GITHUB_STEP_SUMMARY=str(page), **env)
    assert status == 1 and expected in said, said
    assert expected in page.read_text(encoding="utf-8")
    assert "a key" not in said


def test_a_login_is_removed_and_a_wrong_one_is_named_without_its_password(
    shop: World, tmp_path: Path
) -> None:
    (tmp_path / "docker").mkdir()
    config = tmp_path / "docker" / "config.json"
    with docker_registry(tmp_path / "registry", login=True) as address:
        env = {"REGISTRY": f"{address}/shop", "DOCKER_CONFIG": str(config.parent)}
        status, said = shop.deliver("publish", where=None, REGISTRY_LOGIN=f"{USER}:wrong", **env)
        assert status == 1 and f"{address} does not accept the login" in said, said
        assert "wrong" not in said.replace("wrong,", "")
        status, said = shop.deliver(
            "publish",
            REGISTRY_LOGIN=f"{USER}:{PASSWORD}",
            DOCKER_HOST="tcp://0:9",
            where=None,
            **env,
        )
        assert status == 1 and "Images cannot be built here" in said, said
        assert PASSWORD not in said and '"auths": {}' in config.read_text(encoding="utf-8")
