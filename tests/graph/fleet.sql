-- A small fleet that can be reasoned about: three robots, six jobs, one of them with steps.
INSERT INTO monitor.robots (robot_id, hostname, environment, status, capabilities, cpu_percent, memory_mb, memory_percent,
                            last_heartbeat, registered_at) VALUES
    ('r-busy', 'vm-b', 'production', 'busy', '{browser,sap}', 45.2, 1024.5, 12.5, now(), now() - interval '1 day'),
    ('r-idle', 'vm-a', 'production', 'idle', '{}', 1.5, 200, 2, now() - interval '5 seconds', now() - interval '2 days'),
    ('r-gone', 'vm-c', 'staging', 'busy', '{browser}', 99, 300, 3, now() - interval '1 hour', now() - interval '3 days');
INSERT INTO monitor.heartbeats (robot_id, at, status, cpu_percent, memory_mb, memory_percent, job_id) VALUES
    ('r-busy', now() - interval '20 seconds', 'idle', 2, 900, 10, NULL),
    ('r-busy', now() - interval '10 seconds', 'busy', 40, 1000, 12, 'j-run'),
    ('r-busy', now(), 'busy', 45.2, 1024.5, 12.5, 'j-run');
INSERT INTO monitor.jobs (job_id, source, workflow_id, workflow_name, robot_id, environment, status, raw_status, priority,
                          created_at, claimed_at, completed_at, error_type, error_message, retry_count, max_retries,
                          progress_percent, current_node) VALUES
    ('j-ok', 'pgqueuer', 'intake', 'Invoice intake', 'r-busy', 'production', 'completed', 'successful', 0,
     now() - interval '50 seconds', now() - interval '48 seconds', now() - interval '44 seconds', NULL, NULL, 0, 3, 100, NULL),
    ('j-bad', 'dbos', 'intake', 'Invoice intake', 'r-busy', 'production', 'failed', 'ERROR', 0,
     now() - interval '40 seconds', now() - interval '39 seconds', now() - interval '37 seconds',
     'InvoiceFormatError', 'line 3: no amount', 2, 3, 60, 'parse'),
    ('j-stop', 'report', 'report', 'Monthly report', 'r-idle', 'production', 'cancelled', 'cancelled', 5,
     now() - interval '30 seconds', NULL, now() - interval '29 seconds', NULL, NULL, 0, NULL, NULL, NULL),
    ('j-run', 'pgqueuer', 'intake', 'Invoice intake', 'r-busy', 'production', 'claimed', 'picked', 0,
     now() - interval '20 seconds', now() - interval '15 seconds', NULL, NULL, NULL, 0, 3, 40, 'extract'),
    ('j-lost', 'report', 'scrape', 'Price scraping', 'r-gone', 'staging', 'claimed', 'claimed', 0,
     now() - interval '2 hours', now() - interval '2 hours', NULL, NULL, NULL, 0, NULL, 10, NULL),
    ('j-wait', 'pgqueuer', 'report', 'Monthly report', NULL, 'production', 'pending', 'queued', 9,
     now() - interval '10 seconds', NULL, NULL, NULL, NULL, 0, 3, NULL, NULL);
INSERT INTO monitor.node_executions (job_id, position, node_id, node_type, status, started_at, completed_at, error_type,
                                     error_message, retry_count) VALUES
    ('j-bad', 0, 'download', 'step', 'completed', now() - interval '39 seconds', now() - interval '38.5 seconds', NULL, NULL, 0),
    ('j-bad', 1, 'parse', 'step', 'failed', now() - interval '38.5 seconds', now() - interval '37 seconds',
     'InvoiceFormatError', 'line 3: no amount', 2),
    ('j-run', 0, 'download', 'step', 'completed', now() - interval '15 seconds', now() - interval '12 seconds', NULL, NULL, 0),
    ('j-run', 1, 'extract', 'step', 'running', now() - interval '12 seconds', NULL, NULL, NULL, 0);
INSERT INTO monitor.healing_events (job_id, node_id, tier, success) VALUES
    ('j-bad', 'parse', 'heuristic', false), ('j-ok', 'click', 'anchor', true), ('j-ok', 'click', 'anchor', true),
    ('j-run', 'extract', 'vision', true);
