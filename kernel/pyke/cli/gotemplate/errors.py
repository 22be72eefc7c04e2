"""What goes wrong with a template."""

from __future__ import annotations


class TemplateError(Exception):
    """A template that does not parse, or cannot be applied to what it is given; worded as Go words it."""


class WrongType(TemplateError):
    """An argument of a function is not of the type that the function takes."""

    def __init__(self, position: int, wanted: str, got: str) -> None:
        super().__init__(f"wrong type for value; expected {wanted}; got {got}")
        self.position = position
