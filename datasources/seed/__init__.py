"""A plausible past for an empty fleet: what `casare-monitor seed` writes."""

from datasources.seed.loading import AlreadySeeded, SeedingElsewhere, SeedProgress, SeedReport, Stage, seed

__all__ = ["AlreadySeeded", "SeedProgress", "SeedReport", "SeedingElsewhere", "Stage", "seed"]
