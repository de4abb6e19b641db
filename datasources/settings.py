"""Every setting of the service, read from the environment in one place.

Ours carry the prefix `CASARE_`; `DATABASE_URL` and the documents' `DB_*` keep the names their users know.
"""

from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import quote, urlsplit

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from datasources.signing_settings import SigningSettings

# So strict because a password that is not encoded would be shown as part of the path.
_BUS = re.compile(r"memory://|rediss?://([^@/?#]*@)?([\w.-]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?(/\d*)?(\?[^#@]*)?")

_ORIGIN = re.compile(r"https?://([\w.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?")


def _named(variable: str) -> AliasChoices:
    return AliasChoices(variable, variable.lower())


class Settings(SigningSettings):
    """The service's settings; each field is the variable `CASARE_<FIELD>` unless it names another."""

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
    max_query_depth: Annotated[int, Field(ge=3, description="most levels of fields in a GraphQL document")] = 15
    max_query_aliases: Annotated[int, Field(ge=0, description="most aliases in a GraphQL document")] = 100
    max_query_directives: Annotated[int, Field(ge=0, description="most directives in a GraphQL document")] = 50
    max_query_fragments: Annotated[
        int, Field(ge=0, description="most fragments written and spread in a GraphQL document")
    ] = 100
    max_query_root_fields: Annotated[int, Field(ge=1, description="most root fields of a GraphQL operation")] = 30
    introspection: Annotated[
        Literal["all", "known", "none"],
        Field(description="who may look at the schema, and use GraphiQL: all, only who is known, or nobody"),
    ] = "all"
    documents: Annotated[
        Literal["any", "trusted"],
        Field(description="what may be asked: any document, or only those registered by `casare-monitor documents`"),
    ] = "any"
    max_age_seconds: Annotated[
        int, Field(ge=0, description="how long a client may keep the answer to a GET of a known document, in seconds")
    ] = 5
    share_answers: Annotated[
        bool,
        Field(
            description="whether those who ask the same share one execution, and its answer for as long as nothing is "
            "committed in Postgres"
        ),
    ] = True
    max_query_cost: Annotated[
        int, Field(ge=100, description="most fields of an answer with all its pages full; an object counts as 5")
    ] = 500_000
    max_subscription_cost: Annotated[
        int,
        Field(ge=100, description="the same for one event of a subscription, which is paid for once and told for long"),
    ] = 20_000
    mask_error_messages: Annotated[
        bool,
        Field(description="whether error messages, as they may hold customers' data, are null for all but operators"),
    ] = True
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

    rate_limits: Annotated[
        Literal["auto", "on", "off"],
        Field(description="whether callers have so much a minute and no more; auto: unless the server is open"),
    ] = "auto"
    rate_limit_cost: Annotated[
        int,
        Field(
            ge=100,
            le=2_147_483_647,
            description="what a viewer's operations may cost a minute, counted as max_query_cost is",
        ),
    ] = 60_000_000
    audit_days: Annotated[
        float, Field(gt=0, description="how long failed logins, refusals and admins' actions are kept, in days")
    ] = 90.0

    allowed_hosts: Annotated[
        tuple[str, ...],
        NoDecode,
        Field(
            description="names that an open server may be called by beside this machine's own, separated by commas; "
            "any other Host is refused, as other sites could give a browser a name that leads here"
        ),
    ] = ()
    trusted_proxies: Annotated[
        tuple[str, ...],
        NoDecode,
        Field(description="addresses or networks of proxies whose X-Forwarded-For is believed, separated by commas"),
    ] = ()
    metrics_open: Annotated[bool, Field(description="whether /metrics asks for no credentials")] = False
    spa_policy: Annotated[
        str,
        Field(description="Content-Security-Policy of the pages in spa_dir"),
    ] = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    max_sockets_per_viewer: Annotated[
        int, Field(ge=1, description="most sockets and streams that one viewer has open at a worker")
    ] = 2000
    max_sockets_per_address: Annotated[
        int, Field(ge=1, description="most sockets and streams that one address has open at a worker")
    ] = 5000
    max_operations_per_socket: Annotated[int, Field(ge=1, description="most operations that run on one socket")] = 100
    max_operations_per_viewer: Annotated[
        int, Field(ge=1, description="most operations that one viewer runs on sockets and streams of a worker")
    ] = 10_000
    socket_messages_per_second: Annotated[
        float, Field(gt=0, description="messages a second that one socket may send for long; ten times as many at once")
    ] = 100.0

    @model_validator(mode="after")
    def _postgres_url(self) -> Self:
        url = self.database_url
        if url is not None and urlsplit(url.get_secret_value()).scheme not in {"postgres", "postgresql"}:
            raise ValueError("DATABASE_URL must start with postgresql://")
        return self

    @model_validator(mode="after")
    def _rates(self) -> Self:
        if self.rate_limit_cost < self.max_query_cost:
            raise ValueError("CASARE_RATE_LIMIT_COST must not be less than CASARE_MAX_QUERY_COST")
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

    @field_validator("allowed_hosts", "trusted_proxies", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(name.strip().lower() for name in value.split(",") if name.strip())

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            try:
                ip_network(proxy)
            except ValueError:
                raise ValueError(f"{proxy:.100} is no address and no network, as 10.0.0.0/8") from None
        return proxies

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

    @property
    def limits_rates(self) -> bool:
        """Whether callers have so much a minute and no more."""
        return self.rate_limits == "on" or (self.rate_limits == "auto" and not self.open)

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
