"""Names that people write: of users, domains, user groups and labels.

Every check raises ValueError with a reason that says what to do and never repeats the name.
"""

import re
import unicodedata
from collections.abc import Callable
from enum import IntEnum
from fnmatch import translate
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator

from exporter.config.values import Line, matching, one_line, require

_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,128}")  # names that need no further check
_SPACE = " \t\r\n"  # of ASCII; other spaces around a name are reported
# What Unicode ignores in display besides the category Cf: fillers, variation selectors and the blank of Braille.
_IGNORED = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
_INVISIBLE = {"Cf", "Zs", "Zl", "Zp"}  # categories of format characters, spaces and separators
_INVISIBLE_REASON = "must not contain invisible characters, or spaces other than the usual one; type the name anew"

# Each is a sign of another format than a plain list of names; no directory of the cloud allows them in a name. They are
# looked for in the compatibility form (NFKC), which has no wide forms of punctuation.
_FOREIGN = (
    (
        re.compile("[\"\u201c-\u201f\u00ab\u00bb]|^['`\u2018-\u201b]|['`\u2018-\u201b]$"),
        "must not be in quotes; remove them",
    ),
    (re.compile(","), "must not contain a comma, which separates name and id in users_file"),
    (
        re.compile("[;|:\u3001\u060c\u061b]"),
        "must not contain a separator other than the comma, which separates name and id in users_file",
    ),
    (re.compile("[{}]|^[-*] "), "must be a plain name, without the syntax of YAML or JSON"),
    (re.compile(r"\\"), "must not contain a backslash; write the domain after the name, as in name@domain"),
)
_PATTERN = re.compile(r"[*?\[\]]")
_ALL_USERS = (
    "must be a name, not a pattern: `discover: [{all: true}]` watches all users, "
    "and `exclude` takes the patterns of those to leave out"
)

# Labels that Prometheus or a metric of this exporter uses.
RESERVED_LABELS = frozenset(
    {"job", "instance", "le", "quantile", "project"}
    | {"session_state", "session_type", "client_type", "client_version", "agent_version", "age"}
    | {"app_server_group_id", "app_server_group_name", "status", "failed_code", "user_name"}
    | {"source", "operation", "code", "label", "version", "revision", "python_version"}
    | {"implementation", "major", "minor", "patchlevel", "generation"}  # of prometheus_client's own metrics
)


def plain_name(text: str) -> str:
    """Return a name without space around it, in Unicode's composed form (NFC); reject what people cannot see."""
    name = unicodedata.normalize("NFC", text.strip(_SPACE))
    if not name.isascii() and any(each != " " and unicodedata.category(each) in _INVISIBLE for each in name):
        raise ValueError(_INVISIBLE_REASON)
    if _IGNORED.search(name):
        raise ValueError(_INVISIBLE_REASON)
    return one_line(name)


def composed(name: str) -> str:
    """Return a name in Unicode's composed form (NFC)."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def folded(name: str) -> str:
    """Return what names have in common that differ only in case or in Unicode's forms.

    It is the same object where possible, for there may be many names.
    """
    form = composed(composed(name).casefold())
    return name if form == name else form


def login_parts(name: str, domain: str | None = None) -> tuple[str, str | None]:
    """Return name and domain of a user. The name may be a whole `login_user`, as in `name@domain`."""
    bare, _, own_domain = name.rpartition("@")
    return (bare, own_domain or None) if bare and not domain else (name, domain)


class Fit(IntEnum):
    """Whether two domains are the same."""

    OTHER = 0
    OPEN = 1  # one of them is unknown, or they cannot be compared
    SAME = 2


def domain_fit(one: str | None, other: str | None) -> Fit:
    """Compare two domains: DNS names such as ``corp.example``, or the short names that Windows uses, such as ``CORP``.

    A short name need not resemble the DNS name of its domain.
    """
    if not one or not other:
        return Fit.OPEN
    if one == other:
        return Fit.SAME
    short, long = sorted((folded(one), folded(other)), key=len)
    if short == long or ("." not in short and long.startswith(f"{short}.")):
        return Fit.SAME
    return Fit.OPEN if "." in long and "." not in short else Fit.OTHER


@lru_cache
def matcher(patterns: tuple[str, ...]) -> Callable[[str], object]:
    """Return a function that returns a match if one of the shell patterns matches a whole name, in any case."""
    whole = re.compile("|".join(translate(folded(pattern)) for pattern in patterns) or "(?!)")
    return lambda name: whole.match(folded(name))


def _check_of_list(further: Callable[[str], None]) -> AfterValidator:
    """Return a check for names that may have been copied from a table, a pattern or another list."""

    def check(text: str) -> str:
        if _PLAIN.fullmatch(text):
            return text
        name = plain_name(text)
        wide = unicodedata.normalize("NFKC", name)
        for sign, reason in _FOREIGN:
            if sign.search(wide):
                raise ValueError(reason)
        further(wide)
        return name

    return AfterValidator(check)


def _user_name(name: str) -> None:
    if _PATTERN.search(name):
        raise ValueError(_ALL_USERS)
    bare, at, domain = name.rpartition("@")
    if at and not (bare and domain):
        raise ValueError("must have a name before the @ and a domain after it")


def _domain(name: str) -> None:
    if _PATTERN.search(name) or "@" in name:
        raise ValueError("must be one whole domain, without @ and patterns")


_SHORT = matching(r".{1,128}", "must not be longer than 128 characters")

Name = Annotated[str, AfterValidator(plain_name), _SHORT]
UserName = Annotated[str, _check_of_list(_user_name), _SHORT]
UserId = Annotated[str, _check_of_list(lambda _: None), _SHORT]
Domain = Annotated[str, _check_of_list(_domain), _SHORT]
Pattern = Annotated[Name, matching("[^,;]+", "must be one pattern; write each as an entry of its own")]
LabelName = Annotated[
    str,
    matching("[A-Za-z_][A-Za-z0-9_]*", "must be letters, digits and underscores, and not begin with a digit"),
    require(
        lambda name: not re.match("__|exported_", name), "must not begin with __ or exported_; choose another name"
    ),
    require(lambda name: name not in RESERVED_LABELS, "is used by Prometheus or by a metric; choose another name"),
]
LabelValue = Annotated[Line, _SHORT]
