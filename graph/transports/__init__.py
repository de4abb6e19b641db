"""How operations come in and answers leave: HTTP, WebSocket, Server-Sent Events, REST, the legacy sockets."""
