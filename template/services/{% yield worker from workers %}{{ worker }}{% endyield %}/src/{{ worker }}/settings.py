"""The variables of this service."""

from typing import Self

from pydantic import Field, HttpUrl, SecretStr, model_validator
from runtime.settings import REQUIRED_OUTSIDE_DEVELOPMENT, ServiceSettings, prefixed


class Settings(ServiceSettings):
    """What the environment says to this worker."""

    model_config = prefixed(__package__)

    port: int = Field(
        default=9000, ge=1, le=65535, description="TCP port of /healthz, /readyz and /metrics."
    )
    concurrency: int = Field(
        default=4, ge=1, le=100, description="How many questions are answered at the same time."
    )
    stalled_after: float = Field(
        default=30,
        ge=1,
        description="Seconds without a sign of life after which the tasks of a worker are rerun.",
    )
    llm_url: HttpUrl | None = Field(
        default=None,
        description="Base URL of an OpenAI-compatible API, such as https://llm.example/v1. "
        "Without it the built-in echo answers, in development only.",
        json_schema_extra=REQUIRED_OUTSIDE_DEVELOPMENT,
    )
    llm_model: str | None = Field(
        default=None,
        description="Name of the model at that URL.",
        json_schema_extra=REQUIRED_OUTSIDE_DEVELOPMENT,
    )
    llm_api_key: SecretStr | None = Field(
        default=None, description="Key for that URL, sent as a bearer token; none if it needs none."
    )
    llm_timeout: float = Field(
        default=120, gt=0, description="Seconds to wait for one answer of the model."
    )

    @model_validator(mode="after")
    def _has_a_model(self) -> Self:
        url, model = self.variable("llm_url"), self.variable("llm_model")
        if bool(self.llm_url) != bool(self.llm_model):
            raise ValueError(f"{url} and {model} belong together: set both or none")
        return self
