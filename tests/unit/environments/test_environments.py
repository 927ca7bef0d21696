"""`inv env.*` and the contract, in one rendered project whose services are installed."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slipway_ops.environments import environment_files
from support import REPOSITORY, Project

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("bench")]  # one .venv for all

NAMES = ("development", "staging", "production")
SETTINGS = "services/backend/src/backend/settings.py"


@pytest.fixture
def shop(bench: Project) -> Iterator[Project]:
    """The default project with its .venv, without environments."""
    if not (bench.path / ".venv" / "bin" / "inv").exists():
        bench.green("-s", "setup")
    forget(bench)
    yield bench
    forget(bench)


def forget(project: Project) -> None:
    """Removes every environment."""
    for name in (".env", *(f".env.{name}" for name in NAMES)):
        (project.path / name).unlink(missing_ok=True)


def inv(project: Project, *words: str, status: int = 0, **env: str) -> str:
    """`inv …` with that exit status, and without a traceback; returns the output."""
    done = project.run(project.path / ".venv" / "bin" / "inv", *words, timeout=120, **env)
    assert done.returncode == status, done.stdout
    assert "Traceback" not in done.stdout, done.stdout
    return done.stdout


def values(project: Project, name: str) -> dict[str, str]:
    """What the file of an environment sets."""
    lines = (project.path / f".env.{name}").read_text(encoding="utf-8").splitlines()
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    return {key: value for key, _, value in pairs}


def edit(project: Project, name: str, **changed: str | None) -> None:
    """Changes the file of an environment; None takes a variable out."""
    found = {k: v for k, v in (values(project, name) | changed).items() if v is not None}
    file = project.path / f".env.{name}"
    file.write_text("".join(f"{key}={value}\n" for key, value in found.items()), encoding="utf-8")


def test_an_environment_is_made_filled_in_checked_used_and_compared(shop: Project) -> None:
    assert "inv env.init staging makes it" in inv(shop, "env.list")
    assert "No environment is active" in inv(shop, "env.current", status=1)
    said = inv(shop, "env.init", "development")
    assert "Fill in" not in said
    file = shop.path / ".env.development"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert shop.git("status", "--porcelain") == "", "git sees the file"
    assert inv(shop, "env.check", "development") == "development meets the contract.\n"
    assert "is there already" in inv(shop, "env.init", "development", status=1)

    said = inv(shop, "env.init", "staging")
    assert "AGENTS_LLM_URL: Base URL" in said and "AGENTS_LLM_MODEL: Name" in said
    said = inv(shop, "env.check", "staging", status=1)
    assert "AGENTS_LLM_URL (agents) is empty. Base URL of an OpenAI" in said
    assert "staging does not meet the contract: 2 to correct." in said
    edit(shop, "staging", AGENTS_LLM_URL="https://llm.example/v1", AGENTS_LLM_MODEL="large")
    assert inv(shop, "env.check", "staging") == "staging meets the contract.\n"

    assert inv(shop, "env.use", "development") == "development is active.\n"
    url = "https://app:hunter2@llm.example/v1"
    edit(shop, "staging", AGENTS_LLM_URL=url)
    assert inv(shop, "env.use", "staging") == "staging is active.\n"
    assert inv(shop, "env.current") == "staging\n"
    assert "* staging      active" in inv(shop, "env.list")

    secrets = [values(shop, name)["DATABASE_PASSWORD"] for name in ("development", "staging")]
    assert len(set(secrets)) == 2 and all(len(secret) >= 32 for secret in secrets)
    seen = inv(shop, "env.show") + inv(shop, "env.diff", "development", "staging")
    assert "AGENTS_LLM_MODEL=large" in seen
    assert "DATABASE_PASSWORD: differs" in seen
    assert "AGENTS_LLM_URL=https://********@llm.example/v1" in seen and "hunter2" not in seen
    assert "BACKEND_DATABASE_URL=postgresql://********@database:5432/********" in seen
    assert not any(secret in seen for secret in secrets)
    assert "LOG_LEVEL" not in seen


def test_every_breach_of_the_contract_is_named_and_no_value_is_shown(shop: Project) -> None:
    inv(shop, "env.init", "staging")
    good: dict[str, str | None] = {
        "AGENTS_LLM_URL": "https://llm.example/v1",
        "AGENTS_LLM_MODEL": "large",
    }
    good["LOGS_KEY"] = "VnVhQ2ZHY0JDZGJrUW0=="  # base64, as Elastic's keys
    edit(shop, "staging", **good)
    inv(shop, "env.check", "staging")
    kept = dict(values(shop, "staging"))
    default = "postgresql://postgres@localhost:5432/postgres"
    breaches: list[dict[str, tuple[str | None, str]]] = [
        {  # all that one file can have at once
            "BACKEND_DATABASE_URL": (None, "(backend) is missing. PostgreSQL"),
            "DATABASE_PASSWORD": (None, "(deployment) is missing. Password"),
            "PUBLISH_FRONTEND": (None, "(deployment) is missing. Port"),
            "BACKEND_LOG_LEVLE": ("hunter2", "is unknown"),
            "ANYTHING": ("hunter2", "is unknown"),
            "BACKEND_ENVIRONMENT": ("staging", "(backend) is given"),
            "STAGING_DOCKER_HOST": ("ssh://a", "is for production only"),
            "BACKEND_LOG_LEVEL": ("hunter2", ": Input should be 'DEBUG'"),
            "AGENTS_CONCURRENCY": ("hunter2", ": Input should be a valid integer"),
            "AGENTS_DATABASE_URL": ("hunter2", ": Write it as postgresql://"),
            "REPLICAS_AGENTS": ("0", "must be an integer, 1 to 100. How many"),
            "OBSERVABILITY": ("hunter2", "is not true or false. Whether"),
            "LOGS_TO": ("hunter2", "is not datadog or elasticsearch. Where"),
            "ALERTS_URL": ("hunter2", "must be a web address: write it like https://"),
            "PUBLIC_URLS": ("https://a.example hunter2'", "must be web addresses: write"),
            "DOCKER_HOST": ("hunter2", "is not an engine"),
        },
        {
            "BACKEND_DATABASE_URL": ("", "(backend) is empty. PostgreSQL"),
            "DATABASE_PASSWORD": ("hunter2/@:", "has characters that URLs"),
            "PUBLISH_FRONTEND": ("hunter2", "must be an integer, 1 to 65535"),
            "AGENTS_DATABASE_URL": (default, "still has its development"),
        },
        {
            "AGENTS_LLM_API_KEY": ("hunter2é", ": Use only ASCII letters"),
            "LOGS_KEY": ("hunter2é==", "cannot be sent in a header: use only ASCII"),
        },
        {
            "AGENTS_LLM_API_KEY": ('"hunter2\\nx"', ": Use only ASCII letters"),
            "LOGS_KEY": ('"hunter2==\\n"', "cannot be sent in a header: use only ASCII"),
        },
        {"AGENTS_CONCURRENCY": ("101", ": Input should be less than")},
    ]
    for planted in breaches:
        changed = {name: value for name, (value, _) in planted.items()}
        edit(shop, "staging", **{**dict.fromkeys(values(shop, "staging")), **kept, **changed})
        found = environment_files.findings(shop.path, "staging", {})
        assert len(found) == len(planted), found
        for name, (_, finding) in planted.items():
            joint = "" if finding.startswith(":") else " "
            assert any(f"{name}{joint}{finding}" in each for each in found), f"{name}: {found}"
        assert "hunter2" not in "".join(found)
    said = inv(shop, "env.check", "staging", status=1)
    assert said.splitlines()[:-1] == found
    assert f"staging does not meet the contract: {len(found)} to correct." in said
    edit(shop, "staging", **{**dict.fromkeys(values(shop, "staging")), **kept})
    (shop.path / ".env.staging").chmod(0o644)
    said = inv(shop, "env.check", "staging", status=1)
    assert "chmod 600 .env.staging" in said
    said = inv(shop, "up", "--environment", "staging", status=1)
    assert "do not meet the contract" in said and "chmod 600" in said


def test_production_must_meet_the_contract_and_asks_for_its_name_or_for_yes(shop: Project) -> None:
    inv(shop, "env.init", "production")
    said = inv(shop, "env.use", "production", "--yes", status=1)
    assert "AGENTS_LLM_URL (agents) is empty" in said and "AGENTS_LLM_MODEL (agents)" in said
    assert "production does not meet the contract, so it was not made active" in said
    assert not (shop.path / ".env").exists()
    edit(shop, "production", AGENTS_LLM_URL="https://llm.example/v1", AGENTS_LLM_MODEL="large")
    said = inv(shop, "env.use", "production", status=1)
    assert "Add --yes if you mean it" in said
    assert not (shop.path / ".env").exists()
    assert inv(shop, "env.use", "production", "--yes") == "production is active.\n"
    for command in ("up", "down", "rollback"):
        assert "Add --yes" in inv(shop, command, status=1)


def test_a_file_env_of_its_own_is_not_lost(shop: Project) -> None:
    inv(shop, "env.init", "development")
    shop.write(".env", "BACKEND_QUEUE=mine\n")
    said = inv(shop, "env.use", "development", status=1)
    assert "mv .env .env.mine" in said
    assert (shop.path / ".env").read_text(encoding="utf-8") == "BACKEND_QUEUE=mine\n"
    assert "inv env.init staging" in inv(shop, "env.use", "staging", status=1)
    assert "There is no environment 'stagign'" in inv(shop, "env.use", "stagign", status=1)


def test_without_a_file_the_values_are_those_of_the_process(shop: Project) -> None:
    said = inv(shop, "env.check", "staging", status=1)
    assert "there is no .env.staging, and none is set here" in said
    url = "postgresql://app:pw@database:5432/app"
    given = {f"{name}_DATABASE_URL": url for name in ("AGENTS", "BACKEND", "RUNTIME")}
    given |= {"AGENTS_LLM_URL": "https://llm.example/v1", "AGENTS_LLM_MODEL": "large"}
    given |= {"DATABASE_PASSWORD": "pw", "PUBLISH_FRONTEND": "8080"}
    assert inv(shop, "env.check", "staging", status=0, **given) == "staging meets the contract.\n"


CRASH = """
import os, sys
sys.path.insert(0, {template!r})
from pathlib import Path
from slipway_ops.environments import environment_files
left = int(sys.argv[1])
def dying(real):
    def call(*args, **kwargs):
        global left
        if left == 0:
            os._exit(9)
        left -= 1
        return real(*args, **kwargs)
    return call
for name in ("mkdir", "symlink", "replace", "rename", "unlink", "rmdir", "lstat", "stat", "scandir",
             "open", "readlink", "close"):
    setattr(os, name, dying(getattr(os, name)))
environment_files.use("staging", Path(sys.argv[2]))
os._exit(0)
"""


def test_a_use_that_is_killed_anywhere_leaves_the_old_or_the_new_environment(
    tmp_path: Path,
) -> None:
    script = CRASH.format(template=str(REPOSITORY / "template"))
    for name in ("development", "staging"):
        (tmp_path / f".env.{name}").write_text(f"NAME={name}\n", encoding="utf-8")
    (tmp_path / ".env").symlink_to(".env.development")
    seen = set()
    for number in range(200):
        command = [sys.executable, "-c", script, str(number), str(tmp_path)]
        status = subprocess.run(command, capture_output=True).returncode
        text = (tmp_path / ".env").read_text(encoding="utf-8")
        assert text in ("NAME=development\n", "NAME=staging\n")
        seen.add((status, text))
        if status == 0:
            break
        # Back to where it was, but for what the killed run has left behind.
        (tmp_path / ".env").unlink()
        (tmp_path / ".env").symlink_to(".env.development")
    assert (9, "NAME=development\n") in seen, "it was never killed before the switch"
    assert (9, "NAME=staging\n") in seen, "it was never killed after the switch"
    assert status == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".env",
        ".env.development",
        ".env.staging",
    ], "a killed run has left something for good"


def test_lint_finds_whatever_disagrees_with_the_settings(shop: Project) -> None:
    field = "    queue: str = Field("
    more = '    tone: str = Field(description="How it answers.")\n' + field
    shop.replace(SETTINGS, field, more)
    shop.write(".github/workflows/x.yml", "env:\n  AGENTS_LLM_MODLE: x\n  AGENTS_LLM_MODEL: x\n")
    shop.replace("deploy/compose.yaml", "      AGENTS_LLM_TIMEOUT:\n", "      AGENTS_LLM_TIMEOT:\n")
    shop.replace("deploy/compose.yaml", "    volumes: [", "    volumez: [")
    shop.replace("deploy/compose.staging.yaml", "${AGENTS_LLM_URL:?", "${AGENTS_LLM_URL:-")
    readers = [
        "import os\nX = os.environ['A']\n",
        "import os as o\nX = o.getenv('A')\n",
        "from os import environ\n",
        "from os import getenv as g\n",
    ]
    for number, text in enumerate(readers):
        shop.write(f"services/backend/src/backend/reader{number}.py", text)
    said = shop.red("-s", "lint(repo)")
    for finding in (
        ".env.example is not what the settings of the services say. Type: inv env.contract",
        "docs/environments.md is not what the settings of the services say.",
        "Add the line: BACKEND_TONE: ${BACKEND_TONE:?How it answers.}",
        "AGENTS_LLM_TIMEOUT is missing in deploy/compose.yaml, service agents",
        "AGENTS_LLM_TIMEOT of agents is unknown",
        "AGENTS_LLM_URL is required in staging, and compose does not ask for it",
        ".github/workflows/x.yml:2: AGENTS_LLM_MODLE is no variable",
        "services/backend/src/backend/reader0.py:2: the environment is read outside",
        "services/backend/src/backend/reader1.py:2: the environment is read outside",
        "services/backend/src/backend/reader2.py:1: the environment is read outside",
        "services/backend/src/backend/reader3.py:1: the environment is read outside",
        "volumez",  # a compose file that is none
    ):
        assert finding in said, f"{finding}\n{said}"
    assert "AGENTS_LLM_MODEL is no" not in said
    said = inv(shop, "env.contract")
    assert said == ".env.example is written.\ndocs/environments.md is written.\n"
    assert "# How it answers. Required.\nBACKEND_TONE=\n" in (shop.path / ".env.example").read_text(
        encoding="utf-8"
    )
    disagreements = shop.run(
        shop.path / ".venv/bin/python", "-m", "slipway_ops.checks.contract_check"
    ).stdout
    assert "AGENTS_LLM_TIMEOT of agents is unknown" in disagreements
    assert ".env.example is not" not in disagreements


def test_lint_finds_an_app_that_reads_its_environment(shop: Project) -> None:
    for name, reader in (("one", "import.meta.env.VITE_A"), ("two", "process.env")):
        text = f"export const {name}: unknown = {reader};\n"
        shop.write(f"apps/frontend/src/{name}.ts", text)
    said = shop.red("-s", "lint(frontend)")
    for name in ("one", "two"):
        found = said.partition(f"src/{name}.ts")[2].partition(".ts")[0]
        assert "/config.json" in found and "no-restricted-syntax" in found, said
