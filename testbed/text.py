"""Text from outside, made safe to show: what would steer a terminal, or hide, is written out."""

from __future__ import annotations

import unicodedata


def visible(text: str) -> str:
    r"""Control, format and other unprintable characters as Python escapes; lines stay lines.

    So nothing colours, erases, reverses (bidirectional controls) or forges what is beside
    it, and lone surrogates, which no file or terminal can take, do not end a program.

    >>> visible("gate\x1b[31m \u202eway")
    'gate\\x1b[31m \\u202eway'
    """
    if text.isprintable():
        return text
    return "".join(c if _shows(c) else c.encode("unicode_escape").decode() for c in text)


def _shows(character: str) -> bool:
    return character.isprintable() or character in "\n\t" or unicodedata.category(character) == "Zs"
