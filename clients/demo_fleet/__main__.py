"""`python -m clients.demo_fleet`: the tables with `install`, the fleet with `run`."""

from __future__ import annotations

import argparse
import asyncio
import os

from clients.demo_fleet.fleet import Fleet
from clients.demo_fleet.lifeline import stopped_by_signals
from clients.demo_fleet.orders import DATABASE_LOST, install


async def _run(dsn: str, url: str, robots: int, rate: float) -> None:
    stop = stopped_by_signals()
    await install(dsn)
    await Fleet(dsn, url, robots, rate).run(stop)


def main() -> None:
    """Run a fleet of demo robots on a database, or only create the tables it needs."""
    parser = argparse.ArgumentParser(prog="python -m clients.demo_fleet", description=main.__doc__)
    parser.add_argument("action", nargs="?", choices=("run", "install"), default="run")
    parser.add_argument("--url", default="http://127.0.0.1:8000/graphql", help="the monitor's GraphQL endpoint")
    parser.add_argument(
        "--dsn",
        default=os.environ.get("CASARE_DEMO_DSN"),
        help="Postgres of the queue; better given as CASARE_DEMO_DSN, since arguments can be read by others",
    )
    parser.add_argument("--robots", type=int, default=4, choices=range(1, 51), metavar="1..50")
    parser.add_argument("--rate", type=float, default=1.0, help="work arriving; 1.0 keeps robots two thirds busy")
    arguments = parser.parse_args()
    if not arguments.dsn:
        parser.error("name the database with CASARE_DEMO_DSN or --dsn")
    if not 0 < arguments.rate <= 100:
        parser.error("--rate is from above 0 to 100")
    try:
        if arguments.action == "install":
            asyncio.run(install(arguments.dsn))
        else:
            asyncio.run(_run(arguments.dsn, arguments.url, arguments.robots, arguments.rate))
    except DATABASE_LOST as error:
        parser.exit(1, f"the database cannot be used: {error}\n")


if __name__ == "__main__":
    main()
