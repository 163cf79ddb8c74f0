"""ClickHouse's errors, told apart by what is to be done about a batch whose insert failed. The one place for it."""

import re
import ssl
from collections.abc import Iterator
from enum import Enum
from typing import Final

import urllib3.exceptions
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import NameResolutionError, SSLError

from wsadapter.errors import Reason


class ErrorClass(Enum):
    """What to do about a failed insert."""

    BISECT = "bisect"
    """A message of the batch cannot be read: find it, and put it where a person finds it."""
    SPLIT = "split"
    """The batch spans too many of the table's partitions: insert it in halves."""
    MEMORY = "memory"
    """The server is short of memory, the batch is too large for what it has, or a message claims a length that it has
    not."""
    TOO_LARGE = "too_large"
    """A proxy before the server takes no request of this size."""
    RETRY = "retry"
    """Not the batch's fault: the same bytes again, under the same token."""
    PAUSE = "pause"
    """Nothing that time heals: this table waits, and the operator is called."""


_BISECT: Final = {
    6: "CANNOT_PARSE_TEXT",
    26: "CANNOT_PARSE_QUOTED_STRING",
    27: "CANNOT_PARSE_INPUT_ASSERTION_FAILED",
    32: "ATTEMPT_TO_READ_AFTER_EOF",
    33: "CANNOT_READ_ALL_DATA",
    69: "ARGUMENT_OUT_OF_BOUND",
    72: "CANNOT_PARSE_NUMBER",
    128: "TOO_LARGE_ARRAY_SIZE",
    131: "TOO_LARGE_STRING_SIZE",
    407: "DECIMAL_OVERFLOW",
    436: "PROTOBUF_BAD_CAST",
    444: "UNKNOWN_PROTOBUF_FORMAT",
}
_RETRY: Final = {
    3: "UNEXPECTED_END_OF_FILE",
    23: "CANNOT_READ_FROM_ISTREAM",
    24: "CANNOT_WRITE_TO_OSTREAM",
    74: "CANNOT_READ_FROM_FILE_DESCRIPTOR",
    75: "CANNOT_WRITE_TO_FILE_DESCRIPTOR",
    95: "CANNOT_READ_FROM_SOCKET",
    96: "CANNOT_WRITE_TO_SOCKET",
    159: "TIMEOUT_EXCEEDED",
    164: "READONLY",
    173: "CANNOT_ALLOCATE_MEMORY",
    201: "QUOTA_EXCEEDED",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    209: "SOCKET_TIMEOUT",
    210: "NETWORK_ERROR",
    225: "NO_ZOOKEEPER",
    236: "ABORTED",
    242: "TABLE_IS_READ_ONLY",
    243: "NOT_ENOUGH_SPACE",
    252: "TOO_MANY_PARTS",
    279: "ALL_CONNECTION_TRIES_FAILED",
    285: "TOO_FEW_LIVE_REPLICAS",
    286: "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE",
    290: "LIMIT_EXCEEDED",
    319: "UNKNOWN_STATUS_OF_INSERT",
    394: "QUERY_WAS_CANCELLED",
    425: "SYSTEM_ERROR",
    439: "CANNOT_SCHEDULE_TASK",
    473: "DEADLOCK_AVOIDED",
    499: "S3_ERROR",
    735: "QUERY_WAS_CANCELLED_BY_CLIENT",
    745: "SERVER_OVERLOADED",
    999: "KEEPER_EXCEPTION",
}
_TOO_MANY_PARTS: Final = 252
_MEMORY: Final = 241
_TOO_LARGE: Final = re.compile(r"\b(?:HTTP status|response code) 413\b")
_HTTP: Final = re.compile(r"\b(?:HTTP status|response code) (\d{3})\b")
_CODE: Final = re.compile(r"(?:\bCode|exception, code): (\d+)")


_REASONS: Final = {
    **dict.fromkeys((192, 193, 194, 195, 516), Reason.AUTHENTICATION),
    497: Reason.AUTHORIZATION,
    **dict.fromkeys((60, 81), Reason.MISSING),
    **dict.fromkeys((159, 209), Reason.SLOW),
}
_NETWORK: Final = (
    # the most telling first: each may be the cause of the next
    (NameResolutionError, Reason.NAME),
    ((SSLError, ssl.SSLError), Reason.TLS),
    (ConnectionRefusedError, Reason.REFUSED),
    ((TimeoutError, urllib3.exceptions.TimeoutError), Reason.SLOW),
)


def reason_of(error: BaseException) -> Reason:
    """The kind of cause of a request that failed."""
    code = error_code(error)
    if code is not None:
        return _REASONS.get(code, Reason.UNKNOWN)
    causes = list(_causes(error))
    for kinds, reason in _NETWORK:
        if any(isinstance(cause, kinds) for cause in causes):
            return reason
    match = _HTTP.search(str(error))
    return {"401": Reason.AUTHENTICATION, "403": Reason.AUTHORIZATION}.get(match[1] if match else "", Reason.UNKNOWN)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it came of; urllib3 keeps that in ``reason``, too."""
    for _ in range(10):
        if error is None:
            return
        yield error
        inner = getattr(error, "reason", None)
        error = inner if isinstance(inner, BaseException) else error.__cause__ or error.__context__


def error_code(error: BaseException) -> int | None:
    """The server's error number; None for what never was an answer of the server (network, time-out, proxy)."""
    code = getattr(error, "code", None)
    if isinstance(code, int):
        return code
    match = _CODE.search(str(error)) if isinstance(error, ClickHouseError) else None
    return int(match[1]) if match else None


def is_about_content(code: int) -> bool:
    """Whether this error of an insert is about what it sent: no other server would take it either."""
    return code in _BISECT


def classify(error: BaseException) -> ErrorClass:
    """The one place where errors of an insert are told apart. An unknown one is `PAUSE`: the operator is alarmed, and
    the insert is tried again from time to time."""
    code = error_code(error)
    if code == _TOO_MANY_PARTS:
        # one number for two things: parts pile up (wait), or this insert alone spans too many partitions (cut it)
        return ErrorClass.SPLIT if "partitions for single INSERT" in str(error) else ErrorClass.RETRY
    if code == _MEMORY:
        return ErrorClass.MEMORY
    if code is None and isinstance(error, ClickHouseError) and _TOO_LARGE.search(str(error)):
        return ErrorClass.TOO_LARGE
    if code is None or code in _RETRY:
        return ErrorClass.RETRY
    return ErrorClass.BISECT if code in _BISECT else ErrorClass.PAUSE
