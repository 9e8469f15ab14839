"""The reference of all settings, for the README and for the help of flags."""

from exporter.config.tree import Leaf, leaves

_HEADER = "| setting | default | meaning |\n|---|---|---|\n"


def reference_table() -> str:
    """Return the Markdown table of every setting, its default and its meaning."""
    return _HEADER + "".join(f"| `{leaf.path}` | {_cell(leaf)} | {_escaped(leaf.meaning)} |\n" for leaf in leaves())


def _cell(leaf: Leaf) -> str:
    if leaf.field.is_required():
        return "required"
    return f"`{_escaped(leaf.default)}`" if leaf.default else ""


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
