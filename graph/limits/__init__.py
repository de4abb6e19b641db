"""How much of everything anybody may have, and for how long."""
