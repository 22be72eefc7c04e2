"""Cuts a template into text and actions, and actions into tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyke.cli.gotemplate.errors import TemplateError

SPACE = " \t\r\n"
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_AFTER_A_NAME = ("", ".", ",", "|", ":", ")", "(", *SPACE)
_HEXADECIMAL = {"x": 2, "u": 4, "U": 8}


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of an action. `kind`: word, field, variable, string, number, or the punctuation itself; `space` precedes it or not."""

    kind: str
    text: str
    column: int
    space: bool = False
    source: str = ""  # how a string or a character was written


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a template: plain text (tokens is None) or an action."""

    text: str
    tokens: tuple[Token, ...] | None
    line: int


def pieces(template: str) -> Iterator[Piece]:
    """Cut a template up. `{{-` and `-}}` trim the white space beside them; comments vanish."""
    position, trims = 0, False
    while (start := template.find("{{", position)) >= 0:
        text = template[position:start]
        opening = start + 2
        left = template[opening : opening + 1] == "-" and template[opening + 1 : opening + 2] in (*SPACE, "/")
        yield Piece(_trimmed(text, before=trims, after=left), None, template.count("\n", 0, start) + 1)
        if left:
            opening += 1
        tokens, position, trims = _action(template, opening)
        if tokens:
            yield Piece(template[start:position], tokens, template.count("\n", 0, start) + 1)
    yield Piece(_trimmed(template[position:], before=trims, after=False), None, template.count("\n") + 1)


def _trimmed(text: str, *, before: bool, after: bool) -> str:
    text = text.lstrip(SPACE) if before else text
    return text.rstrip(SPACE) if after else text


def _action(template: str, position: int) -> tuple[tuple[Token, ...], int, bool]:
    """Read up to the closing `}}`: the tokens, the position after it, and whether it trims."""
    line = template.count("\n", 0, position) + 1
    after_space = len(template) - len(template[position:].lstrip(SPACE))
    if template.startswith("/*", after_space):
        return _comment(template, after_space, line)
    tokens: list[Token] = []
    space = False
    while position < len(template):
        character = template[position]
        if template.startswith("}}", position):
            return _not_empty(tokens, line), position + 2, False
        if character in SPACE:
            if template.startswith("-}}", position + 1):
                return _not_empty(tokens, line), position + 4, True
            position, space = position + 1, True
            continue
        token, position = _token(template, position, line, space)
        tokens.append(token)
        space = False
    raise TemplateError(f"template: :{line}: unclosed action")


def _not_empty(tokens: list[Token], line: int) -> tuple[Token, ...]:
    if not tokens:
        raise TemplateError(f"template: :{line}: missing value for command")
    return tuple(tokens)


def _comment(template: str, position: int, line: int) -> tuple[tuple[Token, ...], int, bool]:
    end = template.find("*/", position + 2)
    if end < 0:
        raise TemplateError(f"template: :{line}: unclosed comment")
    for closing, trims in (("}}", False), (" -}}", True)):
        if template.startswith(closing, end + 2):
            return (), end + 2 + len(closing), trims
    raise TemplateError(f"template: :{line}: comment ends before closing delimiter")


def _token(template: str, position: int, line: int, space: bool) -> tuple[Token, int]:
    character = template[position]
    if character in '"`':
        return _string(template, position, line, space)
    if character == "'":
        return _character(template, position, line, space)
    if character in "(),|":
        return Token(character, character, position, space), position + 1
    if template.startswith(":=", position):
        return Token(":=", ":=", position, space), position + 2
    if character == "=":
        return Token("=", "=", position, space), position + 1
    if character.isdigit() or (character in "+-" and template[position + 1 : position + 2].isdigit()):
        return _span(template, position, "number", space, "0123456789abcdefABCDEFxXoO._+-")
    kind = {".": "field", "$": "variable"}.get(character, "word")
    if kind == "word" and not (character.isalpha() or character == "_"):
        raise TemplateError(f"template: :{line}: unexpected {character!r} in command".replace("'", '"'))
    return _name(template, position, kind, line, space)


def _name(template: str, position: int, kind: str, line: int, space: bool) -> tuple[Token, int]:
    end = position + 1
    while end < len(template) and (template[end].isalnum() or template[end] == "_"):
        end += 1
    following = template[end : end + 1]
    if following not in _AFTER_A_NAME and not template.startswith("}}", end):
        raise TemplateError(f"template: :{line}: bad character U+{ord(following):04X} '{following}'")
    return Token(kind, template[position:end], position, space), end


def _span(template: str, position: int, kind: str, space: bool, characters: str) -> tuple[Token, int]:
    end = position + 1
    while end < len(template) and template[end] in characters:
        end += 1
    return Token(kind, template[position:end], position, space), end


def _string(template: str, position: int, line: int, space: bool) -> tuple[Token, int]:
    quote, start = template[position], position
    raw = quote == "`"
    text, position = "", position + 1
    while position < len(template):
        character = template[position]
        if character == quote:
            return Token("string", text, start, space, template[start : position + 1]), position + 1
        if character == "\n" and not raw:
            break
        if character == "\\" and not raw:
            character, position = _escape(template, position + 1, line)
        else:
            position += 1
        text += character
    raise TemplateError(f"template: :{line}: unterminated {'raw ' if raw else ''}quoted string")


def _escape(template: str, position: int, line: int) -> tuple[str, int]:
    letter = template[position : position + 1]
    if letter in _ESCAPES and letter:
        return _ESCAPES[letter], position + 1
    digits = template[position + 1 : position + 1 + _HEXADECIMAL.get(letter, 0)]
    try:
        return chr(int(digits, 16)), position + 1 + len(digits)
    except (ValueError, OverflowError):
        raise TemplateError(f"template: :{line}: invalid syntax") from None


def _character(template: str, position: int, line: int, space: bool) -> tuple[Token, int]:
    """A Go rune constant is a number: 'a' is 97."""
    if template[position + 1 : position + 2] == "\\":
        character, end = _escape(template, position + 2, line)
    else:
        character, end = template[position + 1 : position + 2], position + 2
    if len(character) != 1 or template[end : end + 1] != "'":
        raise TemplateError(f"template: :{line}: unterminated character constant")
    return Token("number", str(ord(character)), position, space, template[position : end + 1]), end + 1
