"""What goes wrong with a template."""

from __future__ import annotations


class TemplateError(Exception):
    """A template that does not parse, or cannot be applied to what it is given; worded as Go words it."""
