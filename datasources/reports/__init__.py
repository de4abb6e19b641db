"""What robots tell of themselves, where no attached source does: registration, heartbeats, jobs and their steps.

Every report is idempotent: sent again, it changes nothing. A report that contradicts what is known is refused with a
code and kept in `monitor.source_errors`, so that the robot learns of it and so does whoever looks after it.
"""
