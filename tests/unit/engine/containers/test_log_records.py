"""Records of a log: those that are read together are those that are read one by one."""

import json

from hypothesis import given
from hypothesis import strategies as st

from pyke.engine.containers import logs
from pyke.engine.containers.log_records import parse_time
from pyke.runtime.logfile import LogFile, timestamp


@given(st.integers(min_value=0, max_value=4_000_000_000_000_000_000))
def test_times_survive(nanoseconds: int) -> None:
    assert parse_time(timestamp(nanoseconds).decode()) == nanoseconds


def test_plain_and_escaped_records_are_read_alike(tmp_path) -> None:
    path = str(tmp_path / "log")
    lines = [b"plain\n", b'"quoted"\n', "grüße\n".encode(), b"tab\tand \\ and \x1b[0m\n", b"<&>\n", b"no end"]
    log = LogFile(path)
    for line in lines:
        log.write("stderr", line)
    log.close()
    assert [(record.stream, record.data) for record in logs.read(path)] == [("stderr", line) for line in lines]


LINES = st.lists(
    st.tuples(
        st.sampled_from(["", "a", "b", "two words", 'a "quote"', "back\\slash", "é", "\ttab", '","stream":"stdout"', "x" * 300]),
        st.sampled_from(["\n", "\n", "\n", ""]),
        st.sampled_from(["stdout", "stdout", "stderr"]),
        st.sampled_from([1, 1, 1, 1_700_000_000_123_456_789]),
    ),
    max_size=60,
)


@given(LINES)
def test_lines_that_are_read_together_are_those_that_are_read_one_by_one(tmp_path_factory, lines) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    written = [{"log": text + end, "stream": stream, "time": timestamp(time).decode()} for text, end, stream, time in lines]
    records = [json.dumps(record, separators=(",", ":"), ensure_ascii=False) for record in written]
    path.write_text("".join(f"{record}\n" for record in records))
    expected = [(time, stream, (text + end).encode()) for text, end, stream, time in lines]
    assert [(record.time, record.stream, record.data) for record in logs.read(str(path))] == expected
