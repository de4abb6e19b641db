"""Who may come in: credentials, keys and tokens, and the audit of it."""
