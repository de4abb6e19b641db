"""Subscriptions as they are executed: once for all who ask the same."""
