"""Prometheus exporter for the sessions and users of Huawei Cloud Workspace."""

__version__ = "0.1.0"
