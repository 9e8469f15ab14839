"""From layers to settings: merge, read the files they name, check, and tell every mistake at once."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from exporter.config import contents, document, rules
from exporter.config.environment import CONFIG_FILE, environment_layer, flag_layer, variable
from exporter.config.explain import explain
from exporter.config.files import UnreadableError, read_text
from exporter.config.layers import Layer, Merged, merge
from exporter.config.mistakes import ConfigError, Loc, Mistake
from exporter.config.settings import Settings


def load(flags: Mapping[str, str], environ: Mapping[str, str], *, default_project_id: str | None = None) -> Settings:
    """Return the settings from flags (by path), environment, the file that one of them names, and defaults.

    Users files are read into `users`. Files of secrets are checked, and read again by whoever uses them. All paths
    are absolute.

    Raises:
        ConfigError: with every mistake.
    """
    file = flags.get(CONFIG_FILE) or environ.get(variable(CONFIG_FILE))
    lowest = file_layer(Path(file)) if file else Layer("configuration", {})
    return build(flag_layer(flags), environment_layer(environ), lowest, default_project_id=default_project_id)


def file_layer(path: Path) -> Layer:
    """Return what a YAML file sets."""
    try:
        values = document.parse(read_text(path))
        if not isinstance(values, dict):
            raise UnreadableError("must be a mapping with the key projects")
    except ValueError as error:
        return Layer(str(path), {}, (Mistake(str(path), "", str(error)),))
    return Layer(str(path), values, directory=path.absolute().parent)


def build(*layers: Layer, default_project_id: str | None = None) -> Settings:
    """Return the settings of layers, highest precedence first; the project id is for projects that have none.

    Raises:
        ConfigError: with every mistake, those of the layers included.
    """
    merged = merge(*layers)
    if default_project_id is not None:
        _fill_project_ids(merged, default_project_id)
    unread = [mistake for layer in layers for mistake in layer.mistakes]
    refused = list(contents.read(merged))
    settings, wrong = _validated(merged.values)
    if unread and "projects" not in merged.values:
        wrong.pop(("projects",), None)  # what could not be read may be what is missing
    # What is wrong by itself is told once: neither is its file spoken of, nor is it compared with others.
    touched = {loc[:length] for loc in wrong for length in range(len(loc) + 1)}
    further = [(loc, reason) for loc, reason in (*rules.broken(merged, touched), *refused) if loc not in wrong]
    told = sorted([*wrong.items(), *further], key=lambda each: merged.position(each[0]))
    mistakes = [Mistake(*merged.place(loc), reason) for loc, reason in told]
    if settings is None or unread or mistakes:
        raise ConfigError([*unread, *mistakes])
    return settings


def _validated(values: Mapping[str, object]) -> tuple[Settings | None, dict[Loc, str]]:
    try:
        return Settings.model_validate(values), {}
    except ValidationError as error:
        return None, dict(explain(error))


def _fill_project_ids(merged: Merged, project_id: str) -> None:
    projects = merged.values.get("projects")
    if not isinstance(projects, list):
        return
    source = Layer("the environment's project id", {})
    for index, project in enumerate(projects):
        if isinstance(project, dict) and "project_id" not in project:
            project["project_id"] = project_id
            merged.origins["projects", index, "project_id"] = source
