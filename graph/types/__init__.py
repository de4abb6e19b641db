"""The types of the graph. Their roots are the rows of `datasources`: nothing is copied on the way out."""
