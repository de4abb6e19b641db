"""What people open in a browser, and what browsers are told: GraphiQL, the pages about REST, the health."""
