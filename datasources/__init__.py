"""What is known: Postgres, the attached sources, migrations and the typed queries over them."""
