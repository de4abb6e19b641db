"""What who runs it sees: logs, metrics and traces of every exchange."""
