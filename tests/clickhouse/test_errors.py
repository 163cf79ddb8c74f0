"""Errors of an insert are told apart by what is done next."""

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError
from urllib3.exceptions import ReadTimeoutError

from wsadapter.clickhouse.errors import ErrorClass, classify, error_code
from wsadapter.text import first_line


def server_error(code: int, text: str = "") -> DatabaseError:
    return DatabaseError(f"Received ClickHouse exception, code: {code}, server response: {text}", code=code)


@pytest.mark.parametrize("code", [6, 26, 32, 33, 69, 444])
def test_a_message_that_cannot_be_read_is_searched_for(code: int) -> None:
    assert classify(server_error(code)) is ErrorClass.BISECT


@pytest.mark.parametrize("code", [60, 16, 47, 8, 53, 81, 115, 497, 516, 62, 12345])
def test_what_time_does_not_heal_or_nobody_thought_of_calls_the_operator(code: int) -> None:
    assert classify(server_error(code)) is ErrorClass.PAUSE


@pytest.mark.parametrize("code", [252, 159, 202, 164, 209, 210, 236, 242, 243, 999])
def test_what_passes_is_tried_again(code: int) -> None:
    assert classify(server_error(code)) is ErrorClass.RETRY


def test_one_number_for_too_many_parts_and_too_many_partitions() -> None:
    parts = server_error(252, "DB::Exception: Too many parts (300 with average size of 4.00 KiB) in table")
    partitions = server_error(252, "DB::Exception: Too many partitions for single INSERT block (more than 50).")

    assert classify(parts) is ErrorClass.RETRY
    assert classify(partitions) is ErrorClass.SPLIT


def test_a_proxy_that_takes_no_large_request_is_no_outage() -> None:
    refusal = "HTTP driver received HTTP status 413, server response: <html>413 Request Entity Too Large</html>"

    assert classify(DatabaseError(refusal)) is ErrorClass.TOO_LARGE


def test_no_memory_may_be_the_message_or_the_server() -> None:
    assert classify(server_error(241)) is ErrorClass.MEMORY


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("Error HTTPConnectionPool(host='127.0.0.1', port=1): Max retries exceeded"),
        ReadTimeoutError(None, "/", "Read timed out."),  # type: ignore[arg-type]  # only its text matters
        ConnectionResetError(104, "Connection reset by peer"),
        DatabaseError("HTTP driver received HTTP status 503, server response: Service Unavailable"),
    ],
)
def test_no_answer_of_the_server_is_tried_again(error: Exception) -> None:
    assert error_code(error) is None
    assert classify(error) is ErrorClass.RETRY


def test_the_code_is_found_in_the_text_of_older_drivers() -> None:
    said = ":HTTPDriver for http://h returned response code 404)\n Code: 60. DB::Exception"

    assert error_code(DatabaseError(said)) == 60


def test_the_first_line_names_the_cause_and_is_bounded() -> None:
    assert first_line(server_error(60, "no table\nstack\nstack")).endswith("no table")
    assert len(first_line(DatabaseError("x" * 10_000))) == 500
    assert first_line(DatabaseError("")) == "DatabaseError"
