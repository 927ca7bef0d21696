"""The variables of a service without a Settings class are those that compose gives to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway_ops.environments import composed_variables
from slipway_ops.errors import SlipwayError
from slipway_ops.project import Member

BASE = """\
services:
  api:
    image: ${IMAGES:?given}api@${DIGEST_API:?given}
    scale: ${REPLICAS_API:-1}
    environment:
      VERSION: ${APP_VERSION:?given}
      TOKEN: ${API_TOKEN:?the token of the mail server}
      LEVEL: ${API_LEVEL:-info}
      PASSED_ON:
      FIXED: "yes"
    volumes: ["${API_FILES-/srv/files}:/files"]
  other: { environment: { X: "${OTHER_X:?not ours}" } }
"""
STAGING = "services: { api: { environment: { MAIL: '${API_MAIL:?the mail server}' } } }\n"


@pytest.fixture
def api(tmp_path: Path) -> Member:
    """A member with compose files for it."""
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy/compose.yaml").write_text(BASE, encoding="utf-8")
    (tmp_path / "deploy/compose.staging.yaml").write_text(STAGING, encoding="utf-8")
    return Member("api", tmp_path / "api", "service", tmp_path)


def test_variables_are_those_of_the_service_except_what_a_deployment_gives(api: Member) -> None:
    found = {v.name: v for v in composed_variables.variables(api.root, api)}
    assert set(found) == {"API_TOKEN", "API_LEVEL", "PASSED_ON", "API_FILES", "API_MAIL"}
    assert found["API_TOKEN"].meaning == "the token of the mail server"
    assert found["API_TOKEN"].secret and not found["API_LEVEL"].secret
    assert found["API_LEVEL"].default == "info" and found["API_FILES"].default == "/srv/files"


def test_a_variable_is_required_where_compose_does_not_start_without_it(api: Member) -> None:
    found = {v.name: v for v in composed_variables.variables(api.root, api)}
    needed = {
        environment: {name for name, v in found.items() if v.needed(environment)}
        for environment in ("development", "staging")
    }
    assert needed == {"development": {"API_TOKEN"}, "staging": {"API_TOKEN", "API_MAIL"}}


def test_a_list_of_variables_is_read_too(api: Member) -> None:
    text = "services: { api: { environment: [PASSED_ON, 'A=${B:?b}'] } }\n"
    (api.root / "deploy/compose.yaml").write_text(text, encoding="utf-8")
    (api.root / "deploy/compose.staging.yaml").unlink()
    assert {v.name for v in composed_variables.variables(api.root, api)} == {"PASSED_ON", "B"}


def test_a_file_that_is_no_compose_file_is_named(api: Member) -> None:
    (api.root / "deploy/compose.yaml").write_text("services: [", encoding="utf-8")
    with pytest.raises(SlipwayError, match=r"compose\.yaml"):
        composed_variables.variables(api.root, api)
