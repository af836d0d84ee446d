"""What is kept in Redis and how: visitor states, model snapshots, catalog versions, timers."""
