"""The consumer process: waits for ClickHouse and Kafka, then runs `wsadapter.roles.consumer.consumer`."""

import gc
import logging
import time
from collections.abc import Callable
from concurrent.futures import wait
from typing import Final, TypeVar

from clickhouse_connect.driver.client import Client

from wsadapter.clickhouse.catalog import create_or_verify, is_earlier
from wsadapter.clickhouse.client import connect, refuse_foreign, unavailable
from wsadapter.clickhouse.migration import migrate
from wsadapter.config.model import Config
from wsadapter.errors import ConfigError, Reason, SchemaMismatch, ServiceUnavailable
from wsadapter.executor import DaemonExecutor
from wsadapter.kafka.members import foreign_members
from wsadapter.kafka.settings import consumer_config, group_id
from wsadapter.kafka.topics import ensure_topics
from wsadapter.log import OUTAGE, Repeated, get_logger
from wsadapter.roles.consumer import endpoint_cells
from wsadapter.roles.consumer.consumer import POLL_SECONDS, Consumer
from wsadapter.roles.consumer.group import CHUNK
from wsadapter.roles.consumer.insert_pool import FAILURES
from wsadapter.supervision.child import Child, ChildState, run_child

GARBAGE: Final = 10 * CHUNK
"""More objects than this must be new before the garbage collector looks for cycles (errors make some)."""

ANSWER_SECONDS: Final = 5.0
MEMBER_MARGIN_SECONDS: Final = 5.0
"""Beyond the session's time-out, after which a member that is gone is no longer listed."""

T = TypeVar("T")
log = get_logger()


def patiently(child: Child, threads: DaemonExecutor, work: Callable[[], T], service: str) -> T | None:
    """The result of ``work``, tried again while the service is away, the heart beating; None when a stop came."""
    cell = "clickhouse_reason" if service == "ClickHouse" else "broker_reason"
    child.page[cell] = Reason.UNKNOWN
    repeated = Repeated(*OUTAGE)
    child.await_service(service.lower())
    while not child.stopping:
        future = threads.call(work)
        while not wait([future], POLL_SECONDS).done:
            child.beat()
        try:
            return future.result()
        except (ServiceUnavailable, OSError) as error:
            child.set_state(ChildState.WAITING)
            endpoint_cells.publish(child.page, child.args.config.clickhouse)
            child.page[cell] = reason = getattr(error, "reason", Reason.UNKNOWN)
            if (kept_back := repeated(reason)) is not None:
                log.warning(f"waiting for {service}", reason=str(error), repeated=kept_back)
            child.wait([], 0.5)
    return None


def prepare(config: Config, is_first: bool) -> Client:
    """A client of a server whose tables are there and as they must be. Of several consumers the first one migrates."""
    client = connect(config.clickhouse)
    try:
        if config.clickhouse.migrate and is_earlier(client, config.clickhouse):
            if not is_first:
                raise ServiceUnavailable("the first consumer migrates the tables of an earlier version")
            migrate(client, config.clickhouse, lambda text: log.warning("migration", step=text))
        if replaced := create_or_verify(client, config.clickhouse):
            log.warning("views replaced by this version's", views=replaced)
        refuse_foreign(config.clickhouse, client)
    except FAILURES as error:
        client.close()
        if isinstance(error, SchemaMismatch):
            raise
        raise unavailable(config.clickhouse, error) from None
    return client


def refuse_foreign_members(child: Child, threads: DaemonExecutor, config: Config) -> None:
    """Returns when the group has no members but ours; `ConfigError` when others stay, as two installations would get
    half of each other's data. One that is gone (an earlier name of this instance) is listed until its session ends."""
    kafka = config.kafka
    session = float(consumer_config(kafka, "")["session.timeout.ms"]) / 1000
    refuse_at = time.monotonic() + session + MEMBER_MARGIN_SECONDS
    repeated = Repeated()
    while others := patiently(child, threads, lambda: foreign_members(kafka, config.service, ANSWER_SECONDS), "Kafka"):
        text = (
            f"consumer group {group_id(kafka)} at {kafka.bootstrap_servers} has members of another installation "
            f"({', '.join(others)}): each of the two would get a part of the other's data. Give one of them another "
            "kafka.topic_prefix, or stop it"
        )
        if time.monotonic() > refuse_at:
            raise ConfigError([("kafka.topic_prefix", text)])
        child.set_state(ChildState.WAITING)
        if repeated("members") is not None:
            log.warning("waiting for other members to leave the consumer group", reason=text)
        child.wait([], 0.5)
        child.beat()


def main(child: Child) -> int:
    # it logs a warning of its own for each error that it raises
    logging.getLogger("clickhouse_connect").setLevel(logging.ERROR)
    config = child.args.config
    threads = DaemonExecutor(1, "start")
    child.page["clickhouse_up"] = child.page["broker_up"] = 0  # else an earlier process would have said it
    child.page["broker_reason"] = Reason.NOT_ASKED
    client = patiently(child, threads, lambda: prepare(config, child.args.name.endswith("-0")), "ClickHouse")
    if client is None:
        return 0
    endpoint_cells.publish(child.page, config.clickhouse)
    child.page["clickhouse_up"] = 1
    patiently(child, threads, lambda: ensure_topics(config.kafka, ANSWER_SECONDS), "Kafka")
    refuse_foreign_members(child, threads, config)
    if child.stopping:
        return 0
    child.page["broker_up"] = 1
    consumer = Consumer(child, client)
    # what is imported stays, and messages make no cycles: nothing to look through every few hundred of them
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE)
    return consumer.run()


if __name__ == "__main__":
    run_child(main)
