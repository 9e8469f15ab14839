"""The configuration: one declaration of settings for flags, environment, YAML file and the documentation."""

from exporter.config.catalog import add_flags, given_flags, without_flag
from exporter.config.load import Layer, build, flag_layer, load
from exporter.config.mistakes import ConfigError, Mistake
from exporter.config.settings import Auth, Discover, Http, Log, Metrics, Poll, Project, Settings, User, Web
from exporter.config.shown import shown
from exporter.config.users import users_of_file
from exporter.config.values import format_duration, parse_duration

__all__ = [
    "Auth",
    "ConfigError",
    "Discover",
    "Http",
    "Layer",
    "Log",
    "Metrics",
    "Mistake",
    "Poll",
    "Project",
    "Settings",
    "User",
    "Web",
    "add_flags",
    "build",
    "flag_layer",
    "format_duration",
    "given_flags",
    "load",
    "parse_duration",
    "shown",
    "users_of_file",
    "without_flag",
]
