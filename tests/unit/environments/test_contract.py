"""The contract comes from Settings classes and members, and files are generated from it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, HttpUrl, SecretStr

from slipway_ops.environments import contract_files, deployment_variables, settings_probe
from slipway_ops.environments.variable import Variable
from slipway_ops.errors import SlipwayError
from slipway_ops.images import bake
from slipway_ops.project import Member


class Settings(BaseModel):
    """A Settings class as those of services are, without their runtime."""

    port: int = Field(default=8000, ge=1, le=65535, description="Where\n it listens.")
    mode: Literal["fast", "slow"] = Field(description="How.")
    workers: int | None = Field(default=None, ge=1, description="How many.")
    address: HttpUrl | None = Field(
        default=None, description="Who.", json_schema_extra={"required_outside_development": True}
    )
    database_url: SecretStr = Field(default=SecretStr("x"), description="Which.")
    tags: list[str] = Field(default=[], description="What.")

    @staticmethod
    def variable(field: str) -> str:
        """The variable of a field."""
        return f"API_{field}".upper()

    @classmethod
    def load(cls) -> None:
        """Refuses everything, with the message of the runtime."""
        lines = ["API_MODE: Take fast or slow.", "API_PORT and API_MODE differ.", "All is wrong."]
        assert os.environ == {"API_ENVIRONMENT": "staging", "APP_VERSION": "0.0.0", "API_PORT": "1"}
        raise ValueError("\n".join([*lines, "Correct the environment and start again."]))


def test_a_settings_class_describes_each_variable() -> None:
    found = [Variable(**each) for each in settings_probe.declared("api", Settings)]
    assert {v.name: (v.type, v.default) for v in found} == {
        "API_PORT": ("integer, 1 to 65535", "8000"),
        "API_MODE": ("fast or slow", ""),
        "API_WORKERS": ("integer, at least 1", ""),
        "API_ADDRESS": ("URL", ""),
        "API_DATABASE_URL": ("text", ""),
        "API_TAGS": ("JSON list", "[]"),
    }
    by_name = {v.name: v for v in found}
    assert [v.name for v in found if v.required] == ["API_MODE", "API_DATABASE_URL"]
    assert by_name["API_ADDRESS"].needed("staging")
    assert not by_name["API_ADDRESS"].needed("development")
    assert by_name["API_DATABASE_URL"].secret and not by_name["API_MODE"].secret
    assert by_name["API_PORT"].given and by_name["API_PORT"].meaning == "Where it listens."


def test_errors_of_a_settings_class_name_its_variables() -> None:
    before = dict(os.environ)
    try:
        found = settings_probe.refused("api", Settings, "staging", {"API_PORT": "1"})
    finally:
        os.environ.clear()
        os.environ.update(before)
    assert found == [
        {"text": "api: API_MODE: Take fast or slow.", "variables": ["API_MODE"]},
        {"text": "api: API_PORT and API_MODE differ.", "variables": ["API_MODE", "API_PORT"]},
        {"text": "api: All is wrong.", "variables": []},
    ]


def deployed(monkeypatch: pytest.MonkeyPatch, *kinds: str) -> dict[str, Variable]:
    """The deployment's variables of a project with one image of each kind."""
    images = [Member(kind, Path(kind), kind, Path()) for kind in kinds]
    monkeypatch.setattr(bake, "images", lambda root: images)
    return {variable.name: variable for variable in deployment_variables.variables(Path())}


def test_published_members_have_a_port_and_all_members_have_replicas(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ours(found: dict[str, Any]) -> list[str]:
        return [name for name in found if name.startswith(("PUBLISH", "REPLICAS"))]

    found = deployed(monkeypatch, "api", "app", "worker")
    assert ours(found) == ["PUBLISH_APP", "REPLICAS_API", "REPLICAS_APP", "REPLICAS_WORKER"]
    assert found["PUBLISH_APP"].needed("staging") and not found["PUBLISH_APP"].needed("development")
    found = deployed(monkeypatch, "api", "worker")
    assert ours(found) == ["PUBLISH_API", "REPLICAS_API", "REPLICAS_WORKER"]
    assert "DATABASE_PASSWORD" in found
    assert "DATABASE_PASSWORD" not in deployed(monkeypatch, "app")
    assert set(deployed(monkeypatch)) == {"DOCKER_HOST", "REGISTRY", "STAGING_DOCKER_HOST"}


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("PUBLISH_APP", ["1", "65535"], ["0", "65536", "-1", "١", "x", "1 "]),
        ("REPLICAS_API", ["1", "100"], ["0", "101"]),
        ("OBSERVABILITY", ["true", "false"], ["yes", "True"]),
        ("LOGS_TO", ["datadog", "elasticsearch"], ["loki", ""]),
        ("DOCKER_HOST", ["ssh://deploy@a.example", "unix:///x"], ["a.example", "http://a"]),
        ("ALERTS_URL", ["https://a.example/b?c=d"], ["a.example", "https://a.example'", "$(x)"]),
        (
            "PUBLIC_URLS",
            ["https://a.example", "https://a.example https://b.example"],
            ["https://a.example b.example", "https://a.example  https://b.example"],
        ),
        ("LOGS_KEY", ["VnVhQ2ZHY0JDZGJrUW0=="], ["a b", "é", "a\n"]),
        ("DATABASE_PASSWORD", ["aB3-_.~"], ["a/b", "a@b", "a:b"]),
        ("DATABASE_IMAGE", ["postgres:17@sha256:0123"], []),
    ],
)
def test_a_variable_of_the_deployment_accepts_only_valid_values(
    name: str, good: list[str], bad: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    format = deployed(monkeypatch, "api", "app")[name].format
    assert format
    assert [value for value in good if not format.accepts(value)] == []
    assert [value for value in bad if format.accepts(value)] == []


SHOWN = [
    Variable("A_KEY", "a", "text", "Signs | checks.", secret=True, required=True),
    Variable("A_SIZE", "a", "integer", "How big.", default="4", only="production"),
    Variable("A_PORT", "a", "integer", "Given.", given=True),
    Variable("A_URL", "b", "URL", "Where.", required_outside_development=True),
]


def test_the_example_has_every_variable_that_a_file_may_have() -> None:
    text = contract_files.example(SHOWN)
    assert "# Signs | checks. Secret. Required.\nA_KEY=\n" in text
    assert "# How big. For production only.\n# A_SIZE=4\n" in text
    assert "# Where. Required outside development.\n# A_URL=\n" in text
    assert "A_PORT" not in text and text.index("# --- a") < text.index("# --- b")


def test_the_table_replaces_the_text_between_its_marks(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    docs = tmp_path / "docs/environments.md"
    docs.write_text("Before\n<!-- contract -->\nstale\n<!-- end of contract -->\nAfter\n")
    text = contract_files.generated(tmp_path, [*SHOWN, SHOWN[0]])["docs/environments.md"]
    assert text.startswith("Before\n") and text.endswith("\nAfter\n") and "stale" not in text
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert rows == [
        "| `A_KEY` | text, secret | required | Signs \\| checks. |",
        "| `A_SIZE` | integer | `4` | How big. For production only. |",
        "| `A_PORT` | integer | given | Given. |",
        "| `A_URL` | URL | required outside development | Where. |",
    ]
    docs.write_text("Nothing\n")
    with pytest.raises(SlipwayError, match="needs the lines"):
        contract_files.generated(tmp_path, SHOWN)
