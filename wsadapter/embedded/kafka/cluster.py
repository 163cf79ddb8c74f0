"""One broker or three: where each of them listens, and what each must know of the others.

Three brokers are three processes of the role ``kafka`` (``kafka-1`` to ``kafka-3``), each broker and controller, so
that any one of them may be away. Their topics have three replicas, of which two must have a record before it counts as
acknowledged. Pure but for `require_data_of`, which looks at the state directory.
"""

import base64
import hashlib
from pathlib import Path
from typing import Final

from msgspec import Struct, structs

from wsadapter.config.load import Loaded
from wsadapter.config.model import Config
from wsadapter.errors import ConfigError

SEVERAL: Final = 3
"""As many brokers as there are where there is more than one: the fewest of which one may be away."""
IN_SYNC: Final = 2
"""Of their replicas as many must have a record (``min.insync.replicas``)."""
IDENTITY: Final = "meta.properties"
"""The ids of a data directory; the others of its files are the same in all."""


class BrokerOrder(Struct, frozen=True):
    """One broker of several. ``number``: from 1; ``brokers``: where all of them listen (``host:port``);
    ``controllers``: their ports for one another; ``settings``: further lines of its ``server.properties``."""

    number: int
    brokers: tuple[str, ...]
    controllers: tuple[int, ...]
    cluster_id: str
    settings: dict[str, str] = {}

    @property
    def replicas(self) -> int:
        return len(self.brokers)

    @property
    def in_sync(self) -> int:
        return min(self.replicas, IN_SYNC)


def directory_name(number: int, brokers: int) -> str:
    """Of a broker's data, in the state directory; its process is called alike."""
    return "kafka" if brokers == 1 else f"kafka-{number}"


def cluster_id(directory: Path) -> str:
    """The same for all brokers whose data is below ``directory``, at each start."""
    digest = hashlib.sha1(str(directory.resolve()).encode()).digest()[:16]
    # as Kafka writes its ids; one that begins with a dash would be an option to its tools
    return "A" + base64.urlsafe_b64encode(digest).decode()[1:22]


def orders(servers: str, controllers: tuple[int, ...], state_dir: Path) -> tuple[BrokerOrder, ...]:
    brokers = tuple(servers.split(","))
    return tuple(
        BrokerOrder(number, brokers, controllers, cluster_id(state_dir)) for number in range(1, len(brokers) + 1)
    )


def configured(loaded: Loaded, brokers: int) -> Config:
    """The configuration for so many embedded brokers: where one address is configured the others listen on the ports
    behind it, and topics have a replica on each where nothing else is asked for."""
    config = loaded.config
    if brokers == 1:
        return config
    kafka, servers = config.kafka, config.kafka.bootstrap_servers.split(",")
    if len(servers) == 1:
        host, _, port = servers[0].rpartition(":")
        servers = [f"{host}:{int(port) + number}" for number in range(brokers)]
    factor = kafka.replication_factor if "kafka.replication_factor" in loaded.origins else brokers
    kafka = structs.replace(kafka, bootstrap_servers=",".join(servers), replication_factor=factor)
    return structs.replace(config, kafka=kafka)


def require_data_of(brokers: int, state_dir: Path) -> None:
    """What one broker has is not in three others, nor the other way round: its records would be left there."""
    numbers = {1: (1,), SEVERAL: range(1, SEVERAL + 1)}
    (other,) = numbers.keys() - {brokers}
    for number in numbers[other]:
        name = directory_name(number, other)
        if (state_dir / name / "data" / IDENTITY).exists():
            advice = f"run it with --brokers {other}, or take another directory"
            raise ConfigError(
                [("service.state_dir", f"{state_dir / name} has the data of --brokers {other}: {advice}")]
            )
