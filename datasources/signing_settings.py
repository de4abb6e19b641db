"""The settings of who signs tokens: a secret that is shared, a public key, or a place where public keys are found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_SHORTEST_SECRET = 32  # bytes, as RFC 7518 asks of HS256
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class SigningSettings(BaseSettings):
    """Exactly one kind of key, or none."""

    model_config = SettingsConfigDict(
        env_prefix="CASARE_", extra="ignore", frozen=True, env_ignore_empty=True, hide_input_in_errors=True
    )

    auth: Annotated[
        Literal["auto", "required"],
        Field(
            description="who may ask; auto: whoever bears a token where a JWT key is configured, else everybody; "
            "required: also where there are only API keys"
        ),
    ] = "auto"
    jwt_secret: Annotated[
        SecretStr | None, Field(description="secret of tokens signed with HS256, of at least 32 bytes")
    ] = None
    jwt_public_key: Annotated[
        str | None, Field(description="public key of whoever signs tokens: PEM, or a file that holds it")
    ] = None
    jwks_url: Annotated[
        str | None, Field(description="where the public keys of whoever signs tokens are found, as https://...")
    ] = None
    jwt_audience: Annotated[str | None, Field(description="audience that tokens must be for (aud)")] = None
    jwt_issuer: Annotated[str | None, Field(description="issuer that tokens must come from (iss)")] = None

    @model_validator(mode="after")
    def _one_kind_of_key(self) -> Self:
        named = {
            "CASARE_JWT_SECRET": self.jwt_secret,
            "CASARE_JWT_PUBLIC_KEY": self.jwt_public_key,
            "CASARE_JWKS_URL": self.jwks_url,
        }
        given = [name for name, value in named.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are set: tokens have one kind of key, so unset all but one")
        return self

    @field_validator("jwt_secret")
    @classmethod
    def _long_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and "-----BEGIN" in secret.get_secret_value():
            raise ValueError(
                "this is a key in PEM, which is no secret: a public key belongs into CASARE_JWT_PUBLIC_KEY"
            )
        if secret is not None and len(secret.get_secret_value().encode()) < _SHORTEST_SECRET:
            raise ValueError(
                f"must be at least {_SHORTEST_SECRET} bytes long; make one with "
                "`python -c 'import secrets; print(secrets.token_urlsafe(32))'`"
            )
        return secret

    @field_validator("jwt_public_key")
    @classmethod
    def _pem(cls, key: str | None) -> str | None:
        """The key itself, wherever it stood."""
        if key is None:
            return None
        if "-----BEGIN" in key:
            key = key.replace("\\n", "\n")  # how files of variables write an end of line
        else:
            try:
                key = Path(key).read_text(encoding="ascii")
            except (OSError, ValueError) as error:
                raise ValueError("is neither a key in PEM nor a file that can be read") from error
        if "PRIVATE KEY-----" in key:
            raise ValueError("this is a private key, which must not leave whoever signs: give its public key")
        return key

    @field_validator("jwks_url")
    @classmethod
    def _jwks(cls, url: str | None) -> str | None:
        if url is None:
            return None
        place = urlsplit(url)
        if place.scheme != "https" and (place.scheme, place.hostname in _LOOPBACK) != ("http", True):
            raise ValueError("must start with https://; http:// only on this machine")
        if not place.hostname or place.username is not None or not url.isascii() or not url.isprintable() or " " in url:
            raise ValueError("must be as https://host/path, with no user in it")
        _ = place.port  # raises where it is no port
        return url

    @property
    def open(self) -> bool:
        """Whether everybody may do everything, which only this machine may be told."""
        return self.auth == "auto" and not (self.jwt_secret or self.jwt_public_key or self.jwks_url)
