"""Replies that tell of progress: JSON objects, one a line, the last of which may be an error."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from pyke.errors import PykeError
from pyke.http.exchange import Stream, encode

T = TypeVar("T")


def progress(objects: Iterable[Mapping[str, Any]], *, cancel: Callable[[], None] | None = None) -> Stream:
    """The stream of `objects`. What fails before the first of them is answered with a status; later, as Docker's `errorDetail`.

    `cancel` is called when the client is gone.
    """
    return Stream(_lines(eager(objects)), cancel=cancel)


def told(objects: Iterable[Mapping[str, Any]]) -> Stream:
    """The same, but what fails before the first of them is told in the stream, too, where that is the place in which clients look."""
    return Stream(eager(_lines(iter(objects))))


def eager(items: Iterable[T]) -> Iterator[T]:
    """The same items, the first of which is made now: an error that it raises still finds the head of the reply unsent."""
    iterator = iter(items)
    first = list(itertools.islice(iterator, 1))
    return itertools.chain(first, iterator)


def _lines(objects: Iterator[Mapping[str, Any]]) -> Iterator[bytes]:
    try:
        for each in objects:
            yield encode(each)
    except PykeError as error:
        detail = {"message": error.message} | ({"hint": error.hint} if error.hint else {})
        yield encode({"errorDetail": detail, "error": error.message})
