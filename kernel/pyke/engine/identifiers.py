"""Identifiers and names: what may become a path, and what may be typed."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

from pyke.errors import InvalidRequest

FULL_ID = re.compile(r"[0-9a-f]{64}\Z")
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z")
MAX_NAME = 255  # a name becomes a host name, a file name and a DNS label

ADJECTIVES = """
able amber apt arctic balmy bold brave breezy bright brisk calm candid chipper civil clear clever coral cosy crisp daring deft dapper
eager early earnest easy elated fair fearless fleet fluent fond frank fresh gentle glad golden grand happy hardy hearty honest humble
ideal jaunty jolly keen kind lively loyal lucid lucky mellow merry mild misty modest neat nimble noble oaken open patient perky placid
plucky polite proud quick quiet rapid ready ruby rustic sandy serene sharp silent silver sleek smart snug solid sound spry steady stoic
sunny swift tidy trusty upbeat vivid warm wise witty zesty
""".split()

FISHES = """
anchovy angler archer barb barracuda bass betta bleak blenny bluefish boga bonito bowfin bream brill burbot carp catfish char chub cisco
clown cobia cod coley conger cusk dab dace danio darter discus dorado eel escolar flounder gar goby grayling grouper grunion gudgeon guppy
gurnard haddock hake halibut herring hoki huchen ide jack koi lamprey ling loach lumpfish mackerel marlin medaka minnow molly moray mullet
opah orfe oscar parrot perch pike pipefish plaice pollock pompano puffer rasbora ray remora roach rudd ruffe salmon sardine sculpin shad
skate smelt snapper sole sprat sturgeon sunfish tang tench tetra tilapia trout tuna turbot wels whiting wrasse zander
""".split()


def new_id() -> str:
    """64 random hexadecimal digits. Never all decimal in its short form: Docker's clients would read that as a number."""
    while True:
        id = secrets.token_hex(32)
        if not id[:12].isdigit():
            return id


def is_full_id(text: str) -> bool:
    return FULL_ID.match(text) is not None


def check_id(text: str) -> str:
    """The ID itself, where it is one; an identifier that becomes a path passes here first."""
    if not is_full_id(text):
        raise InvalidRequest(f"{text[:80]!r} is not an ID of 64 hexadecimal digits")
    return text


def check_name(name: str) -> str:
    """A container's name, where Docker would take it."""
    if len(name) > MAX_NAME or not NAME.match(name):
        raise InvalidRequest(f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    return name


def random_name(is_taken: Callable[[str], bool]) -> str:
    """A name nobody uses: an adjective and a fish, with a number when the sea is full."""
    for attempt in range(1000):
        name = f"{secrets.choice(ADJECTIVES)}_{secrets.choice(FISHES)}"
        if attempt > 5:
            name += str(secrets.randbelow(10 ** min(attempt, 9)))
        if not is_taken(name):
            return name
    raise InvalidRequest("no free name was found", hint="pyke run --name NAME ...")
