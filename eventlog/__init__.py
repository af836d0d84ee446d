"""The event log as a port: topics, partitioning, entries, appenders for Kafka and Redis Streams."""
