"""`inv env.*` and the contract, in a rendered project with installed services."""

from __future__ import annotations

import stat

import pytest

from slipway_ops.checks import contract_check
from slipway_ops.environments import contract_files, environment_check, environment_files
from support import BIN, Project

pytestmark = pytest.mark.xdist_group("environments")  # one .venv for all

SETTINGS = "services/backend/src/backend/settings.py"


def inv(project: Project, *words: str, status: int = 0, **env: str) -> str:
    """`inv …` with that exit status, and without a traceback; returns the output."""
    done = project.run(BIN / "inv", *words, timeout=120, **env)
    assert done.returncode == status, done.stdout
    assert "Traceback" not in done.stdout, done.stdout
    return done.stdout


def values(project: Project, name: str) -> dict[str, str]:
    """The values in the file of an environment."""
    lines = (project.path / f".env.{name}").read_text(encoding="utf-8").splitlines()
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    return {key: value for key, _, value in pairs}


def edit(project: Project, name: str, **changed: str | None) -> None:
    """Changes the file of an environment; None removes a variable."""
    found = {k: v for k, v in (values(project, name) | changed).items() if v is not None}
    file = project.path / f".env.{name}"
    file.write_text("".join(f"{key}={value}\n" for key, value in found.items()), encoding="utf-8")


def test_an_environment_can_be_made_filled_in_checked_used_and_compared(installed: Project) -> None:
    assert "inv env.init staging" in inv(installed, "env.list")
    assert "No environment is active" in inv(installed, "env.current", status=1)
    said = inv(installed, "env.init", "development")
    assert "Fill in" not in said
    file = installed.path / ".env.development"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert installed.git("status", "--porcelain") == "", "git sees the file"

    said = inv(installed, "env.init", "staging")
    assert "AGENTS_LLM_URL: Base URL" in said and "AGENTS_LLM_MODEL: Name" in said
    said = inv(installed, "env.use", "staging", status=1)
    assert "AGENTS_LLM_URL (agents) is empty. Base URL of an OpenAI" in said
    assert "so it was not made active: 2 to fix" in said
    assert "staging does not meet the contract: 2 to" in inv(
        installed, "env.check", "staging", status=1
    )
    url = "https://app:hunter2@llm.example/v1"
    edit(installed, "staging", AGENTS_LLM_URL=url, AGENTS_LLM_MODEL="large")
    assert inv(installed, "env.check", "staging") == "staging meets the contract.\n"

    assert inv(installed, "env.use", "development").startswith("development is active")
    assert inv(installed, "env.use", "staging").startswith("staging is active")
    assert inv(installed, "env.current") == "staging\n"
    assert "* staging      active" in inv(installed, "env.list")

    secrets = [values(installed, name)["DATABASE_PASSWORD"] for name in ("development", "staging")]
    assert len(set(secrets)) == 2 and all(len(secret) >= 32 for secret in secrets)
    seen = inv(installed, "env.show") + inv(installed, "env.diff", "development", "staging")
    assert "AGENTS_LLM_MODEL=large" in seen
    assert "DATABASE_PASSWORD: differs" in seen
    assert "AGENTS_LLM_URL=https://********@llm.example/v1" in seen and "hunter2" not in seen
    assert "BACKEND_DATABASE_URL=postgresql://********@database:5432/********" in seen
    assert not any(secret in seen for secret in secrets)
    assert "LOG_LEVEL" not in seen
    (installed.path / ".env.staging").chmod(0o644)
    said = inv(installed, "up", "staging", status=1)
    assert "do not meet the contract" in said and "chmod 600" in said


DEFAULT = "postgresql://postgres@localhost:5432/postgres"
# Errors in one file: {variable: (its value, the message after its name)}.
BREACHES: list[dict[str, tuple[str | None, str]]] = [
    {
        "BACKEND_DATABASE_URL": (None, " (backend) is missing. PostgreSQL"),
        "DATABASE_PASSWORD": ("", " (deployment) is empty. Password"),
        "PUBLISH_FRONTEND": ("70000", " must be an integer, 1 to 65535. Port"),
        "BACKEND_LOG_LEVLE": ("hunter2", " is unknown"),
        "ANYTHING": ("hunter2", " is unknown"),
        "BACKEND_ENVIRONMENT": ("staging", " (backend) is set by"),
        "STAGING_DOCKER_HOST": ("ssh://a", " is only for production"),
        "BACKEND_LOG_LEVEL": ("hunter2", ": Input should be 'DEBUG'"),
        "AGENTS_CONCURRENCY": ("hunter2", ": Input should be a valid integer"),
        "AGENTS_DATABASE_URL": ("hunter2", ": Write it as postgresql://"),
        "REPLICAS_AGENTS": ("0", " must be an integer, 1 to 100. How many"),
        "OBSERVABILITY": ("hunter2", " is not true or false. Whether"),
        "LOGS_TO": ("hunter2", " is not datadog or elasticsearch. Where"),
        "ALERTS_URL": ("hunter2", " must be a web address: write it like https://"),
        "PUBLIC_URLS": ("https://a.example hunter2'", " must be web addresses: write"),
        "DOCKER_HOST": ("hunter2", " is not an engine"),
        "AGENTS_LLM_API_KEY": ("hunter2é", ": Use only ASCII letters"),
    },
    {
        "BACKEND_DATABASE_URL": ("", " (backend) is empty. PostgreSQL"),
        "DATABASE_PASSWORD": ("hunter2/@:", " may only have letters"),
        "AGENTS_DATABASE_URL": (DEFAULT, " still has its development"),
        "AGENTS_LLM_MODEL": (None, " (agents) is missing. Name"),
        "LOGS_KEY": ('"hunter2==\\n"', " cannot be sent in a header: use only ASCII"),
    },
    {
        "AGENTS_CONCURRENCY": ("101", ": Input should be less than"),
        "AGENTS_LLM_API_KEY": ('"hunter2\\nx"', ": Use only ASCII letters"),
        "LOGS_KEY": ("hunter2é==", " cannot be sent in a header: use only ASCII"),
    },
]


def test_every_error_in_a_file_is_named_once_and_no_value_is_shown(installed: Project) -> None:
    environment_files.initialize(installed.path, "staging")
    edit(installed, "staging", AGENTS_LLM_URL="https://llm.example/v1", AGENTS_LLM_MODEL="large")
    edit(installed, "staging", LOGS_KEY="VnVhQ2ZHY0JDZGJrUW0==")  # base64, as Elastic's keys
    assert environment_check.findings(installed.path, "staging", {}) == []
    kept = dict(values(installed, "staging"))
    for planted in BREACHES:
        changed = {name: value for name, (value, _) in planted.items()}
        edit(
            installed,
            "staging",
            **{**dict.fromkeys(values(installed, "staging")), **kept, **changed},
        )
        found = environment_check.findings(installed.path, "staging", {})
        for name, (_, finding) in planted.items():
            assert any(f"{name}{finding}" in each for each in found), f"{name}: {found}"
        assert len(found) == len(planted), found
        assert "hunter2" not in "".join(found)


def test_without_a_file_the_values_come_from_the_process(installed: Project) -> None:
    url = "postgresql://app:pw@database:5432/app"
    given = {f"{name}_DATABASE_URL": url for name in ("AGENTS", "BACKEND", "RUNTIME")}
    given |= {"AGENTS_LLM_URL": "https://llm.example/v1", "AGENTS_LLM_MODEL": "large"}
    given |= {"DATABASE_PASSWORD": "pw", "PUBLISH_FRONTEND": "8080", "HOME": "/root"}
    assert environment_check.findings(installed.path, "staging", given) == []


def test_files_that_disagree_with_the_settings_are_found(installed: Project) -> None:
    assert list(contract_check.findings(installed.path)) == []
    field = "    queue: str = Field("
    more = '    tone: str = Field(description="How it answers.")\n' + field
    installed.replace(SETTINGS, field, more)
    installed.write(
        ".github/workflows/x.yml", "env:\n  AGENTS_LLM_MODLE: x\n  AGENTS_LLM_MODEL: x\n"
    )
    installed.replace(
        "deploy/compose.yaml", "      AGENTS_LLM_TIMEOUT:\n", "      AGENTS_LLM_TIMEOT:\n"
    )
    installed.replace("deploy/compose.staging.yaml", "${AGENTS_LLM_URL:?", "${AGENTS_LLM_URL:-")
    readers = [
        "import os\nX = os.environ['A']\n",
        "import os as o\nX = o.getenv('A')\n",
        "from os import environ\n",
        "from os import getenv as g\n",
    ]
    for number, text in enumerate(readers):
        installed.write(f"services/backend/src/backend/reader{number}.py", text)
    said = "\n".join(map(str, contract_check.findings(installed.path)))
    for finding in (
        ".env.example: ",
        "docs/environments.md: ",
        "BACKEND_TONE: ${BACKEND_TONE:?How it answers.}",
        "deploy/compose.yaml, service agents: AGENTS_LLM_TIMEOUT is missing",
        "deploy/compose.yaml, service agents: AGENTS_LLM_TIMEOT ",
        "AGENTS_LLM_URL is required in staging",
        ".github/workflows/x.yml:2: ",
        "services/backend/src/backend/reader0.py:2: ",
        "services/backend/src/backend/reader1.py:2: ",
        "services/backend/src/backend/reader2.py:1: ",
        "services/backend/src/backend/reader3.py:1: ",
    ):
        assert finding in said, f"{finding}\n{said}"
    assert ".github/workflows/x.yml:3" not in said
    assert contract_files.write(installed.path) == [".env.example", "docs/environments.md"]
    example = (installed.path / ".env.example").read_text(encoding="utf-8")
    assert "# How it answers. Required.\nBACKEND_TONE=\n" in example
    said = "\n".join(map(str, contract_check.findings(installed.path)))
    assert "AGENTS_LLM_TIMEOT" in said and ".env.example" not in said


def test_settings_that_cannot_be_imported_are_named(installed: Project) -> None:
    installed.write(SETTINGS, "import nowhere\n")
    said = inv(installed, "env.check", "development", status=1)
    assert "No module named 'nowhere'" in said and "nox -s setup" in said
