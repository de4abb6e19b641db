"""Every setting of the service, read from the environment in one place.

Ours carry the prefix `CASARE_`; `DATABASE_URL` and the documents' `DB_*` keep the names their users know.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import quote, urlsplit

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

# So strict because a password that is not encoded would be shown as part of the path.
_BUS = re.compile(r"memory://|rediss?://([^@/?#]*@)?([\w.-]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?(/\d*)?(\?[^#@]*)?")

_ORIGIN = re.compile(r"https?://([\w.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?")


def _named(variable: str) -> AliasChoices:
    return AliasChoices(variable, variable.lower())


class Settings(BaseSettings):
    """The service's settings; each field is the variable `CASARE_<FIELD>` unless it names another."""

    model_config = SettingsConfigDict(env_prefix="CASARE_", extra="ignore", frozen=True, env_ignore_empty=True)

    host: Annotated[str, Field(description="address to listen on")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="TCP port to listen on")] = 8000
    workers: Annotated[int, Field(ge=1, le=64, description="server processes")] = 1
    data_dir: Annotated[Path, Field(description="where the embedded Postgres keeps its files")] = (
        Path.home() / ".casare-monitor"
    )
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="least severe message that is logged")
    ] = "info"
    log_format: Annotated[
        Literal["auto", "json", "text"],
        Field(description="how messages are logged; auto: text on a terminal, else json"),
    ] = "auto"
    cors_origins: Annotated[
        tuple[str, ...],
        NoDecode,
        Field(description="origins whose pages may call us, separated by commas; * for all, then without credentials"),
    ] = ("http://localhost:5173", "http://localhost:8000")
    spa_dir: Annotated[
        Path | None, Field(description="a built single-page application to serve at /; unset: / leads to GraphiQL")
    ] = None
    otlp_endpoint: Annotated[
        str | None,
        Field(description="OTLP/HTTP collector that takes our traces, as http://host:4318; needs the extra otel"),
    ] = None

    database_url: Annotated[
        SecretStr | None,
        Field(
            validation_alias=_named("DATABASE_URL"),
            description="Postgres to use, as postgresql://user:password@host:port/name; unset: an embedded one",
        ),
    ] = None
    db_host: Annotated[
        str | None,
        Field(validation_alias=_named("DB_HOST"), description="Postgres host, without DATABASE_URL"),
    ] = None
    db_port: Annotated[int, Field(validation_alias=_named("DB_PORT"), description="port at DB_HOST")] = 5432
    db_name: Annotated[str, Field(validation_alias=_named("DB_NAME"), description="database at DB_HOST")] = "casare_rpa"
    db_user: Annotated[str, Field(validation_alias=_named("DB_USER"), description="user at DB_HOST")] = "postgres"
    db_password: Annotated[
        SecretStr | None, Field(validation_alias=_named("DB_PASSWORD"), description="password at DB_HOST")
    ] = None

    bus: Annotated[
        SecretStr,
        Field(
            description="what workers tell each other through: memory:// (each follows the ledger by itself) or "
            "redis://user:password@host:port/number (one follows it for all)"
        ),
    ] = SecretStr("memory://")

    pool_size: Annotated[int, Field(ge=1, le=100, description="most database connections of one worker")] = 10
    connect_timeout_seconds: Annotated[
        float, Field(gt=0, description="longest wait for a database connection, in seconds")
    ] = 5.0
    statement_timeout_seconds: Annotated[float, Field(gt=0, description="longest single SQL statement, in seconds")] = (
        10.0
    )
    operation_timeout_seconds: Annotated[float, Field(gt=0, description="longest GraphQL operation, in seconds")] = 15.0
    max_body_bytes: Annotated[int, Field(ge=1024, description="largest request body, in bytes")] = 1_048_576
    max_query_tokens: Annotated[int, Field(ge=100, description="most tokens in a GraphQL document")] = 2000
    max_query_cost: Annotated[
        int, Field(ge=100, description="most fields of an answer with all its pages full; an object counts as 5")
    ] = 500_000
    offline_after_seconds: Annotated[
        float, Field(gt=0, description="a robot silent for longer is offline, in seconds")
    ] = 60.0
    ledger_days: Annotated[
        float, Field(gt=0, description="how long transitions are kept for subscribers who come back, in days")
    ] = 7.0
    job_days: Annotated[
        float | None,
        Field(gt=0, description="how long jobs that ended are kept, in days; their history stays; unset: for ever"),
    ] = None
    source_error_days: Annotated[
        float, Field(gt=0, description="how long it is kept what a source told that could not be taken, in days")
    ] = 30.0
    ledger_events: Annotated[
        int, Field(ge=1, description="most transitions kept for subscribers who come back; the newest stay")
    ] = 1_000_000

    @model_validator(mode="after")
    def _postgres_url(self) -> Self:
        url = self.database_url
        if url is not None and urlsplit(url.get_secret_value()).scheme not in {"postgres", "postgresql"}:
            raise ValueError("DATABASE_URL must start with postgresql://")
        return self

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _origins(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        origins = tuple(origin.strip().rstrip("/").lower() for origin in value.split(",") if origin.strip())
        if wrong := [origin for origin in origins if origin != "*" and not _ORIGIN.fullmatch(origin)]:
            raise ValueError(f"{wrong[0]:.100} is no origin: it must be as https://host or https://host:port, or *")
        return origins

    @field_validator("otlp_endpoint")
    @classmethod
    def _collector(cls, url: str | None) -> str | None:
        if url is not None and urlsplit(url).scheme not in {"http", "https"}:
            raise ValueError("must start with http:// or https://")
        return url

    @field_validator("bus")
    @classmethod
    def _bus_url(cls, url: SecretStr) -> SecretStr:
        if not _BUS.fullmatch(url.get_secret_value()):
            raise ValueError("must be memory://, or redis://user:password@host:port/number with both percent-encoded")
        return url

    def dsn(self) -> str | None:
        """The configured database as a URL, or None where the embedded Postgres is to be used."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        if self.db_host is None:
            return None
        password = f":{quote(self.db_password.get_secret_value(), safe='')}" if self.db_password else ""
        host = f"[{self.db_host}]" if ":" in self.db_host else self.db_host
        user, name = quote(self.db_user, safe=""), quote(self.db_name, safe="")
        return f"postgresql://{user}{password}@{host}:{self.db_port}/{name}"
