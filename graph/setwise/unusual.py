"""What set-at-a-time execution leaves to the reference."""


class Unusual(Exception):
    """Only graphql-core answers this exactly."""
