import asyncpg

from datasources.migrate import current_version, migrate, shipped


async def test_a_migrated_database_is_at_the_newest_version_and_stays_there(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        assert await current_version(connection) == shipped()[-1].version
    finally:
        await connection.close()
    assert await migrate(dsn) == []


async def test_migrating_an_empty_database_names_what_was_applied(empty_dsn: str) -> None:
    assert await migrate(empty_dsn) == [migration.name for migration in shipped()]
