"""The Grafana dashboards as code: a module a dashboard, and what they share."""
