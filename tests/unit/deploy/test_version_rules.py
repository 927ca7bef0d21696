"""The versions that staging and production accept, and their images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from unit.images.memory_registry import MemoryRegistry, memory_registry

from slipway_ops.deploy import records, version_rules
from slipway_ops.deploy.compose import Stack
from slipway_ops.deploy.records import Record
from slipway_ops.environments import environment_files
from slipway_ops.errors import SlipwayError
from support import clean_environment, run

SERVICES = ("backend", "agents")


class Project:
    """A project of two services in a git repository, its registry, and what staging has run."""

    def __init__(self, root: Path, registry: MemoryRegistry) -> None:
        self.root, self.registry = root, registry
        self.staged: list[Record] = []
        self.git("init", "--quiet", "--initial-branch", "main")
        self.commit = self.make_commit()

    def git(self, *words: str) -> str:
        """`git …`, which must succeed; returns the output."""
        done = run("git", *words, cwd=self.root, env=clean_environment())
        assert done.returncode == 0, done.stdout
        return done.stdout.strip()

    def make_commit(self) -> str:
        """Makes an empty commit; returns it."""
        self.git("commit", "--quiet", "--allow-empty", "--message", "fix: it")
        return self.git("rev-parse", "HEAD")

    def push(self, tag: str, commit: str, *names: str) -> dict[str, str]:
        """Puts the images of a commit into the registry, under its tag too; returns digests."""
        for name in names or SERVICES:
            self.registry.seed(f"team/shop/{name}:sha-{commit[:12]}", commit)
        return {
            name: self.registry.seed(f"team/shop/{name}:{tag}", commit).digest
            for name in names or SERVICES
        }

    def stage(self, digests: dict[str, str]) -> None:
        """Records that staging has run these images."""
        self.staged.append(Record("sha-0123456789ab", digests, self.commit, "ann"))


@pytest.fixture
def project(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project whose environments are initialized."""
    folder = root / "services" / "agents"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("", encoding="utf-8")
    (folder / "Dockerfile").write_text("", encoding="utf-8")
    with memory_registry() as registry:
        made = Project(root, registry)

        def healthy(stack: Stack) -> list[Record]:
            assert stack.environment == "staging" and stack.host == "ssh://ops@staging.example.com"
            return made.staged

        values = {
            "REGISTRY": f"{registry.host}/team",
            "STAGING_DOCKER_HOST": "ssh://ops@staging.example.com",
        }
        monkeypatch.setattr(environment_files, "values", lambda *_: values)
        monkeypatch.setattr(records, "healthy", healthy)
        yield made


@pytest.fixture
def released(project: Project) -> dict[str, str]:
    """The digests of v1.0.0: a tag on main, its images are pushed and staging has run them."""
    project.git("tag", "v1.0.0")
    digests = project.push("v1.0.0", project.commit)
    project.stage(digests)
    return digests


def test_production_accepts_a_stable_version_of_main_that_staging_has_run(
    project: Project, released: dict[str, str]
) -> None:
    assert version_rules.resolve(project.root, "production", "v1.0.0") == (
        "v1.0.0",
        released,
        project.commit,
    )


def test_production_accepts_a_version_of_a_hotfix_branch_too(project: Project) -> None:
    project.git("switch", "--quiet", "--create", "hotfix/1.0")
    commit = project.make_commit()
    project.git("tag", "v1.0.1")
    project.stage(project.push("v1.0.1", commit))
    assert version_rules.resolve(project.root, "production", "v1.0.1")[2] == commit


@pytest.mark.parametrize(
    "version", ["sha-0123456789ab", "v1.0.0-rc.1", "v01.2.3", "v1.2.03", "1.2.3", "main"]
)
def test_production_refuses_versions_that_are_not_stable(project: Project, version: str) -> None:
    project.push(version, project.commit)
    with pytest.raises(SlipwayError, match="stable versions only"):
        version_rules.resolve(project.root, "production", version)


def test_production_requires_the_name_of_a_version(project: Project) -> None:
    with pytest.raises(SlipwayError, match="by name"):
        version_rules.resolve(project.root, "production", None)


def test_production_refuses_a_version_without_a_git_tag(project: Project) -> None:
    project.stage(project.push("v1.0.0", project.commit))
    with pytest.raises(SlipwayError, match="no tag v1.0.0"):
        version_rules.resolve(project.root, "production", "v1.0.0")


@pytest.mark.parametrize("origin", [False, True], ids=["without origin", "with origin"])
def test_production_refuses_a_commit_that_is_not_on_main(
    project: Project, tmp_path: Path, origin: bool
) -> None:
    if origin:  # what is only here does not count
        project.git("remote", "add", "origin", str(tmp_path / "nowhere"))
        project.git("update-ref", "refs/remotes/origin/main", project.commit)
    else:
        project.git("switch", "--quiet", "--create", "aside")
    commit = project.make_commit()
    project.git("tag", "v1.0.0")
    project.stage(project.push("v1.0.0", commit))
    with pytest.raises(SlipwayError, match="is not on"):
        version_rules.resolve(project.root, "production", "v1.0.0")


def test_production_refuses_images_of_another_commit_than_the_tagged_one(
    project: Project,
) -> None:
    old = project.commit
    project.push("main", project.make_commit())
    project.git("tag", "v1.0.0")
    project.stage(project.push("v1.0.0", old))
    with pytest.raises(SlipwayError, match="images of the tagged commit"):
        version_rules.resolve(project.root, "production", "v1.0.0")


def test_production_refuses_images_that_staging_has_not_run(
    project: Project, released: dict[str, str]
) -> None:
    project.staged.clear()
    project.stage(released | {"agents": "sha256:" + 64 * "0"})
    with pytest.raises(SlipwayError, match="staging .* has no record"):
        version_rules.resolve(project.root, "production", "v1.0.0")


def test_staging_uses_the_commit_at_head_if_no_version_is_named(project: Project) -> None:
    tag = f"sha-{project.commit[:12]}"
    digests = project.push(tag, project.commit)
    for version in (None, tag):
        found = version_rules.resolve(project.root, "staging", version)
        assert found == (tag, digests, project.commit)


def test_a_version_needs_images_of_one_commit_for_all_members(project: Project) -> None:
    project.push("v1.0.0", project.commit, "backend")
    with pytest.raises(SlipwayError, match="shop/agents:v1.0.0"):
        version_rules.resolve(project.root, "staging", "v1.0.0")
    project.push("v1.0.0", 40 * "0", "agents")
    with pytest.raises(SlipwayError, match="not those of one commit"):
        version_rules.resolve(project.root, "staging", "v1.0.0")


def test_a_commit_without_changes_has_the_images_of_the_previous_one(project: Project) -> None:
    digests = project.push("main", project.commit)
    second = project.make_commit()
    for name in SERVICES:
        project.registry.seed(f"team/shop/{name}:sha-{second[:12]}", project.commit)
    for version, commit in ((f"sha-{project.commit[:12]}", project.commit), (None, second)):
        found = version_rules.resolve(project.root, "staging", version)
        assert found[1:] == (digests, commit)
    assert version_rules.resolve(project.root, "staging", "main")[1:] == (digests, second)
    project.git("tag", "v1.0.0")
    project.push("v1.0.0", project.commit)
    project.stage(digests)
    assert version_rules.resolve(project.root, "production", "v1.0.0")[1:] == (digests, second)


def test_nothing_is_deployed_to_development(project: Project) -> None:
    with pytest.raises(SlipwayError, match="inv up"):
        version_rules.resolve(project.root, "development", None)
