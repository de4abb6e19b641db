"""Whatever a token comes by, no log holds it, not even one for debugging."""

import logging
from contextlib import suppress

import pytest
from serving import serving
from speaking import hear, introduced, say, token_of
from tokens_at_hand import SECRET, socket
from websockets.exceptions import ConnectionClosed

OURS = ("uvicorn", "graph", "asyncio", "datasources", "subscriptions")


def test_no_log_of_a_server_holds_a_token(seeded_dsn: str, caplog: pytest.LogCaptureFixture) -> None:
    token, forged = token_of(), "forged.forged.forged"
    with serving(seeded_dsn, jwt_secret=SECRET) as server:
        logging.getLogger("uvicorn").addHandler(caplog.handler)  # which tells the root nothing
        for name in ("uvicorn.error", "uvicorn.access", "uvicorn.asgi", "graph"):
            caplog.set_level(logging.DEBUG, name)
        for value in (token, forged):
            with socket(server, f"/ws/live-jobs?token={value}") as client, suppress(ConnectionClosed):
                client.send("ping")
            server.http.get(
                f"/graphql?query={{__typename}}&token={value}", headers={"Authorization": f"Bearer {value}"}
            )
        with introduced(server, {"authToken": token}) as client:
            say(client, "ping", {"type": "renew", "authToken": forged})
            assert hear(client, "pong")["payload"]["renewed"] is False
    logging.getLogger("uvicorn").removeHandler(caplog.handler)
    ours = [record for record in caplog.records if record.name.startswith(OURS)]
    assert any("/ws/live-jobs" in record.getMessage() for record in ours if record.name == "uvicorn.error")
    for record in ours:
        said = f"{record.getMessage()} {vars(record)}"
        assert token[-20:] not in said
        assert forged not in said
