"""The one way to reach ClickHouse: connections for the roles, queries for `audit`, `gaps` and the account of a run.

Guarantees: a server that is older than `MINIMUM_VERSION` is never used. No error shows a password.
"""

import functools
import re
from collections.abc import Callable
from typing import Final, TypeVar
from urllib.parse import urlsplit

import clickhouse_connect
import msgspec
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from msgspec import Struct
from urllib3.exceptions import HTTPError

from wsadapter.clickhouse import cluster, endpoints
from wsadapter.clickhouse.errors import error_code, reason_of
from wsadapter.config import secrets
from wsadapter.config.model import ClickHouseConfig
from wsadapter.errors import Reason, SchemaMismatch, ServiceUnavailable
from wsadapter.text import first_line

T = TypeVar("T")

MINIMUM_VERSION: Final = (25, 6)
"""The first with an inline schema for the Protobuf format."""
CONNECT_SECONDS: Final = 5
ANSWER_SECONDS: Final = 60

ADVICE: Final = (
    "name endpoints of one server or of replicas; clickhouse.cluster makes replicated tables (clickhouse-clusters.md)"
)

REQUEST_ERRORS: Final = (ClickHouseError, HTTPError, OSError)
"""What a request can end with: an error of the server or of the network."""
UNKNOWN_TABLE_OR_DATABASE: Final = (60, 81)
TOO_EXPENSIVE: Final = (159, 209, 241)
"""Time-outs, no memory."""

READ_ONLY: Final = "2"
"""Queries alone, which may say how they are to be read (SETTINGS); 1 would refuse that, too."""
Parameters = dict[str, int | str]


class Query(Struct, frozen=True):
    sql: str
    parameters: Parameters = {}


Ask = Callable[[Query], bytes]
"""Runs a query; returns its rows as JSON lines."""


def connect(settings: ClickHouseConfig, answer_seconds: float = ANSWER_SECONDS, read_only: bool = False) -> Client:
    """A client of a server that answers; `ServiceUnavailable` when it does not, `SchemaMismatch` when it is too old.
    ``read_only``: the server refuses whatever would write."""
    url = urlsplit(endpoints.addresses(settings)[0])
    secure = url.scheme == "https"
    password = secrets.password(settings.password, settings.password_file, "clickhouse.password_file")
    try:
        client = clickhouse_connect.get_client(
            interface=url.scheme,
            host=url.hostname or "localhost",
            port=url.port or (8443 if secure else 8123),
            proxy_path=url.path,
            username=settings.user,
            password=password,
            compress=False,
            connect_timeout=CONNECT_SECONDS,
            send_receive_timeout=answer_seconds,
            query_retries=0,
            # sessions would forbid two inserts at once
            autogenerate_session_id=False,
            client_cert=settings.certificate or None,
            # with a password it is the password that says who we are; the certificate opens the connection
            tls_mode="strict" if password else "mutual",
            pool_mgr=endpoints.of(settings),
        )
    except REQUEST_ERRORS as error:
        raise unavailable(settings, error) from None
    except ValueError:  # its text may hold the password
        raise ServiceUnavailable(
            f"ClickHouse at {endpoints.in_use(settings)}: the answer is not ClickHouse's"
        ) from None
    version = str(client.server_version)
    if version_number(version) < MINIMUM_VERSION:
        client.close()
        wanted = ".".join(map(str, MINIMUM_VERSION))
        at = endpoints.in_use(settings)
        raise SchemaMismatch(f"ClickHouse at {at} is version {version!a}; {wanted} or newer is needed")
    if settings.cluster and _may_set(client):
        for name, value in cluster.SETTINGS.items():
            client.set_client_setting(name, value)
    if read_only and (found := client.server_settings.get("readonly")) is not None and found.value == "0":
        client.set_client_setting("readonly", READ_ONLY)
    return client


def _may_set(client: Client) -> bool:
    found = client.server_settings.get("readonly")
    return found is None or found.value != "1"


def refuse_foreign(settings: ClickHouseConfig, client: Client) -> None:
    """`SchemaMismatch` where endpoints answer that do not share the tables of the one in use: a batch that is repeated
    there would be in both, and what one has the other would lack."""
    several = endpoints.of(settings)
    if len(several.states) == 1:
        return
    foreign = [each.sentence() for each in several.examine(client) if each.reason is Reason.FOREIGN]
    if foreign:
        raise SchemaMismatch("\n".join((*foreign, f"clickhouse.url: {ADVICE}")))


def unavailable(settings: ClickHouseConfig, error: Exception) -> ServiceUnavailable:
    """In words; where none of several endpoints answers, each by name."""
    reason, several = reason_of(error), endpoints.of(settings).states
    if len(several) > 1 and error_code(error) is None and all(state.reason is not None for state in several):
        return ServiceUnavailable("; ".join(state.sentence() for state in several), several[0].reason or reason)
    return ServiceUnavailable(reason.sentence(f"ClickHouse at {endpoints.in_use(settings)}", first_line(error)), reason)


def version_number(text: str) -> tuple[int, ...]:
    """``25.6.3.1-lts`` -> (25, 6, 3, 1)."""
    number = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(int(part) for part in number[0].split(".")) if number else ()


def asker(settings: ClickHouseConfig, answer_seconds: float = ANSWER_SECONDS, read_only: bool = False) -> Ask:
    """`ServiceUnavailable` when there is no server, or no tables yet."""
    return functools.partial(_ask, settings, connect(settings, answer_seconds, read_only))


def decode_rows(answer: bytes, kind: type[T]) -> list[T]:
    """Not strict: servers differ in whether 64-bit integers are quoted."""
    return msgspec.json.Decoder(kind, strict=False).decode_lines(answer)


def _ask(settings: ClickHouseConfig, client: Client, query: Query) -> bytes:
    try:
        text = f"{query.sql} FORMAT JSONEachRow"
        return bytes(client.raw_query(text, parameters=query.parameters, use_database=False))
    except REQUEST_ERRORS as error:
        code = error_code(error)
        if code in UNKNOWN_TABLE_OR_DATABASE:
            reason = f"no tables of ours in database {settings.database}: {first_line(error)}"
            raise ServiceUnavailable(f"ClickHouse at {endpoints.in_use(settings)}: {reason}") from None
        if code in TOO_EXPENSIVE:
            reason = f"the query is too expensive, narrow it with --since, --exchange, --symbol: {first_line(error)}"
            raise ServiceUnavailable(f"ClickHouse at {endpoints.in_use(settings)}: {reason}") from None
        raise unavailable(settings, error) from None
