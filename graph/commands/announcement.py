"""What a server says when it starts: where it is, what it works with, and who may do what with it."""

from __future__ import annotations

from rich.markup import escape

from datasources.settings import Settings
from graph.commands.console import out, place


def announce(settings: Settings, url: str, dsn: str, demo_robots: int | None) -> None:
    """Print it."""
    rows = {
        "GraphiQL": f"{url}/graphql   REST  {url}/api/v1   health  {url}/health",
        "pages": settings.spa_dir and f"{url}/, from {settings.spa_dir}",
        "metrics": f"{url}/metrics{_traced(settings)}",
        "database": f"embedded, in {settings.data_dir}" if settings.dsn() is None else place(dsn),
        "bus": _bus(settings),
        "fleet": demo_robots and f"{demo_robots} robots that run PgQueuer jobs as DBOS workflows",
        "access": _access(settings),
        "asking": _asking(settings),
        "limits": _limits(settings),
        "sockets": _sockets(settings),
        "origins": ", ".join(settings.cors_origins) or "our own alone",
    }
    out.print(f"[bold]CasareRPA monitoring graph[/]  {url}/graphql", soft_wrap=True)
    for name, said in rows.items():
        if said:
            out.print(f"  {name:<9} {escape(said)}", soft_wrap=True)
    if settings.open:
        out.print("  open to everybody on this machine; nobody else can reach it")
    out.print("  Ctrl-C stops it")


def _traced(settings: Settings) -> str:
    return f", traces to {place(settings.otlp_endpoint)}" if settings.otlp_endpoint else ""


def _bus(settings: Settings) -> str:
    bus = settings.bus.get_secret_value()
    return "none, each worker follows the ledger by itself" if bus.startswith("memory:") else place(bus)


def _access(settings: Settings) -> str:
    if settings.open:
        return "everybody, as an admin of all environments"
    keys = {
        "a token signed with CASARE_JWT_SECRET": settings.jwt_secret,
        "a token signed for CASARE_JWT_PUBLIC_KEY": settings.jwt_public_key,
        f"a token signed by a key of {place(settings.jwks_url or '')}": settings.jwks_url,
    }
    tokens = [f"{said}, or " for said, key in keys.items() if key is not None]
    masked = "; error messages for operators only" if settings.mask_error_messages else ""
    open_metrics = "; /metrics for everybody" if settings.metrics_open else ""
    return f"{''.join(tokens)}an API key; each sees its own environments{masked}{open_metrics}"


def _asking(settings: Settings) -> str:
    documents = "any document" if settings.documents == "any" else "trusted documents only"
    schema = {"all": "everybody", "known": "whoever is known", "none": "nobody"}[settings.introspection]
    return f"{documents}; the schema may be looked at by {schema}"


def _limits(settings: Settings) -> str:
    rates = f"; cost {settings.rate_limit_cost:,} a minute for each viewer" if settings.limits_rates else "; no rates"
    return (
        f"{settings.operation_timeout_seconds:g} s, cost {settings.max_query_cost:,} and depth "
        f"{settings.max_query_depth} an operation, {settings.max_body_bytes:,} bytes a request{rates}"
    )


def _sockets(settings: Settings) -> str:
    return (
        f"{settings.max_sockets_per_viewer:,} of a viewer, {settings.max_sockets_per_address:,} of an address, "
        f"{settings.max_operations_per_socket:,} operations and {settings.socket_messages_per_second:g} messages a "
        "second each"
    )
