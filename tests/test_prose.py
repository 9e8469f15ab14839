"""The documents, docstrings, HELP texts, settings and alerts are plain English."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.documents import DOCUMENTS, ROOT
from support.prose import TERMS, broken_rules, of_comments, of_document, of_source, of_texts, sentences, sources

if TYPE_CHECKING:
    from pathlib import Path

MODULES = [ROOT / "hatch_build.py", *(each for folder in ("exporter", "grafana", "tests") for each in sources(folder))]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_a_document_is_plain_english(document: Path) -> None:
    assert [*map(str, of_document(document))] == []


def test_docstrings_are_plain_english() -> None:
    assert [str(hit) for module in MODULES for hit in of_source(module)] == []


def test_comments_are_plain_english() -> None:
    assert [str(hit) for module in MODULES for hit in of_comments(module)] == []


def test_texts_of_metrics_settings_and_alerts_are_plain_english() -> None:
    assert [*map(str, of_texts())] == []


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ('"ask"', "The user is asked once a minute."),
        ('"tell"', "The page tells of each failure."),
        ('"stand"', "A session that stands at InitFail counts."),
        ('"whom"', "The doctor lists the users whom the cloud does not know."),
        ('"as far as"', "Names are shown as far as the setting allows."),
        ('"in the place of"', "Use the file in the place of the setting."),
        ('"of which"', "There are two projects, of which one fails."),
        ('"out of turn"', "Its user is polled out of turn."),
        ('"held back"', "The alert is held back by its cause."),
        ('"line to the cloud"', "Each project has a line to the cloud."),
        ('"in force"', "The configuration is in force."),
        ('"long ago"', "It was polled long ago."),
        ('"refused"', "The exporter pauses after refused credentials."),
        ('"sweep"', "A sweep lists all sessions."),
        ('"unproven"', "It sends an unproven call."),
        ('"looks back"', "The scan looks back at a day."),
        ('"goes on"', "The exporter goes on with the last version."),
        ('"but for"', "All is the same but for the port."),
        ('"where there is"', "It uses the proxy where there is one."),
        ('"nobody"', "Its work counts as nobody's."),
        ("inverted order", "Which projects a shard watches says the check."),
        ("inverted order", "Of tokens that you write yourself the end is not known."),
        ("inverted order", "What is wrong is logged."),
        ("more than 30 words", "One " + "and one " * 15 + "are many."),
    ],
)
def test_a_sentence_that_breaks_a_rule_is_found(rule: str, sentence: str) -> None:
    assert rule in [*broken_rules(sentence)]


def test_every_term_has_a_sentence_that_it_finds() -> None:
    (marks,) = test_a_sentence_that_breaks_a_rule_is_found.pytestmark  # type: ignore[attr-defined] # pytest sets it
    assert {f'"{term}"' for term in TERMS} <= {rule for rule, _ in marks.args[1]}


@pytest.mark.parametrize(
    "sentence",
    [
        "The exporter queries each user once a minute.",
        "Whether the account is locked.",
        "What can I do about it?",
        "Of course, a restart helps too.",
        "An account is unknown to the cloud.",
    ],
)
def test_a_plain_sentence_is_left_alone(sentence: str) -> None:
    assert [*broken_rules(sentence)] == []


def test_code_counts_as_a_word_and_list_items_and_cells_as_sentences() -> None:
    text = (
        "Set `a: {b: c, d: e}` first. Then reload.\n\n- One item\n- **Another** [item](there.md)\n\n| a cell | more |\n"
    )
    assert [*sentences(text)] == ["Set `code` first.", "Then reload.", "One item", "Another item", "a cell", "more"]
