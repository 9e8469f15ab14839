"""The configuration: one declaration of settings for flags, environment, YAML file and reference."""

from exporter.config.durations import Duration, format_duration, parse_duration
from exporter.config.environment import environment_layer, flag_layer
from exporter.config.flags import add_flags, given_flags
from exporter.config.layers import Layer
from exporter.config.load import build, file_layer, load
from exporter.config.mistakes import ConfigError, Mistake
from exporter.config.reference import reference_table
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

__all__ = [
    "Auth",
    "ConfigError",
    "Duration",
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
    "environment_layer",
    "file_layer",
    "flag_layer",
    "format_duration",
    "given_flags",
    "load",
    "parse_duration",
    "reference_table",
]
