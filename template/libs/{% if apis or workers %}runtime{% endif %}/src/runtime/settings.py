"""Settings: the environment variables of a service, with pydantic-settings.

Each service has a subclass, whose fields are its variables. Their names start with the name of the
service's package: `port` of the package `backend` is BACKEND_PORT.
"""

import re
from typing import Annotated, Any, ClassVar, Literal, Self

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import AfterValidator, Field, HttpUrl, JsonValue, SecretStr, ValidationError
from pydantic import field_validator, model_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource
from pydantic_settings import SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

ENV_FILE = ".env"


class SettingsError(Exception):
    """A variable is missing or not valid; the text names it but never shows its value."""


def prefixed(package: str | None) -> SettingsConfigDict:
    """Return the `model_config` of the Settings class of a package; pass `__package__`."""
    return SettingsConfigDict(env_prefix=f"{(package or '').partition('.')[0]}_".upper())


# Use it as json_schema_extra of a field that must have a value outside development.
REQUIRED_OUTSIDE_DEVELOPMENT: dict[str, JsonValue] = {"required_outside_development": True}


def _fits_a_header(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]([ -~]*[!-~])?", value.get_secret_value()):
        raise ValueError("Use only ASCII letters, digits and punctuation, without line breaks")
    return value


# A secret that is sent in an HTTP header: printable ASCII, without blanks around it.
# https://www.rfc-editor.org/rfc/rfc9110#name-field-values
HeaderSecret = Annotated[SecretStr, AfterValidator(_fits_a_header)]


class CommonSettings(BaseSettings):
    """The variables of every program."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True,  # an empty value counts as not set
        extra="ignore",  # .env holds the variables of other services too
        frozen=True,
        hide_input_in_errors=True,
        validate_by_name=True,  # for fields with an alias
    )

    environment: Literal["development", "staging", "production"] = Field(
        default="development",
        description="Where this runs. Outside development no default secret is accepted.",
    )
    version: str = Field(
        default="0.0.0",
        validation_alias="APP_VERSION",
        description="Version of the release, given at deploy. The same for every service.",
    )
    revision: str = Field(
        default="unknown",
        validation_alias="APP_REVISION",
        description="Commit of the images, given at deploy. The same for every service.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least severe level that is logged."
    )
    database_url: SecretStr = Field(
        default=SecretStr("postgresql://postgres@localhost:5432/postgres"),
        description="PostgreSQL URL with user and password. Shared by all services.",
    )

    @field_validator("database_url")
    @classmethod
    def _is_a_postgresql_url(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        try:
            valid = url.startswith(("postgresql://", "postgres://")) and conninfo_to_dict(url)
        except ProgrammingError:  # not raised again: its text may quote the URL
            valid = False
        if not valid:
            raise ValueError("Write it as postgresql://<user>:<password>@<host>:5432/<name>")
        return value

    @model_validator(mode="after")
    def _has_its_own_values(self) -> Self:
        if self.environment == "development":
            return self
        fields = type(self).model_fields
        kept = [
            self.variable(name)
            for name, field in fields.items()
            if isinstance(field.default, SecretStr) and getattr(self, name) == field.default
        ]
        if kept:
            raise ValueError(
                f"{', '.join(kept)} still has its development default. "
                f"Set it to a secret of {self.environment}"
            )
        missing = [
            self.variable(name)
            for name, field in fields.items()
            if field.json_schema_extra == REQUIRED_OUTSIDE_DEVELOPMENT
            and getattr(self, name) is None
        ]
        if missing:
            raise ValueError(
                f"{', '.join(missing)} has no value, but {self.environment} requires one. Set it"
            )
        return self

    @property
    def service(self) -> str:
        """Name of the service, in lower case."""
        return self._service()

    @classmethod
    def unchecked(cls) -> Self:
        """Return settings good enough to log why the real ones cannot be loaded."""
        found = EnvSettingsSource(cls).env_vars
        environment: Any = found.get(cls.variable("environment").lower()) or "development"
        version = found.get(cls.variable("version").lower()) or "0.0.0"
        return cls.model_construct(environment=environment, version=version)

    @classmethod
    def _service(cls) -> str:
        return str(cls.model_config["env_prefix"]).removesuffix("_").lower()

    @classmethod
    def variable(cls, field: str) -> str:
        """Return the name of the environment variable that sets `field`."""
        alias = cls.model_fields[field].validation_alias
        return alias if isinstance(alias, str) else f"{cls._service()}_{field}".upper()

    @classmethod
    def load(cls) -> Self:
        """Read the environment, and in development the file `.env`.

        Raises:
            SettingsError: a variable is unknown, missing or not valid; all of them are named.
        """
        env_file = cls._env_file()
        try:
            return cls(_env_file=env_file)  # type: ignore[call-arg]  # unknown to mypy
        except ValidationError as error:
            sentences = [
                ": ".join([*map(cls._named, problem["loc"][:1]), problem["msg"]]) + "."
                for problem in error.errors()
            ]
        except SourceError as error:  # a list or mapping that is not JSON
            sentences = [f"{error}."]
        # Raised outside `except`: the first error, which holds values, must not be chained to it.
        raise SettingsError(
            "\n".join(sentences).replace("Value error, ", "")
            + "\nCorrect the environment and start again."
        )

    @classmethod
    def _env_file(cls) -> str | None:
        """Return the `.env` to read, if any, after a check for unknown variables."""
        chosen = cls.variable("environment").lower()
        found, env_file = dict(EnvSettingsSource(cls).env_vars), None
        if found.get(chosen, "development") == "development":
            env_file = ENV_FILE
            found |= DotEnvSettingsSource(cls, env_file=ENV_FILE).env_vars
            if found.get(chosen, "development") != "development":
                raise SettingsError(
                    f"{ENV_FILE} is read in development only, so it cannot set "
                    f"{cls.variable('environment')}. Set that in the environment of the process."
                )
        known = {cls.variable(field) for field in cls.model_fields}
        ours = {name.upper() for name in found if name.startswith(f"{cls._service()}_")}
        if ours - known:
            raise SettingsError(
                f"Unknown variables: {', '.join(sorted(ours - known))}. "
                f"Remove them or correct their names; known are {', '.join(sorted(known))}."
            )
        return env_file

    @classmethod
    def _named(cls, place: object) -> str:
        return cls.variable(str(place)) if place in cls.model_fields else str(place)


class ServiceSettings(CommonSettings):
    """The variables of every service, a program that runs until it is stopped."""

    # Whether /metrics has the depth of all queues, see runtime.depth.
    reads_queues: ClassVar[bool] = False

    host: str = Field(
        default="127.0.0.1", description="Address to listen on; 0.0.0.0 inside a container."
    )
    internal_port: int = Field(
        default=9000,
        ge=1,
        le=65535,
        description="TCP port of /healthz, /readyz and /metrics; never published.",
    )
    otlp_url: HttpUrl | None = Field(
        default=None,
        description="Where traces are sent by OTLP over HTTP, such as http://collector:4318. "
        "Needs the extra runtime[tracing].",
    )


class ApiSettings(ServiceSettings):
    """The variables of every API, a service with a port for clients."""

    reads_queues = True

    port: int = Field(default=8000, ge=1, le=65535, description="TCP port to listen on.")
    max_body_size: int = Field(
        default=1_000_000,
        ge=1,
        validation_alias="APP_MAX_BODY_SIZE",
        description="Largest body of a request, in bytes. "
        "The same for every API and for the proxy in front of them.",
    )
