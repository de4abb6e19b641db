import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

import datasources
from datasources.migrate import (
    _LOCK_KEY,
    EditedMigration,
    ExtensionInUse,
    ForeignSchema,
    Migration,
    MigrationFailed,
    MigrationLocked,
    NewerDatabase,
    UnsupportedPostgres,
    current_version,
    dump_schema,
    migrate,
    shipped,
    uninstall,
)

NEXT = shipped()[-1].version + 1

# Everything a database holds beyond what it was born with, by name.
CATALOGUE = """
SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname !~ '^pg_(toast|temp)'
UNION ALL SELECT 'extension ' || extname FROM pg_extension
UNION ALL SELECT 'relation ' || oid::regclass::text FROM pg_class WHERE relnamespace >= 16384 OR oid >= 16384
UNION ALL SELECT 'function ' || oid::regprocedure::text FROM pg_proc WHERE oid >= 16384
UNION ALL SELECT 'type ' || oid::regtype::text FROM pg_type WHERE oid >= 16384
UNION ALL SELECT 'operator ' || oid::regoperator::text FROM pg_operator WHERE oid >= 16384
UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'event trigger ' || evtname FROM pg_event_trigger
UNION ALL SELECT 'publication ' || pubname FROM pg_publication
UNION ALL SELECT 'default ' || oid::text FROM pg_default_acl
ORDER BY 1
"""


async def run(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def catalogue(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        return [row[0] for row in await connection.fetch(CATALOGUE)]
    finally:
        await connection.close()


async def version(dsn: str) -> int | None:
    connection = await asyncpg.connect(dsn)
    try:
        return await current_version(connection)
    finally:
        await connection.close()


def migration(text: str, number: int = NEXT) -> Migration:
    return Migration(f"{number:04}_tried", text)


def test_migrations_are_numbered_from_one_without_a_gap() -> None:
    assert [migration.version for migration in shipped()] == list(range(1, NEXT))


async def test_migrating_an_empty_database_names_what_was_applied(empty_dsn: str) -> None:
    assert await version(empty_dsn) is None
    assert await migrate(empty_dsn) == [migration.name for migration in shipped()]
    assert await version(empty_dsn) == shipped()[-1].version


async def test_migrating_a_current_database_does_nothing(dsn: str) -> None:
    assert await migrate(dsn) == []


async def test_a_current_database_needs_no_rights_to_change_it(dsn: str) -> None:
    await run(
        dsn,
        "CREATE ROLE reader LOGIN PASSWORD 'r'",
        "GRANT USAGE ON SCHEMA monitor TO reader",
        "GRANT SELECT ON monitor.migrations TO reader",
    )
    try:
        assert await migrate(as_role(dsn, "reader", "r")) == []
    finally:
        await run(dsn, "DROP OWNED BY reader", "DROP ROLE reader")


async def test_runners_at_the_same_moment_apply_each_migration_once(empty_dsn: str) -> None:
    applied = await asyncio.gather(*(migrate(empty_dsn) for _ in range(6)))
    assert sorted(name for names in applied for name in names) == [migration.name for migration in shipped()]


async def test_a_runner_waits_only_so_long_for_another(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasources.migrate._LOCK_SECONDS", 1)
    other = await asyncpg.connect(dsn)
    try:
        async with other.transaction():
            await other.execute(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})")
            with pytest.raises(MigrationLocked):
                await migrate(dsn)
    finally:
        await other.close()


async def test_a_postgres_that_is_too_old_is_refused(empty_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasources.migrate._OLDEST_POSTGRES", 99)
    with pytest.raises(UnsupportedPostgres, match="this is Postgres 18: 99 or newer is needed"):
        await migrate(empty_dsn)


async def test_a_failed_migration_leaves_nothing_of_itself(dsn: str) -> None:
    before = await catalogue(dsn)
    broken = migration("CREATE TABLE monitor.half (id int);\n\nSELECT 1 / 0;\n")
    with pytest.raises(MigrationFailed):
        await migrate(dsn, [*shipped(), broken])
    assert await catalogue(dsn) == before
    assert await version(dsn) == shipped()[-1].version


async def test_a_failed_first_migration_leaves_not_even_the_schema(empty_dsn: str) -> None:
    before = await catalogue(empty_dsn)
    with pytest.raises(MigrationFailed):
        await migrate(empty_dsn, [migration("CREATE TABLE monitor.half (id int); SELECT 1 / 0", 1)])
    assert await catalogue(empty_dsn) == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT 1;\n\n-- why\nSELECT 1 / 0;\n", "line 4: division by zero"),
        ("SELECT 'a;b';\nSELECT 1,\n       nonsense;", 'line 3: column "nonsense" does not exist'),
        ("DO $$ BEGIN\n  NULL; END $$;\n/* ; */ CREATE TABLE pg_catalog.pg_class ();", "line 3: "),
        (
            "CREATE FUNCTION monitor.f() RETURNS int LANGUAGE plpgsql AS $f$\nBEGIN\n  nonsense;\nEND $f$",
            "line 3: ",
        ),
    ],
)
async def test_a_failed_migration_is_told_by_file_and_line(dsn: str, text: str, message: str) -> None:
    with pytest.raises(MigrationFailed, match=f"^{NEXT:04}_tried.sql, {message}"):
        await migrate(dsn, [*shipped(), migration(text)])


async def test_a_database_of_a_newer_program_is_refused(dsn: str) -> None:
    await migrate(dsn, [*shipped(), migration("SELECT 1")])
    with pytest.raises(
        NewerDatabase, match=f"at version {NEXT}, this program knows {NEXT - 1}: upgrade casare-monitor"
    ):
        await migrate(dsn)


async def test_an_applied_migration_that_was_edited_is_refused(dsn: str) -> None:
    first, *rest = shipped()
    with pytest.raises(EditedMigration, match=first.name):
        await migrate(dsn, [Migration(first.name, f"{first.text}\n-- an afterthought"), *rest])


async def test_a_schema_of_that_name_which_is_not_ours_is_left_alone(empty_dsn: str) -> None:
    await run(empty_dsn, "CREATE SCHEMA monitor", "CREATE TABLE monitor.theirs (id int)")
    before = await catalogue(empty_dsn)
    with pytest.raises(ForeignSchema):
        await migrate(empty_dsn)
    await uninstall(empty_dsn)
    assert await catalogue(empty_dsn) == before


async def test_uninstalling_leaves_what_was_there_and_nothing_of_ours(empty_dsn: str) -> None:
    await run(
        empty_dsn,
        "CREATE TABLE public.theirs (id int PRIMARY KEY, name text)",
        "INSERT INTO public.theirs VALUES (1, 'kept')",
    )
    before = await catalogue(empty_dsn)
    await migrate(empty_dsn)
    assert await catalogue(empty_dsn) != before
    await uninstall(empty_dsn)
    assert await catalogue(empty_dsn) == before


async def test_an_extension_that_somebody_else_uses_is_not_taken_from_under_them(empty_dsn: str) -> None:
    await migrate(empty_dsn)
    await run(
        empty_dsn,
        "CREATE TABLE public.theirs (name text)",
        "CREATE INDEX theirs_search ON public.theirs USING gin (name monitor.gin_trgm_ops)",
    )
    before = await catalogue(empty_dsn)
    with pytest.raises(ExtensionInUse, match=r"index public\.theirs_search depends on"):
        await uninstall(empty_dsn)
    assert await catalogue(empty_dsn) == before
    await run(empty_dsn, "ALTER EXTENSION pg_trgm SET SCHEMA public")
    await uninstall(empty_dsn)
    assert not [name for name in await catalogue(empty_dsn) if "monitor" in name]


async def test_an_owner_who_is_no_superuser_can_install_and_uninstall(empty_dsn: str) -> None:
    name = urlsplit(empty_dsn).path[1:]
    await run(
        empty_dsn,
        "CREATE ROLE plain LOGIN PASSWORD 'p'",
        f"GRANT CREATE, CONNECT ON DATABASE {name} TO plain",
    )
    try:
        before = await catalogue(empty_dsn)
        plain = as_role(empty_dsn, "plain", "p")
        await migrate(plain)
        await uninstall(plain)
        assert await catalogue(empty_dsn) == before
    finally:
        await run(empty_dsn, "DROP OWNED BY plain", "DROP ROLE plain")


async def test_a_database_can_be_installed_again_after_it_was_uninstalled(dsn: str) -> None:
    await uninstall(dsn)
    await migrate(dsn)
    assert await version(dsn) == shipped()[-1].version


def test_the_committed_schema_is_what_the_migrations_make(dsn: str) -> None:
    committed = Path(datasources.__file__).with_name("schema.sql").read_text(encoding="utf-8")
    assert dump_schema(dsn) == committed, "run `make schema`"


def as_role(dsn: str, role: str, password: str) -> str:
    url = urlsplit(dsn)
    return url._replace(netloc=f"{role}:{password}@{url.hostname}:{url.port}").geturl()
