"""Tests of the settings of every service."""

from pathlib import Path

import pytest
from pydantic import Field, SecretStr
from runtime import migrate
from runtime.settings import ApiSettings, CommonSettings, HeaderSecret, SettingsError, prefixed

HIDDEN = "hunter2"


class Settings(ApiSettings):
    """The settings of a service called demo."""

    model_config = prefixed("demo.settings")

    key: SecretStr = Field(default=SecretStr("development"), description="A secret.")
    header: HeaderSecret | None = Field(default=None, description="A secret for a header.")
    names: list[str] = Field(default=[], description="A list, written as JSON.")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder without .env."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal() -> str:
    """The error message about the environment."""
    with pytest.raises(SettingsError) as refused:
        Settings.load()
    assert HIDDEN not in str(refused.value)
    assert refused.value.__context__ is None
    return str(refused.value)


def test_development_needs_no_variables() -> None:
    settings = Settings.load()
    assert (settings.service, settings.environment, settings.port) == ("demo", "development", 8000)


def test_variables_start_with_the_name_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_PORT", "9001")
    monkeypatch.setenv("DEMO_NAMES", '["a", "b"]')
    monkeypatch.setenv("APP_VERSION", "1.2.3")
    monkeypatch.setenv("PORT", "1")
    settings = Settings.load()
    assert (settings.port, settings.names, settings.version) == (9001, ["a", "b"], "1.2.3")
    assert Settings.variable("port") == "DEMO_PORT"
    assert Settings.variable("version") == "APP_VERSION"


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_PORT", "")
    assert Settings.load().port == 8000


def test_an_unknown_variable_is_refused_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_DATABSE_URL", HIDDEN)
    assert refusal().startswith("Unknown variables: DEMO_DATABSE_URL.")


def test_an_unknown_variable_in_the_env_file_is_refused_too(empty_folder: Path) -> None:
    (empty_folder / ".env").write_text(f"DEMO_TYPO={HIDDEN}\n", encoding="utf-8")
    assert "DEMO_TYPO" in refusal()


def test_the_env_file_is_read_in_development(empty_folder: Path) -> None:
    (empty_folder / ".env").write_text("DEMO_PORT=7000\nOTHER_THING=1\n", encoding="utf-8")
    assert Settings.load().port == 7000


def test_the_env_file_is_not_read_outside_development(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_folder / ".env").write_text("DEMO_PORT=7000\nDEMO_TYPO=1\n", encoding="utf-8")
    monkeypatch.setenv("DEMO_ENVIRONMENT", "staging")
    monkeypatch.setenv("DEMO_DATABASE_URL", f"postgresql://demo:{HIDDEN}@db/demo")
    monkeypatch.setenv("DEMO_KEY", "own")
    assert Settings.load().port == 8000


def test_the_env_file_cannot_name_another_environment(empty_folder: Path) -> None:
    (empty_folder / ".env").write_text("DEMO_ENVIRONMENT=production\n", encoding="utf-8")
    assert "it cannot set DEMO_ENVIRONMENT" in refusal()


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_default_secrets_are_refused_outside_development(
    environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEMO_ENVIRONMENT", environment)
    assert "DEMO_DATABASE_URL, DEMO_KEY still has its development default" in refusal()
    monkeypatch.setenv("DEMO_DATABASE_URL", f"postgresql://demo:{HIDDEN}@db/demo")
    assert refusal().startswith("DEMO_KEY still has")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DEMO_PORT", HIDDEN),
        ("DEMO_PORT", "70000"),
        ("DEMO_ENVIRONMENT", HIDDEN),
        ("DEMO_NAMES", HIDDEN),
        ("DEMO_DATABASE_URL", f"mysql://demo:{HIDDEN}@db/demo"),
        ("DEMO_DATABASE_URL", f"postgresql://demo:{HIDDEN}@db:port:port/%zz"),
    ],
)
def test_an_invalid_value_is_not_shown_but_its_variable_is_named(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    assert variable.removeprefix("DEMO_") in refusal().upper()


@pytest.mark.parametrize(
    "value", [f"{HIDDEN}é", f"{HIDDEN}\n", f"a\r\nb: {HIDDEN}", f" {HIDDEN}", f"{HIDDEN}\x7f"]
)
def test_a_secret_that_does_not_fit_into_a_header_is_refused(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEMO_HEADER", value)
    assert refusal().startswith("DEMO_HEADER: Use only ASCII")


def test_a_secret_for_a_header_may_contain_all_printable_ascii(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    value = "".join(map(chr, range(0x21, 0x7F))) + " x"
    monkeypatch.setenv("DEMO_HEADER", value)
    header = Settings.load().header
    assert header and header.get_secret_value() == value


def test_the_text_of_the_settings_does_not_show_secrets() -> None:
    url = f"postgresql://demo:{HIDDEN}@db/demo"
    settings = Settings(database_url=SecretStr(url), key=SecretStr(HIDDEN))
    assert HIDDEN not in f"{settings} {settings!r} {settings.model_dump()}"


@pytest.mark.parametrize("settings", [ApiSettings, migrate.Settings])
def test_every_variable_is_described(settings: type[CommonSettings]) -> None:
    for name, field in settings.model_fields.items():
        assert field.description and field.description.endswith("."), name
