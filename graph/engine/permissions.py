"""Permissions: whether somebody may ask what an operation asks, told before any of it is read."""

from __future__ import annotations

from datasources.settings import Settings
from graph.engine.judgement import Judgement
from graph.errors import ClientError
from graph.viewer import Viewer

UNAUTHENTICATED = "UNAUTHENTICATED"
FORBIDDEN = "FORBIDDEN"
INTROSPECTION_DISABLED = "INTROSPECTION_DISABLED"


def permit(judgement: Judgement, viewer: Viewer, settings: Settings) -> None:
    """Raise ClientError where the viewer may not ask for one of the fields, or for the schema."""
    for role, field in judgement.roles.items():
        if viewer.may(role):
            continue
        if not viewer.known:
            message = f"{field} is for those with the role {role}: send your token or key as Authorization: Bearer."
            raise ClientError(message, UNAUTHENTICATED)
        own = " and ".join(sorted(viewer.roles)) or "none"
        raise ClientError(f"{field} is for those with the role {role}; yours is {own}.", FORBIDDEN)
    if judgement.introspects and not may_introspect(viewer, settings):
        message = "The schema is not shown here: leave out __schema and __type."
        raise ClientError(message, INTROSPECTION_DISABLED)


def may_introspect(viewer: Viewer, settings: Settings) -> bool:
    """Whether somebody may look at the schema; GraphiQL is for the same people."""
    return settings.introspection == "all" or (settings.introspection == "known" and viewer.known)
