"""Manifests: the documents of a client, as the usual code generators write them down.

Apollo's `generate-persisted-query-manifest`; the map of ids to texts of Relay's compiler and of GraphQL Code
Generator's client preset; or `.graphql` files, one by one or in a folder, which are known by their SHA-256.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from datasources.documents import digest
from graph.engine.plans import Plans

_SUFFIXES = {".graphql", ".gql"}
_SHA256 = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
_LONGEST_ID = 200  # characters
_APOLLO = "apollo-persisted-query-manifest"


class BadManifest(Exception):
    """Manifests that cannot be registered, with a line for everything that is wrong about them."""


def read(paths: Iterable[Path], plans: Plans) -> dict[str, str]:
    """All documents of some manifests by id; raises BadManifest unless every one of them is fit to be executed."""
    found: dict[str, str] = {}
    wrong: list[str] = []
    for path in paths:
        for id_, text in _documents(path):
            wrong += [f"{path}: {id_:.80}: {what}" for what in _faults(id_, text, plans)]
            if found.setdefault(id_, text) != text:
                wrong.append(f"{path}: {id_:.80}: another document has this id")
    if wrong:
        raise BadManifest("\n".join(["nothing was registered:", *wrong]))
    if not found:
        raise BadManifest("there is no document in it")
    return found


def _faults(id_: str, text: str, plans: Plans) -> Iterator[str]:
    """What is wrong about a document."""
    if not 0 < len(id_) <= _LONGEST_ID:
        yield f"an id must have 1 to {_LONGEST_ID} characters"
    hashed = _SHA256.fullmatch(id_)
    if hashed is not None and hashed[1] != digest(text):
        yield f"the id is not the SHA-256 of the document, which is {digest(text)}"
    plan = plans.made(text)
    yield from (error.message for error in plan.errors)
    if not plan.errors and not plan.judgements:
        yield "there is no operation in it"


def _documents(path: Path) -> Iterator[tuple[str, str]]:
    """The documents of one manifest with their ids."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES and file.is_file())
        for file in files:
            yield from _documents(file)
        return
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadManifest(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadManifest(f"{path}: the file is not UTF-8") from error
    if path.suffix in _SUFFIXES:
        yield digest(text), text
        return
    try:
        yield from _listed(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise BadManifest(f"{path}: {error}") from error


def _listed(manifest: Any) -> Iterator[tuple[str, str]]:
    """The documents of a JSON manifest; raises ValueError where it is none that we know."""
    if isinstance(manifest, dict) and manifest.get("format") == _APOLLO:
        if manifest.get("version") != 1 or not isinstance(operations := manifest.get("operations"), list):
            raise ValueError("of Apollo's manifests only version 1, with a list of operations, is known")
        pairs = [(each.get("id"), each.get("body")) if isinstance(each, dict) else (None, None) for each in operations]
    elif isinstance(manifest, dict):
        pairs = list(manifest.items())
    else:
        raise ValueError("a manifest is an object: Apollo's, or a map of ids to documents")
    for id_, text in pairs:
        if not isinstance(id_, str) or not isinstance(text, str):
            raise ValueError("each document must have an id and its text")  # noqa: TRY004  # of the file, not of ours
        yield id_, text
