"""Who asks: their name, their roles, and the scope that narrows whatever they see."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache

from datasources.scope import EVERYTHING, Scope


class Role(StrEnum):
    """What somebody may do; each but the robot may do what those before it may."""

    ANONYMOUS = "anonymous"
    VIEWER = "viewer"
    OPERATOR = "operator"
    DEVELOPER = "developer"
    ADMIN = "admin"
    ROBOT = "robot"


_LADDER = (Role.ANONYMOUS, Role.VIEWER, Role.OPERATOR, Role.DEVELOPER, Role.ADMIN)


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody, for as long as their credentials hold; `expires_at` is in seconds since 1970.

    `holds` tells of credentials that may be taken back whether they still hold; None for those that may not.
    """

    name: str
    roles: frozenset[Role] = frozenset()
    scope: Scope = EVERYTHING
    known: bool = True
    expires_at: float | None = None
    holds: Callable[[], bool] | None = field(default=None, compare=False, repr=False)

    def may(self, role: Role) -> bool:
        """Whether they have the role, or one that includes it: an admin may report as robots do."""
        if role in self.roles or role is Role.ANONYMOUS:
            return True
        higher = (Role.ADMIN,) if role is Role.ROBOT else _LADDER[_LADDER.index(role) :]
        return not self.roles.isdisjoint(higher)

    def view(self, *, masking: bool) -> Scope:
        """The scope they read with; masking hides what errors said from those who are no operators."""
        return _masked(self.scope) if masking and not self.may(Role.OPERATOR) else self.scope

    @property
    def sight(self) -> Hashable:
        """What they see of the same data: those with equal sight may share an answer."""
        return self.scope, self.may(Role.OPERATOR)


@lru_cache(maxsize=256)
def _masked(scope: Scope) -> Scope:
    return replace(scope, masked=True)


NOBODY = Viewer("anonymous", known=False)
ANYBODY = Viewer("anonymous", frozenset({Role.ADMIN}), known=False)
