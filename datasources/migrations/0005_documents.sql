-- Trusted documents: the operations that the clients of this installation were built with, by the id they send.
CREATE TABLE monitor.documents (
    id            text PRIMARY KEY CHECK (id <> ''),
    sha256        text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    text          text NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT now()
);
