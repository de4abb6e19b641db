"""What moves: the event log, and the streams that are fed from it."""
