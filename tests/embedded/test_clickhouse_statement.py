"""Where the data of an INSERT begins, and which format an answer comes in."""

import pytest

from wsadapter.embedded.clickhouse.statement import UnsupportedInsert, insert_with_data, output_format

BINARY = bytes(range(256)) + b"FORMAT CSV; '\n--\n"


@pytest.mark.parametrize(
    ("before", "format_clause"),
    [
        ("INSERT INTO t ", "FORMAT Protobuf\n"),
        ('insert into `a``b`."t" (`x`, y) ', "format Protobuf\r\n"),
        ("-- INSERT INTO t FORMAT CSV\n/* FORMAT TSV */ INSERT INTO t ", "FORMAT /* c */ Protobuf \t\n"),
        ("INSERT INTO t SETTINGS format_schema = 'it''s FORMAT CSV \\' \n' ", "FORMAT Protobuf\n"),
        ("INSERT INTO format (format, values) ", "FORMAT Protobuf\n"),
        ("INSERT INTO db.format ", "FORMAT Protobuf\n"),
        ("INSERT INTO FUNCTION file('x.csv', 'CSV', 'a Int8') ", "FORMAT Protobuf\n"),
        ("INSERT INTO TABLE FUNCTION remote('h', (SELECT 1 FORMAT Null)) ", "FORMAT Protobuf\n"),
    ],
)
def test_data_begins_after_the_format_clause(before: str, format_clause: str) -> None:
    statement = (before + format_clause).encode() + BINARY
    found = insert_with_data(statement)
    assert found is not None
    assert (found.head + found.settings, found.format) == (before.encode(), "Protobuf")
    assert statement[found.data :] == BINARY


def test_settings_stand_behind_the_file() -> None:
    found = insert_with_data(b"INSERT INTO t (a, settings) SETTINGS x = 1 FORMAT Protobuf\n...")
    assert found is not None
    wanted = b"INSERT INTO t (a, settings)  FROM INFILE '/f' SETTINGS x = 1  FORMAT Protobuf"
    assert found.reading("/f") == wanted


def test_data_may_begin_on_the_same_line() -> None:
    statement = b'INSERT INTO t FORMAT JSONEachRow {"a":1}'
    found = insert_with_data(statement)
    assert found is not None
    assert statement[found.data :] == b'{"a":1}'


def test_only_one_line_end_is_taken_from_the_data() -> None:
    statement = b"INSERT INTO t FORMAT RowBinary\n\n\n"
    found = insert_with_data(statement)
    assert found is not None
    assert statement[found.data :] == b"\n\n"


@pytest.mark.parametrize(
    "statement",
    [
        b"",
        b"SELECT 1 FORMAT JSON",
        b"INSERT INTO t VALUES (1, 'FORMAT CSV')",
        b"INSERT INTO t SELECT * FROM u FORMAT Null",
        b"INSERT INTO t WITH 1 AS x SELECT x",
        b"INSERT INTO t FROM INFILE 'x.csv' FORMAT CSV",
        b"INSERT INTO t FORMAT",
        b"INSERT INTO t FORMAT 'x'",
        b"\xff\xfe INSERT",
        b"(" * 300_000,
    ],
)
def test_every_other_statement_is_left_to_the_engine(statement: bytes) -> None:
    assert insert_with_data(statement) is None


def test_input_function_is_refused_because_the_engine_would_store_nothing() -> None:
    with pytest.raises(UnsupportedInsert):
        insert_with_data(b"INSERT INTO t SELECT * FROM input('a Int8') FORMAT CSV\n1")


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (b"SELECT 1", "TabSeparated"),
        (b"SELECT 1 FORMAT JSON", "JSON"),
        (b"SELECT 1\n format  Native ;\n", "Native"),
        (b"SELECT 1 FORMAT CSV SETTINGS max_threads = 1", "CSV"),
        (b"SELECT 'FORMAT JSON'", "TabSeparated"),
    ],
)
def test_output_format(statement: bytes, expected: str) -> None:
    assert output_format(statement, "TabSeparated") == expected
