"""Documents of the demo fleet that have a fault, found by their numbers."""

from clients.demo_fleet.paperwork import strikes

NUMBERS = range(1, 400)


def struck(fault: str, pattern: str = "{}") -> int:
    """The first number whose document has the fault."""
    return next(n for n in NUMBERS if strikes(fault, pattern.format(n)))
