"""What ``--embedded``, ``--demo`` and ``replay`` add to a run: stand-ins as children, and a configuration for them.

``embedded`` adds Kafka and ClickHouse at the configured addresses, ``demo`` the loopback venue at ports of its own, in
place of every venue that it stands in for. The roles do not know the difference. Owns nothing.
"""

import hashlib
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from wsadapter import metrics
from wsadapter.config.load import Config, Feed, ProcessConfig
from wsadapter.embedded.exchange import DEMO_FEED, STANDS_IN_FOR
from wsadapter.embedded.ports import LOOPBACK, free_port
from wsadapter.errors import ConfigError
from wsadapter.supervision.process import ChildSpec

MARKET_RATE: Final = 1000
"""Frames a second up to which the venue computes its markets beside everything else; above it sends prepared ones."""
MAX_REPLAY_SYMBOLS: Final = 500
STOP_GROUP: Final = 50
"""Stopped last: everything else drains into the stand-ins."""
DOWNLOAD_SECONDS: Final = 600.0
"""The first start of the embedded Kafka fetches its jars."""


class StandIns(Struct, frozen=True, dict=True):
    """``embedded``: Kafka and ClickHouse. ``demo``: the venue, at ``rate`` frames a second (None = its own), or playing
    the frame file ``replay`` at ``speed`` ``"max"`` or ``"recorded"``."""

    embedded: bool = False
    demo: bool = False
    replay: str = ""
    speed: str = "max"
    rate: int | None = None

    def adapt(self, config: Config) -> Config:
        """With the venue's address in every feed that it stands in for, and a feed where there is none."""
        if not self.demo:
            return config
        ws_port, rest_port = self._ports
        urls = {"ws_url": f"ws://{LOOPBACK}:{ws_port}", "rest_url": f"http://{LOOPBACK}:{rest_port}"}
        return msgspec.structs.replace(
            config,
            service=msgspec.structs.replace(config.service, log_format="console", log_level="warning"),
            process=config.process | ({} if self._has_history else {"repairer": ProcessConfig(count=0)}),
            feed=tuple(
                msgspec.structs.replace(feed, **urls) if feed.exchange in STANDS_IN_FOR else feed
                for feed in config.feed or (self._default_feed(),)
            ),
        )

    def children(self, config: Config, exchanges: Iterable[str]) -> tuple[ChildSpec, ...]:
        """The stand-ins as children; ``exchanges``: that of each connection of the run."""
        venue = (self._venue(config, sum(word in STANDS_IN_FOR for word in exchanges)),) if self.demo else ()
        services = (
            _child("kafka", metrics.SERVICE, DOWNLOAD_SECONDS, (config.service, config.kafka)),
            _child("clickhouse", metrics.SERVICE, 60.0, (config.service, config.clickhouse)),
        )
        return (*venue, *(services if self.embedded else ()))

    def addresses(self, config: Config) -> list[tuple[str, str]]:
        """(key of the configuration, host:port) of what the stand-ins are going to serve."""
        if not self.embedded:
            return []
        return [
            ("kafka.bootstrap_servers", config.kafka.bootstrap_servers.partition(",")[0]),
            ("clickhouse.url", urlsplit(config.clickhouse.url).netloc),
        ]

    @cached_property
    def _ports(self) -> tuple[int, int]:
        """Of the venue: WebSocket and REST, the same over the life of the run."""
        return free_port(), free_port()

    @property
    def _has_history(self) -> bool:
        """Whether the venue's REST knows what it streams: replayed and prepared frames it does not."""
        return not self.replay and (self.rate is None or self.rate <= MARKET_RATE)

    def _default_feed(self) -> Feed:
        if not self.replay:
            return DEMO_FEED
        from wsadapter.embedded.exchange.replay import symbols  # only a replay pays for what it imports

        if not (found := symbols(Path(self.replay))):
            raise ConfigError([("replay", f"{self.replay} names no symbol: not a frame file")])
        return msgspec.structs.replace(DEMO_FEED, symbols=found[:MAX_REPLAY_SYMBOLS])

    def _venue(self, config: Config, connections: int) -> ChildSpec:
        from wsadapter.embedded.exchange.server import Options  # only a demo pays for what it imports

        ws_port, rest_port = self._ports
        options = Options(
            ws_port=ws_port,
            rest_port=rest_port,
            symbols=tuple(sorted({symbol for feed in config.feed for symbol in feed.symbols})),
            connections=connections,
            replay=self.replay,
            speed=self.speed,
        )
        if self.rate is not None:
            mode = "market" if self.rate <= MARKET_RATE else "blast"
            options = msgspec.structs.replace(options, rate=float(self.rate), mode=mode)
        return _child("exchange", metrics.EXCHANGE, 60.0, (config.service,), options)


def _child(
    role: str, fields: Iterable[str], start_deadline: float, reads: tuple[object, ...], order: Struct | None = None
) -> ChildSpec:
    """``reads``: the sections of the configuration on which the child depends."""
    return ChildSpec(
        name=role,
        role=role,
        module=f"wsadapter.embedded.{role}",
        page_fields=tuple(fields),
        stop_group=STOP_GROUP,
        essential=False,
        start_deadline=start_deadline,
        heartbeat_deadline=30.0,
        order=order,
        fingerprint=hashlib.sha1(msgspec.json.encode(reads)).hexdigest(),
    )
