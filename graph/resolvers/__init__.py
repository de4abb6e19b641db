"""The root fields of the graph, by noun; each asks a loader or a datasource and nothing else."""
