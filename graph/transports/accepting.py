"""What a client accepts: the media types in its Accept header, and which of ours that makes the answer's."""

from __future__ import annotations

import re
from functools import lru_cache

JSON = "application/json"
GRAPHQL = "application/graphql-response+json"
_KNOWN = 32  # headers whose meaning is remembered


def accepted(accept: str) -> dict[str, float]:
    """The media types that a client names, in its order, with their weights: 0 for those that it does not take."""
    weights: dict[str, float] = {}
    for part in accept.split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
        weights[kind] = float(weight) if re.fullmatch(r"[01](\.\d{1,3})?", weight) else 0.0
    return weights


@lru_cache(maxsize=_KNOWN)
def prefers_html(accept: str) -> bool:
    """Whether it would rather have a page."""
    weights = accepted(accept)
    html = weights.get("text/html", 0.0)
    return html > 0 and html >= max(weights.get(JSON, 0.0), weights.get(GRAPHQL, 0.0))


@lru_cache(maxsize=_KNOWN)
def negotiated(accept: str) -> str | None:
    """The media type of an answer; None where the client takes none that there is."""
    weights = accepted(accept)
    anything = max(weights.get("*/*", 0.0), weights.get("application/*", 0.0))
    graphql, json = weights.get(GRAPHQL, anything), weights.get(JSON, anything)
    if graphql == json == 0.0:
        return None
    named = GRAPHQL in weights or JSON not in weights
    return GRAPHQL if graphql >= json and named and GRAPHQL in weights else JSON
