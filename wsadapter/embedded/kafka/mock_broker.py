"""librdkafka's in-memory broker in the place of Kafka where there is no Java: the pipeline works, but nothing is kept.

It forgets beyond about 5 MiB a partition and everything at its end, makes topics by itself with four partitions and
knows no CreateTopics. It chooses its own port, so a forward at ``kafka.bootstrap_servers`` leads new clients to it;
what they learn there is its own address, and they go on to that directly.
"""

import asyncio
from typing import Final

from confluent_kafka import KafkaException, Producer

from wsadapter import log
from wsadapter.embedded.data_directory import stays
from wsadapter.embedded.kafka.program import BEAT_SECONDS
from wsadapter.embedded.ports import listen
from wsadapter.errors import ServiceUnavailable
from wsadapter.supervision.child import Child

MAX_CONNECTIONS: Final = 64
STOP_SECONDS: Final = 1.0


def serve(child: Child, host: str, port: int, reason: str) -> int:
    """Be the broker until the child is to stop."""
    cluster = Producer({"test.mock.num.brokers": 1, "log_level": 4})  # the brokers live as long as this client
    try:
        (broker,) = cluster.list_topics(timeout=10.0).brokers.values()
    except KafkaException as error:
        raise ServiceUnavailable(f"the mock broker does not answer: {error}") from None
    child.beat()
    asyncio.run(_Forward(child, (broker.host, broker.port)).run(host, port, reason))
    return 0


class _Forward:
    """Bytes between the configured address and the broker's own."""

    def __init__(self, child: Child, broker: tuple[str, int]) -> None:
        self._child = child
        self._broker = broker
        self._open = 0

    async def run(self, host: str, port: int, reason: str) -> None:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._child.stop_fd, stopped.set)
        async with await asyncio.start_server(self._accept, sock=listen(host, port, "the mock broker")):
            self._child.page["service_up"] = 1
            self._child.ready()
            log.get_logger().warning(
                "mock broker instead of Kafka: forgets beyond ~5 MiB a partition, keeps nothing on disk",
                reason=reason,
                address=f"{host}:{port}",
                broker="{}:{}".format(*self._broker),
            )
            while stays(self._child, STOP_SECONDS):
                self._child.beat()
                stopped.clear()
                try:
                    async with asyncio.timeout(BEAT_SECONDS):
                        await stopped.wait()
                except TimeoutError:
                    continue
            loop.remove_reader(self._child.stop_fd)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        self._open += 1
        try:
            broker_reader, broker_writer = await asyncio.open_connection(*self._broker)
            await asyncio.gather(_copy(reader, broker_writer), _copy(broker_reader, writer))
        except OSError:
            pass  # either side went away: the client tries again by itself
        finally:
            writer.transport.abort()
            self._open -= 1


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65536):
        writer.write(chunk)
        await writer.drain()
    writer.close()
