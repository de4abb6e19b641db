"""What is served: GraphQL over HTTP, GraphiQL and the health of the service."""
