"""The configuration: one declaration of settings for flags, environment, YAML file and reference."""

from exporter.config.catalog import add_flags, given_flags, reference_table
from exporter.config.errors import ConfigError, Mistake
from exporter.config.layers import Layer, flag_layer
from exporter.config.load import build, load
from exporter.config.settings import (
    Auth,
    Endpoints,
    Http,
    Log,
    Metrics,
    Poll,
    Project,
    Settings,
    Shard,
    User,
    Web,
)
from exporter.config.values import format_duration, parse_duration

__all__ = [
    "Auth",
    "ConfigError",
    "Endpoints",
    "Http",
    "Layer",
    "Log",
    "Metrics",
    "Mistake",
    "Poll",
    "Project",
    "Settings",
    "Shard",
    "User",
    "Web",
    "add_flags",
    "build",
    "flag_layer",
    "format_duration",
    "given_flags",
    "load",
    "parse_duration",
    "reference_table",
]
