"""A fleet of real robots: processes that claim PgQueuer jobs, run DBOS workflows and report by GraphQL."""
