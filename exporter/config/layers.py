"""Layers of settings: what each source says, laid over one another without losing who said what."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from exporter.config.files import with_absolute_files
from exporter.config.mistakes import Loc, Mistake, Place, dotted

if TYPE_CHECKING:
    from array import array


def _unspelled(_: Loc) -> str:
    return ""


@dataclass(frozen=True)
class Layer:
    """Where values came from, and the nested values.

    `mistakes` tells what could not be read at all, `directory` where relative paths start,
    `spelling` what the source calls a setting where that is not its path (a variable's name).
    """

    source: str
    values: Mapping[str, object]
    mistakes: tuple[Mistake, ...] = ()
    directory: Path = field(default_factory=Path.cwd)
    spelling: Callable[[Loc], str] = _unspelled


class Listed(NamedTuple):
    """A file that adds entries to a list: from which position on, and by which lines of it."""

    path: Path
    first: int
    numbers: "array[int]"


@dataclass
class Merged:
    """The values of several layers, and for each location the layer whose value won there.

    `lines` tells instead which web file its settings come from, `listed` which users file the last users of a list.
    """

    values: dict[str, object] = field(default_factory=dict)
    origins: dict[Loc, Layer] = field(default_factory=dict)
    lines: dict[Loc, str] = field(default_factory=dict)
    listed: dict[Loc, Listed] = field(default_factory=dict)

    def place(self, loc: Loc) -> Place:
        """Return where a value was written, or for a missing one what should hold it."""
        lengths = range(len(loc), -1, -1)
        at = next(loc[:length] for length in lengths if loc[:length] in self.origins or self._line(loc[:length]))
        if line := self._line(at):
            return Place(line, dotted(loc[len(at) :]))
        layer = self.origins[at]
        spelled = layer.spelling(at or loc)
        return Place(f"{layer.source} {spelled}".strip(), "" if spelled and at in {loc, ()} else dotted(loc))

    def _line(self, loc: Loc) -> str | None:
        match loc, self.listed.get(loc[:-1]):
            case (*_, int(position)), Listed(path, first, numbers) if position >= first:
                return f"{path}:{numbers[position - first]}"
        return self.lines.get(loc)

    def position(self, loc: Loc) -> tuple[int, ...]:
        """Return what sorts a location as its text does: by the order of keys and entries, missing ones first."""
        position: list[int] = []
        values: object = self.values
        for part in loc:
            match values, part:
                case dict(), _:
                    position.append(list(values).index(part) if part in values else -1)
                    values = values.get(part)
                case list(), int():
                    position.append(part)
                    values = values[part]
        return tuple(position)


def merge(*layers: Layer) -> Merged:
    """Lay the layers over one another, highest precedence first: mappings merge, everything else is replaced."""
    lowest = layers[-1] if layers else Layer("configuration", {})
    merged = Merged(origins={(): lowest})  # what nobody says is missing there
    for layer in reversed(layers):
        values = with_absolute_files(layer.values, layer.directory)
        _overlay(merged.values, values, (), layer, merged.origins)
    return merged


def _overlay(
    below: dict[str, object], above: Mapping[str, object], loc: Loc, layer: Layer, origins: dict[Loc, Layer]
) -> None:
    for key, value in above.items():
        here = (*loc, key)
        if not isinstance(value, Mapping):
            below[key], origins[here] = value, layer
            continue
        if key not in below:
            below[key], origins[here] = {}, layer
        # What is no mapping where others have one stays: a mistake to be told, not hidden.
        if isinstance(section := below[key], dict):
            _overlay(section, value, here, layer, origins)
