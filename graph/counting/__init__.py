"""What is counted for Prometheus beside requests: what workers do, the fleet, jobs as they end."""
