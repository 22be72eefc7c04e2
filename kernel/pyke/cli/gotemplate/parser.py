"""From tokens to nodes: one pass, one look ahead."""

from __future__ import annotations

from collections.abc import Sequence

from pyke.cli.gotemplate import lexer
from pyke.cli.gotemplate.errors import TemplateError
from pyke.cli.gotemplate.functions import FUNCTIONS
from pyke.cli.gotemplate.lexer import Piece, Token
from pyke.cli.gotemplate.nodes import Branch, Command, Constant, Function, Include, Jump, Node, Operand, Path, Pipeline, Print, Text

MAXIMUM_DEPTH = 50
_WORDS: dict[str, object] = {"true": True, "false": False, "nil": None}


def parse(template: str) -> tuple[tuple[Node, ...], dict[str, tuple[Node, ...]]]:
    """Parse a template into its nodes and the templates that it defines; TemplateError with Go's words."""
    body = _Body(list(lexer.pieces(template)))
    nodes, end = body.nodes(0, ranges=0)
    if end:
        raise TemplateError(f"template: :{body.line}: unexpected {{{{{end}}}}}")
    return nodes, body.defined


class _Body:
    """The pieces of a template, and how far they are parsed."""

    def __init__(self, pieces: list[Piece]) -> None:
        self.pieces = pieces
        self.position = 0
        self.line = 1
        self.variables: list[str] = ["$"]
        self.defined: dict[str, tuple[Node, ...]] = {}

    def nodes(self, depth: int, ranges: int) -> tuple[tuple[Node, ...], str]:
        """Parse up to the `end` or `else` that closes this level: the nodes, and which it was ("" at the end of the template)."""
        if depth > MAXIMUM_DEPTH:
            raise TemplateError(f"template: :{self.line}: nested too deeply")
        nodes: list[Node] = []
        known = len(self.variables)
        while self.position < len(self.pieces):
            piece = self.pieces[self.position]
            self.position += 1
            self.line = piece.line
            if piece.tokens is None:
                nodes.append(Text(piece.text))
                continue
            word = piece.tokens[0].text if piece.tokens[0].kind == "word" else ""
            if word in ("end", "else"):
                if word == "else":
                    self.position -= 1  # the caller looks at what follows `else`
                del self.variables[known:]
                return tuple(nodes), word
            if word == "define":
                self._define(_Action(piece.tokens[1:], piece.line, ["$"]).name("define"), piece, depth)
            else:
                nodes.append(self._node(word, piece, depth, ranges))
        return tuple(nodes), ""

    def _node(self, word: str, piece: Piece, depth: int, ranges: int) -> Node:
        tokens = piece.tokens or ()
        if word in ("if", "with", "range"):
            return self._branch(word, tokens[1:], depth, ranges)
        if word in ("break", "continue"):
            if not ranges:
                raise TemplateError(f"template: :{piece.line}: {{{{{word}}}}} outside {{{{range}}}}")
            return Jump(word)
        if word in ("template", "block"):
            return self._include(word, piece, depth)
        return Print(_Action(tokens, piece.line, self.variables).whole("command"))

    def _define(self, name: str, piece: Piece, depth: int) -> None:
        """Parse the body of a template with a name; it sees no variables of ours."""
        outside, self.variables = self.variables, ["$"]
        body, end = self.nodes(depth + 1, 0)
        if end != "end":
            raise TemplateError(f"template: :{piece.line}: unexpected {f'{{{{{end}}}}}' if end else 'EOF'} in define clause")
        self.variables = outside
        self.defined[name] = body

    def _include(self, word: str, piece: Piece, depth: int) -> Include:
        tokens = piece.tokens or ()
        action = _Action(tokens[1:], piece.line, self.variables)
        name = action.name(word, alone=False)
        pipeline = action.whole(word) if len(tokens) > 2 or word == "block" else None
        if word == "block":
            self._define(name, piece, depth)
        return Include(name, pipeline, piece.text, piece.line, tokens[1].column)

    def _branch(self, kind: str, tokens: Sequence[Token], depth: int, ranges: int) -> Branch:
        known, line = len(self.variables), self.line
        pipeline = _Action(tokens, line, self.variables).whole(kind, ranges=kind == "range")
        body, end = self.nodes(depth + 1, ranges + (kind == "range"))
        otherwise: tuple[Node, ...] = ()
        if end == "else":
            otherwise, end = self._otherwise(kind, depth, ranges)
        if end != "end":
            raise TemplateError(f"template: :{self.line}: unexpected EOF")
        del self.variables[known:]
        return Branch(kind, pipeline, body, otherwise)

    def _otherwise(self, kind: str, depth: int, ranges: int) -> tuple[tuple[Node, ...], str]:
        """Parse what follows `else`; `else if` is an `if` within, which shares our `end`."""
        tokens = self.pieces[self.position].tokens or ()
        self.position += 1
        if len(tokens) > 1:
            word = tokens[1].text
            if word != kind or kind not in ("if", "with"):
                raise TemplateError(f"template: :{self.line}: unexpected <{word}> in else")
            return (self._branch(word, tokens[2:], depth + 1, ranges),), "end"
        nodes, end = self.nodes(depth + 1, ranges)
        if end == "else":
            raise TemplateError(f"template: :{self.line}: expected end; found {{{{else}}}}")
        return nodes, end


class _Action:
    """The tokens of one action, and how far they are parsed."""

    def __init__(self, tokens: Sequence[Token], line: int, variables: list[str]) -> None:
        self.tokens = tokens
        self.line = line
        self.variables = variables
        self.position = 0

    def _peek(self, ahead: int = 0) -> Token | None:
        place = self.position + ahead
        return self.tokens[place] if place < len(self.tokens) else None

    def _fail(self, message: str) -> TemplateError:
        return TemplateError(f"template: :{self.line}: {message}")

    def name(self, context: str, *, alone: bool = True) -> str:
        """The string that names a template; it stands `alone` in the action or is followed by a pipeline."""
        token = self._peek()
        if token is None or token.kind != "string":
            raise self._fail(f"unexpected {f'<{token.text}>' if token else '{{end}}'} in {context} clause")
        self.position += 1
        if alone and (following := self._peek()) is not None:
            raise self._fail(f"unexpected <{following.text}> in {context} clause")
        return token.text

    def whole(self, context: str, *, ranges: bool = False) -> Pipeline:
        """The pipeline that the tokens are, with its declaration."""
        names, declares = self._declaration(ranges)
        pipeline = self._pipeline(context, 0)
        if (token := self._peek()) is not None:
            if token.kind == ")":
                raise self._fail("unexpected right paren")
            raise self._fail(f"unexpected <{token.text}> in {context}")
        if declares:
            self.variables += names
        return Pipeline(pipeline.commands, names, declares)

    def _declaration(self, ranges: bool) -> tuple[tuple[str, ...], bool]:
        names: list[str] = []
        place = 0
        while (token := self._peek(place)) is not None and token.kind == "variable" and len(names) < (2 if ranges else 1):
            names.append(token.text)
            following = self._peek(place + 1)
            if following is None:
                return (), True
            if following.kind in (":=", "="):
                self._require_known(names if following.kind == "=" else [])
                self.position += place + 2
                return tuple(names), following.kind == ":="
            if following.kind != ",":
                return (), True
            place += 2
        return (), True

    def _require_known(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in self.variables:
                raise self._fail(f'undefined variable "{name}"')

    def _pipeline(self, context: str, depth: int) -> Pipeline:
        if depth > MAXIMUM_DEPTH:
            raise self._fail("nested too deeply")
        commands: list[Command] = []
        while True:
            operands = self._operands(depth)
            if not operands:
                raise self._fail(f"missing value for {context}")
            if commands and isinstance(operands[0], Constant):
                raise self._fail(f"non executable command in pipeline stage {len(commands) + 1}")
            commands.append(Command(tuple(operands)))
            token = self._peek()
            if token is None or token.kind != "|":
                return Pipeline(tuple(commands))
            self.position += 1

    def _operands(self, depth: int) -> list[Operand]:
        operands: list[Operand] = []
        while (token := self._peek()) is not None and token.kind not in ("|", ")"):
            self.position += 1
            operands.append(self._operand(token, depth))
        return operands

    def _operand(self, token: Token, depth: int) -> Operand:
        if token.kind == "string":
            return Constant(token.text, token.source, self.line, token.column)
        if token.kind == "number":
            return Constant(self._number(token.text), token.source or token.text, self.line, token.column)
        if token.kind == "(":
            return self._parenthesis(token, depth)
        if token.kind == "field":
            fields = (token.text[1:],) if token.text != "." else ()
            return self._path(".", fields, token)
        if token.kind == "variable":
            self._require_known([token.text])
            return self._path(token.text, (), token)
        if token.kind == "word" and token.text in _WORDS:
            return Constant(_WORDS[token.text], token.text, self.line, token.column)
        if token.kind == "word":
            if token.text not in FUNCTIONS:
                raise self._fail(f'function "{token.text}" not defined')
            return Function(token.text, self.line, token.column)
        raise self._fail(f"unexpected <{token.text}> in operand")

    def _path(self, start: str | Pipeline, fields: tuple[str, ...], first: Token) -> Path:
        following = self._peek()
        column = following.column if following is not None and following.kind == "field" and not following.space else first.column
        return Path(start, fields + self._fields(), self.line, column)

    def _fields(self) -> tuple[str, ...]:
        """The `.b.c` that follow an operand without a space between."""
        names: list[str] = []
        while (token := self._peek()) is not None and token.kind == "field" and not token.space and token.text != ".":
            names.append(token.text[1:])
            self.position += 1
        return tuple(names)

    def _parenthesis(self, token: Token, depth: int) -> Path:
        pipeline = self._pipeline("parenthesized pipeline", depth + 1)
        closing = self._peek()
        if closing is None:
            raise self._fail("unclosed left paren")
        self.position += 1
        return self._path(pipeline, (), token)

    def _number(self, text: str) -> int | float:
        try:
            return int(text, 0)
        except ValueError:
            pass
        try:
            return float(text)
        except ValueError:
            raise self._fail(f"bad number syntax: {text!r}".replace("'", '"')) from None
