"""Scope: which environments somebody may see. What lies outside is as what does not exist."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """Some environments, or all of them where that is None."""

    environments: frozenset[str] | None = None

    def sees(self, environment: str) -> bool:
        """Whether what belongs to this environment may be seen."""
        return self.environments is None or environment in self.environments


EVERYTHING = Scope()
