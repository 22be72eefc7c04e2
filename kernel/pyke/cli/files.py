"""Files of settings: `--env-file`, `--label-file`, and `KEY=VALUE` flags."""

from __future__ import annotations

import os

from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyke.cli.flags import Options

MAXIMUM_FILE = 16 * 1024 * 1024


def pairs(texts: Iterable[str]) -> dict[str, str]:
    """Turn "KEY=VALUE"s into a dict; a bare key has an empty value; the last of a key wins."""
    return {key: value for key, _, value in (text.partition("=") for text in texts)}


def read_text(path: str) -> str:
    """Read a file of the user's, at most 16 MiB."""
    with open(path, "rb") as file:
        data = file.read(MAXIMUM_FILE + 1)
    if len(data) > MAXIMUM_FILE:
        raise PykeError(f"{path} is larger than {MAXIMUM_FILE} bytes")
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise PykeError(f"invalid utf8 bytes in {path}: {error.reason} at byte {error.start}") from error


def read_pairs(paths: Iterable[str], *, from_environment: bool = False) -> list[str]:
    """Read "KEY=VALUE" lines; "#" starts a comment line.

    A bare key takes its value from our environment (`from_environment`); without one it is left out.
    """
    texts = []
    for path in paths:
        for line in read_text(path).splitlines():
            text = line.lstrip()
            if not text or text.startswith("#"):
                continue
            key, equals, _ = text.partition("=")
            if not key or any(character.isspace() for character in key):
                reason = f"variable '{key}' contains whitespaces" if key else f"no variable name on line '{text}'"
                raise PykeError(f"invalid env file ({path}): {reason}")
            if equals:
                texts.append(text)
            elif from_environment and key in os.environ:
                texts.append(f"{key}={os.environ[key]}")
    return texts


def environment(options: Options) -> list[str]:
    """`--env-file` and `-e`; a bare name takes its value from our own environment, if it has one there."""
    given = [*read_pairs(options.texts("env-file"), from_environment=True), *options.texts("env")]
    return [text if "=" in text or text not in os.environ else f"{text}={os.environ[text]}" for text in given]
