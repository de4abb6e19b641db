"""Entity tags: whether a client has already what it asks for (RFC 9110)."""

from __future__ import annotations

from hashlib import sha256


def tag_of(*parts: bytes) -> str:
    """The tag of an answer that consists of these parts."""
    digest = sha256()
    for part in parts:
        digest.update(part)
    return f'"{digest.hexdigest()[:32]}"'


def is_known(if_none_match: str | None, tag: str) -> bool:
    """Whether the client says that it has the answer with this tag."""
    tags = [part.strip().removeprefix("W/") for part in (if_none_match or "").split(",")]
    return tag in tags or tags == ["*"]
