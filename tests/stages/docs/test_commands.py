"""Tests run every command in a block of the guides: these tests, or others that are listed here.

docs/adopt.md has its own test, tests/stages/adoption/test_guide.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from doubles import Services, advisory_services
from support import REPOSITORY, Project, clean_environment, copy, run

pytestmark = [pytest.mark.xdist_group("docs"), pytest.mark.timeout(900)]

STORY = "tests/stages/life/test_story.py::test_the_life_of_a_project"
DEPLOYED = (
    "tests/engine/containers/test_deploy.py::test_the_same_digest_runs_in_staging_and_production"
)
BUILT = (
    "tests/engine/containers/test_deploy.py::"
    "test_development_is_built_here_and_a_task_survives_a_killed_agent"
)
LOST = (
    "tests/engine/containers/test_lost_host.py::"
    "test_the_steps_of_the_document_restore_the_data_on_a_new_host"
)
COMPLETED = (
    "tests/stages/operations/test_completion.py::"
    "test_the_tab_key_completes_tasks_words_and_flags"
)
OBSERVED = "tests/engine/observability/test_stack.py::test_prometheus_finds_every_replica"
STAGES = (
    "tests/render/rendering/test_stages_of_sets.py::"
    "test_all_stages_are_green_and_add_only_the_lock_to_the_tree"
)
GUIDE = "tests/stages/adoption/test_guide.py::test_every_command_of_the_guide_does_what_it_says"
# Commands that other tests run, because they need a container engine, or all stages.
ELSEWHERE = {
    "uv run nox -s setup": STORY,
    "nox -s setup": "tests/stages/test_hooks.py::"
    "test_the_hooks_of_this_repository_are_green_and_catch_faults",
    "nox": STAGES,
    "nox -s lint test": STAGES,
    'nox -s "lint(repo)"': STORY,
    "nox -s lint test scan": STORY,
    "inv add api billing": STORY,
    "nox -t money": STORY,
    "inv dev": "tests/engine/dev/test_product.py::"
    "test_a_question_is_answered_in_the_browser_and_is_still_there_after_a_restart",
    "inv env.init development && inv env.use development": BUILT,
    "inv up": BUILT,
    "inv status": DEPLOYED,
    "inv down": BUILT,
    "inv up --observability": OBSERVED,
    "inv env.check staging": "tests/stages/environments/test_environments.py::"
    "test_an_environment_can_be_made_filled_in_checked_used_and_compared",
    "inv image.push": DEPLOYED,
    "inv deploy staging": DEPLOYED,
    "inv status staging": DEPLOYED,
    "inv db.backup production": LOST,
    "inv db.verify production": LOST,
    "inv db.list production": LOST,
    "inv db.restore production": LOST,
    "uv add --no-sync --group dev 'slipway-ops[backups]'": LOST,
    "age-keygen --output ~/backups.key": LOST,
    "source <(inv --print-completion-script bash)": COMPLETED,
    "source <(inv --print-completion-script zsh)": COMPLETED,
    "inv --print-completion-script fish | source": COMPLETED,
    "inv protect": "tests/unit/github/test_protect.py::"
    "test_a_new_repository_gets_all_rules_and_a_second_run_writes_nothing",
    "inv upgrade": "tests/stages/operations/test_upgrade.py::"
    "test_an_upgrade_writes_both_locks_within_their_ranges",
    "BASELINE=record nox -s lint scan test": "tests/stages/test_baseline.py::"
    "test_known_findings_are_green_and_then_the_session_is_skipped",
}
# Programs that act on GitHub, with an account.
ON_GITHUB = re.compile(r"gh (variable|secret|pr) ")


def commands(page: Path) -> list[str]:
    """The commands in the blocks of a page, without their comments."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = (
        re.sub(r"\s+# .*", "", line).strip() for block in blocks for line in block.splitlines()
    )
    return [line for line in lines if line and line != ". .venv/bin/activate"]


class Reader:
    """Somebody who types what a page says, in a project."""

    def __init__(self, project: Project, services: Services) -> None:
        self.project, self.services = project, services
        self.typed: list[str] = []

    def type(self, command: str, status: int = 0) -> str:
        """Types a command, which must end with this status; returns its output."""
        env = clean_environment(**self.services.environment)
        done = run("bash", "-c", command, cwd=self.project.path, env=env)
        assert done.returncode == status, f"{command}\n{done.stdout[-6000:]}"
        self.typed.append(command)
        return done.stdout

    def named(self, command: str) -> str:
        """A command in which names replace NAME and LIBRARY."""
        return command.replace("NAME", "pilots").replace("LIBRARY", "money")

    def read(self, page: Path, before: Mapping[str, Callable[[], object]] | None = None) -> None:
        """Types every command of a page that no other test does; edits before some of them."""
        for command in map(self.named, commands(page)):
            if before and (edit := before.get(command)):
                edit()
            if command not in ELSEWHERE and not ON_GITHUB.match(command):
                self.type(command)


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    """Advisory services that answer and know no vulnerability of the locked versions."""
    with advisory_services() as running:
        yield running


@pytest.fixture
def reader(installed: Project, services: Services) -> Reader:
    """A reader in the default project."""
    return Reader(installed, services)


@pytest.fixture
def docs(rendered: Project) -> Path:
    """The guides of a project."""
    return rendered.path / "docs"


def test_every_block_of_a_page_has_a_test(rendered: Project) -> None:
    read = {"start.md", "adopt.md", "baseline.md", "troubleshooting.md"}
    for page in (REPOSITORY / "docs").glob("*.md"):
        assert not commands(page) or page.name in read, page.name
    read = {"stages.md", "members.md", "environments.md", "observability.md", "CONTRIBUTING.md"}
    read |= {"example.md", "update.md"}
    for page in (rendered.path / "docs").glob("*.md"):
        assert not commands(page) or page.name in read, page.name
    # A block without a language, or in another shell, would be passed over.
    for page in (*(REPOSITORY / "docs").glob("*.md"), *(rendered.path / "docs").glob("*.md")):
        opened = re.findall(r"^```(\w*)$", page.read_text(encoding="utf-8"), re.MULTILINE)[::2]
        known = {"sh", "toml", "yaml", "json", "python", "text", "mermaid"}
        assert set(opened) <= known, page.name


@pytest.mark.parametrize("place", sorted(set(ELSEWHERE.values())))
def test_the_tests_that_run_the_other_commands_exist(place: str) -> None:
    file, _, name = place.partition("::")
    assert f"def {name}" in (REPOSITORY / file).read_text(encoding="utf-8")


def test_the_start_guide(reader: Reader, template: Path, tmp_path: Path) -> None:
    page = REPOSITORY / "docs/start.md"
    [made, entered, *rest] = commands(page)
    source = f"--defaults --vcs-ref=HEAD {template}"
    run("bash", "-c", made.replace("gh:OWNER/slipway", source), cwd=tmp_path)
    assert (tmp_path / "shop/noxfile.py").exists() and entered == "cd shop"
    started = rest.index('git add --all && git commit --message "feat: start from the template"')
    reader.project.write("notes.txt", "Ours.\n")
    reader.type(f"{rest[0]} && {rest[started]}")

    route = re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    app, tests = "services/backend/src/backend/app.py", "services/backend/tests/test_service.py"
    above = '    @app.get("/questions")\n'
    reader.project.replace(app, above, f"{route[0]}\n{above}")
    failing, passing, *after = [line for line in rest[started + 1 :] if line not in ELSEWHERE]
    assert "/hello" in reader.type(failing, status=1)
    listed = '        "/questions",\n'
    reader.project.replace(tests, listed, f'        "/hello",\n{listed}')
    for command in (passing, after[0]):
        reader.type(command)
    assert reader.project.git("log", "-1", "--format=%s").strip() == "feat: a greeting"


def test_the_guides_to_stages_and_members(reader: Reader, docs: Path) -> None:
    reader.read(docs / "stages.md")
    pilots = reader.project.path / "services/pilots"
    uses = {"git rm -r --quiet services/pilots": lambda: reader.project.commit("feat: pilots")}
    reader.read(docs / "members.md", uses)
    assert "uv init --package services/pilots" in reader.typed and not pilots.exists()
    assert not (reader.project.path / "libs/money").exists()


def test_the_guides_to_environments_and_troubleshooting(reader: Reader, docs: Path) -> None:
    reader.read(REPOSITORY / "docs/troubleshooting.md")
    reader.type("rm .env.development")
    reader.read(docs / "environments.md")
    assert (reader.project.path / ".env.staging").exists()
    reader.read(docs / "observability.md")
    reader.read(REPOSITORY / "docs/baseline.md")


def test_the_contributing_guide(reader: Reader, docs: Path, tmp_path: Path) -> None:
    reader.type(f"git init --quiet --bare {tmp_path}/origin.git")
    reader.type(f"git remote remove origin; git remote add origin {tmp_path}/origin.git")
    reader.read(docs / "CONTRIBUTING.md")
    assert reader.project.git("ls-remote", "--heads", "origin", "feat/refunds")


def test_the_guide_to_deleting_the_example(reader: Reader, docs: Path) -> None:
    reader.read(docs / "example.md")
    kept = {file.partition("/")[0] for file in reader.project.git("ls-files").splitlines()}
    assert not kept & {"apps", "services", "libs"}


def test_the_update_guide_with_a_conflict(
    template: Path, services: Services, docs: Path, tmp_path: Path
) -> None:
    source, shop = Project(tmp_path / "template"), Project(tmp_path / "shop")
    run("git", "clone", "--quiet", template, source.path, cwd=tmp_path)
    assert copy(source.path, shop.path).returncode == 0
    shop.git("init", "--quiet", "--initial-branch", "main")
    shop.replace("README.md", "## Start", "## Begin")
    shop.commit("feat: our shop")
    source.replace("template/README.md.jinja", "## Start", "## First steps")
    source.write("template/docs/news.md", "# News\n")
    source.commit("feat: news")

    reader = Reader(shop, services)
    for command in commands(docs / "update.md"):
        if command not in ELSEWHERE:
            said = reader.type(command, status=2 if command == "git diff --check" else 0)
        if command == "git diff --check":
            assert "README.md" in said and "<<<<<<< before updating" in (
                shop.path / "README.md"
            ).read_text(encoding="utf-8")
    assert "## Begin" in (shop.path / "README.md").read_text(encoding="utf-8")
    assert (shop.path / "docs/news.md").exists()
    assert shop.git("log", "-1", "--format=%s").strip() == "chore: the newest template"
