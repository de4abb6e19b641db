-- Workflows within a scope: without it, one that lies wholly outside would be walked job by job to find that out.
CREATE INDEX jobs_by_workflow_environment ON monitor.jobs (workflow_id, environment, created_at, job_id);
