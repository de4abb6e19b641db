"""From a document to an answer: known, judged, permitted, planned, executed, shared."""
