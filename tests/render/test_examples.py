"""The example answers render, and the example repository follows the template."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from support import BIN, REPOSITORY, Project, run

ANSWERS = sorted((REPOSITORY / "examples").glob("*.yml"))


@pytest.mark.parametrize("file", ANSWERS, ids=lambda file: str(file.stem))
def test_a_file_of_answers_gives_a_project_with_these_answers(
    template: Path, tmp_path: Path, file: Path
) -> None:
    shop = Project(tmp_path / "shop")
    words = ("copy", "--defaults", "--vcs-ref=HEAD", "--data-file", file, template, shop.path)
    done = run(BIN / "copier", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    given = yaml.safe_load(file.read_text(encoding="utf-8"))
    kept = yaml.safe_load((shop.path / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert given.items() <= kept.items()
    folders = {
        *(f"services/{name}" for name in (*kept["apis"], *kept["workers"])),
        *(f"apps/{name}" for name in kept["apps"]),
        *(f"libs/{name}" for name in kept["libraries"]),
    }
    found = {f"{path.parent.name}/{path.name}" for path in shop.path.glob("[sal][eip][rpb]*/*")}
    assert found - {"libs/runtime", "libs/.gitkeep"} == folders


def test_the_default_answers_are_those_of_copier(template: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, words in ((first, ()), (second, ("--data-file", str(ANSWERS[1])))):
        command = ("--defaults", "--vcs-ref=HEAD", *words, template, folder)
        assert run(BIN / "copier", "copy", *command, cwd=tmp_path).returncode == 0
    assert ANSWERS[1].stem == "default"
    answers = [(folder / ".copier-answers.yml").read_text("utf-8") for folder in (first, second)]
    assert answers[0].replace("First", "Shop") == answers[1]


def test_the_readme_of_the_examples_names_each_file() -> None:
    text = (REPOSITORY / "examples/README.md").read_text(encoding="utf-8")
    assert all(f"`{file.name}`" in text for file in ANSWERS)


def test_the_example_repository_follows_the_template(template: Path, tmp_path: Path) -> None:
    source, remote = Project(tmp_path / "template"), tmp_path / "example.git"
    run("git", "clone", "--quiet", template, source.path, cwd=tmp_path)
    run("git", "init", "--quiet", "--bare", "--initial-branch", "main", remote, cwd=tmp_path)
    command = (BIN / "inv", "example", str(remote), "--template", str(source.path))

    def push() -> list[str]:
        """Runs the task; returns the titles of the commits in the example repository."""
        done = source.run(*command)
        assert done.returncode == 0, done.stdout
        return run("git", "log", "--format=%s", "main", cwd=remote).stdout.splitlines()

    [first] = push()
    assert first.startswith("chore: Slipway ")
    assert push() == [first], "nothing has changed"
    run("git", "-C", source.path, "mv", "template/audit.toml", "template/other.toml", cwd=tmp_path)
    source.commit("feat: another file")
    assert len(push()) == 2
    files = run("git", "ls-tree", "--name-only", "main", cwd=remote).stdout.split()
    assert {"other.toml", "uv.lock", "noxfile.py"} <= set(files) and "audit.toml" not in files
