from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke.errors import InvalidRequest, NotFound
from pyke.http.exchange import Query, Reply, Request
from pyke.http.moments import moment
from pyke.http.router import Router, decode_path
from pyke.http.table import all_routes
from pyke.http.versions import NEWEST, Version, split


def answer(request: Request) -> Reply:
    return Reply()


ROUTER = Router({("GET", "/images/json"): answer, ("GET", "/images/{name:path}/json"): answer, ("GET", "/containers/{name}/json"): answer})


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/images/json", {}),
        ("/images/busybox/json", {"name": "busybox"}),
        ("/images/registry.test:5000/a/b:c/json", {"name": "registry.test:5000/a/b:c"}),
        ("/containers/abc/json", {"name": "abc"}),
    ],
)
def test_templates(path: str, found: dict[str, str]) -> None:
    assert ROUTER.find("GET", path)[1] == found


@pytest.mark.parametrize(
    "path", ["/containers/a/b/json", "/containers//json", "/containers/json/", "/Images/json", "", "x", "//", "/images/json\n"]
)
def test_paths_that_are_nobodys(path: str) -> None:
    with pytest.raises(NotFound, match="page not found"):
        ROUTER.find("GET", path)


@given(st.text(max_size=40), st.sampled_from(["GET", "POST", "DELETE", "HEAD"]))
def test_any_path_is_found_or_not(path: str, method: str) -> None:
    try:
        handler, _ = all_routes().find(method, path)
    except NotFound:
        return
    assert callable(handler)


def test_a_path_is_decoded_once() -> None:
    assert decode_path("/images/a%2Fb%252F/json") == "/images/a/b%2F/json"
    for path in ("/a%00", "/a%ff"):
        with pytest.raises(InvalidRequest):
            decode_path(path)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/v1.41/info", (Version(1, 41), "/info")),
        ("/info", (NEWEST, "/info")),
        ("/v1/info", (NEWEST, "/v1/info")),
        ("/v1.41", (NEWEST, "/v1.41")),
        ("/volumes", (NEWEST, "/volumes")),
    ],
)
def test_versions_of_paths(path: str, found: tuple[Version, str]) -> None:
    assert split(path) == found


def test_versions_compare_as_numbers() -> None:
    assert Version(1, 9) < Version(1, 24) < Version(1, 47)


def test_queries() -> None:
    query = Query("a=1&b=0&c=&d=true&e=a%20b&a=2&n=5")
    assert (query.flag("a"), query.flag("b"), query.flag("c"), query.flag("d"), query.flag("x")) == (True, False, False, True, False)
    assert (query.text("e"), query.all("a"), query.integer("n"), query.integer("x")) == ("a b", ["1", "2"], 5, None)
    for text in ("a=%00", "&".join(f"a{number}=1" for number in range(2000))):
        with pytest.raises(InvalidRequest):
            Query(text)
    with pytest.raises(InvalidRequest, match="the parameter n must be an integer"):
        Query("n=5x").integer("n")


def test_filters_come_in_two_notations() -> None:
    assert Query('filters={"label":["a=b","c"]}').filters() == {"label": ["a=b", "c"]}
    assert Query('filters={"label":{"a=b":true,"c":false}}').filters() == {"label": ["a=b", "c"]}
    assert Query('filters={"label":null}').filters() == {"label": []}
    assert Query("").filters() == {}
    for text in ("filters=x", "filters=[]", 'filters={"a":"b"}', 'filters={"a":[1]}'):
        with pytest.raises(InvalidRequest):
            Query(text).filters()


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("", 0),
        ("0", 0),
        ("1136073845", 1136073845 * 10**9),
        ("1136073845.000000001", 1136073845 * 10**9 + 1),
        ("1136073845.5", 1136073845 * 10**9 + 5 * 10**8),
        ("2006-01-02T15:04:05Z", 1136214245 * 10**9),
        ("2006-01-02T15:04:05.123456789+01:00", 1136210645 * 10**9 + 123456000),
        ("2006-01-02", 1136160000 * 10**9),
    ],
)
def test_moments(text: str, nanoseconds: int) -> None:
    assert moment(text) == nanoseconds


@pytest.mark.parametrize("text", ["yesterday", "1h", "-5", "1e9", "9" * 30])
def test_moments_that_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="invalid time"):
        moment(text)
