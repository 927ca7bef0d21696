"""A member without code is an error in every stage, never a green result."""

from __future__ import annotations

import pytest
from stages.cache.stage import Stage

from slipway_ops.cache import cache_key
from support import Project, recipe

MANIFEST = '[project]\nname = "{}"\nversion = "0"\nrequires-python = ">=3.11"\n'
FILES = {
    "pyproject.toml": '[tool.slipway]\nrecipe = 2\nslug = "shop"\npython = "3.13"\n',
    # It has only documents.
    "services/papers/pyproject.toml": MANIFEST.format("papers"),
    "services/papers/papers/README.md": "Nothing yet.\n",
    # Its src/ is empty.
    "libs/empty/pyproject.toml": MANIFEST.format("empty"),
    "libs/empty/src/README.md": "Nothing yet.\n",
    # It has tools and their configuration, but no code.
    "apps/bare/package.json": '{"name": "bare"}\n',
    "apps/bare/vite.config.ts": "export default {};\n",
    "apps/bare/node_modules/other/index.js": "1;\n",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The template's stages, with members that need no installed tools."""
    made = Project(tmp_path_factory.mktemp("sources") / "shop")
    for name, text in FILES.items():
        made.write(name, text)
    made.write("noxfile.py", recipe())
    return made


def test_every_stage_of_a_member_without_code_fails_and_says_where_it_looked(
    project: Project,
) -> None:
    looked = {"papers": "services/papers", "empty": "libs/empty", "bare": "apps/bare"}
    sessions = [f"{stage}({name})" for name in looked for stage in cache_key.STAGES]
    output = project.red("-s", *sessions, RESULTS="off")
    assert Stage.results(output).keys() == set(sessions)
    assert not {"success", "skipped"}.intersection(Stage.results(output).values()), output
    for name, place in looked.items():
        lines = [line for line in output.splitlines() if f"{name} has no code" in line]
        said = [line for line in lines if f" in {place}. " in line]
        assert len(said) >= len(cache_key.STAGES), output


def test_a_member_without_code_fails_with_arguments_after_the_dashes_too(project: Project) -> None:
    output = project.red("-s", "lint(papers)", "--", "services/papers", RESULTS="off")
    assert "papers has no code" in output
