"""Dashboards for Grafana, as typed Python: ``python -m dashboards`` writes ``deploy/grafana/``."""
