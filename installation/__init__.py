"""What every process of an installation opens by its settings, each in one place: the log, Redis, the catalogs."""
