"""The command line: `casare-monitor` and what it starts."""
