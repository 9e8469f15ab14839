"""Strict YAML 1.2: plain data from one document, or a mistake with its line and column."""

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent, DocumentStartEvent, NodeEvent

_SYNTAX = (
    "is not valid YAML; look here and above for an open bracket or quote, a tab, wrong indentation, "
    "or special characters without quotes"
)
# Far more than the settings have, far less than recursion bears.
_DEEPEST = 20
_VALUE = "has a key or value that YAML cannot read; put dates and long numbers in quotes"


class NotPlainYamlError(ValueError):
    """The text is refused, and why; the text itself is not repeated, it may hold secrets."""


def parse(text: str) -> object:
    """Return the data of one YAML document, None if it is empty.

    Raises:
        NotPlainYamlError: for anything that is not valid, doubled keys, a second document, and
            anchors, aliases, tags and directives.
    """
    try:
        _refuse_surprises(text)
        return _yaml().load(text)
    except DuplicateKeyError as error:
        raise NotPlainYamlError(
            _at(error.problem_mark, "repeats a key of the same mapping; keep one of them")
        ) from None
    except MarkedYAMLError as error:
        raise NotPlainYamlError(_at(error.problem_mark or error.context_mark, _SYNTAX)) from None
    except YAMLError:  # characters that YAML does not have
        raise NotPlainYamlError(_SYNTAX) from None
    except (TypeError, ValueError) as error:  # of the constructors: a month 13, a list as a key
        raise error if isinstance(error, NotPlainYamlError) else NotPlainYamlError(_VALUE) from None


def _refuse_surprises(text: str) -> None:
    """Refuse what makes a text mean something else than it says where it says it, or grow without bounds."""
    documents = depth = 0
    for event in _yaml().parse(text):
        documents += isinstance(event, DocumentStartEvent)
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > _DEEPEST:
            raise NotPlainYamlError(_at(event.start_mark, "is nested too deeply"))
        if documents > 1:
            raise NotPlainYamlError(_at(event.start_mark, "begins a second document; keep one"))
        if isinstance(event, DocumentStartEvent) and (event.version or event.tags):
            raise NotPlainYamlError(_at(event.start_mark, "follows a % directive; remove it"))
        if isinstance(event, NodeEvent) and (event.anchor or getattr(event, "tag", None)):
            raise NotPlainYamlError(
                _at(event.start_mark, "has an anchor (&), alias (*) or tag (!); write the value out")
            )


def _yaml() -> YAML:
    # A new one each time: it keeps the version that a directive sets.
    return YAML(typ="safe", pure=True)


def _at(mark: StringMark | None, reason: str) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}: {reason}" if mark else reason
