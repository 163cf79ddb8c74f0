"""What ``--embedded``, ``--demo`` and ``replay`` add to a run: stand-ins as children, and a configuration for them.

``embedded`` adds Kafka and ClickHouse at the configured addresses, ``demo`` a loopback venue for each exchange that has
one, a process each at ports of its own. The roles do not know the difference. Owns nothing.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from wsadapter import metrics
from wsadapter.config.model import Config, Feed, ProcessConfig
from wsadapter.config.symbol_rules import is_rule
from wsadapter.embedded.exchange import DEFAULT, DEMO, STAND_INS
from wsadapter.embedded.kafka.cluster import directory_name, orders
from wsadapter.embedded.ports import LOOPBACK, free_port, free_ports
from wsadapter.errors import ConfigError
from wsadapter.supervision.process import ChildSpec

USUAL_RATE: Final = 800
"""Frames a second of all venues together, but no more than half of it of one."""
MARKET_RATE: Final = 1000
"""Frames a second up to which the venues compute their markets beside everything else; above it one that can sends
prepared ones."""
STOP_GROUP: Final = 50
"""Stopped last: everything else drains into the stand-ins."""
DOWNLOAD_SECONDS: Final = 600.0
"""The first start of the embedded Kafka fetches its jars."""


class StandIns(Struct, frozen=True, dict=True):
    """``embedded``: Kafka, of so many ``brokers``, and ClickHouse. ``demo``: the venues, at ``rate`` frames a second
    together (None: about `USUAL_RATE`), or ``exchange``'s playing the frame file ``replay`` at ``speed``: ``"max"``,
    ``"recorded"``, ``"10x"``."""

    embedded: bool = False
    demo: bool = False
    replay: str = ""
    exchange: str = DEFAULT
    speed: str = "max"
    rate: int | None = None
    brokers: int = 1

    def adapt(self, config: Config) -> Config:
        """With its loopback venue's address in every feed that has one, and feeds where there are none."""
        if not self.demo:
            return config
        return msgspec.structs.replace(
            config,
            process=config.process | ({} if self._has_history else {"repairer": ProcessConfig(count=0)}),
            feed=tuple(self._redirected(feed) for feed in config.feed or self._default_feeds()),
        )

    def _redirected(self, feed: Feed) -> Feed:
        if feed.exchange not in self._ports:
            if feed.ws_url:
                return feed
            what = f"{self.exchange} is replayed" if self.replay else "it has no loopback venue"
            raise ConfigError(
                [(f"feed.{feed.name}.exchange", f"{feed.exchange}: {what}, and a demo meets no real one")]
            )
        ws_port, rest_port = self._ports[feed.exchange]
        urls = {"ws_url": f"ws://{LOOPBACK}:{ws_port}", "rest_url": f"http://{LOOPBACK}:{rest_port}"}
        return msgspec.structs.replace(feed, **urls)

    def children(self, config: Config, exchanges: Iterable[str]) -> tuple[ChildSpec, ...]:
        """The stand-ins as children; ``exchanges``: that of each connection of the run. Kafka comes first: it takes
        longest, and venues are forked, which waits for the fork server."""
        connections = Counter(exchanges)
        here = [word for word in self._ports if word in connections] if self.demo else []
        venues = (self._venue(config, word, connections[word], len(here)) for word in here)
        if not self.embedded:
            return (*venues,)
        clickhouse = _child("clickhouse", metrics.SERVICE, 60.0, (config.service, config.clickhouse))
        return (*self._kafka(config), clickhouse, *venues)

    def _kafka(self, config: Config) -> Iterator[ChildSpec]:
        reads = (config.service, config.kafka)
        if self.brokers == 1:
            yield _child("kafka", metrics.SERVICE, DOWNLOAD_SECONDS, reads)
            return
        for order in orders(config.kafka.bootstrap_servers, self._controllers, Path(config.service.state_dir)):
            name = directory_name(order.number, order.replicas)
            child = _child("kafka", metrics.SERVICE, DOWNLOAD_SECONDS, reads, order, name)
            # one after the other: each hands over what it leads, which needs the others
            yield msgspec.structs.replace(child, stop_group=STOP_GROUP + order.number)

    def addresses(self, config: Config) -> list[tuple[str, str]]:
        """(key of the configuration, host:port) of what the stand-ins are going to serve."""
        if not self.embedded:
            return []
        return [
            *(("kafka.bootstrap_servers", server) for server in config.kafka.bootstrap_servers.split(",")),
            ("clickhouse.url", urlsplit(config.clickhouse.url).netloc),
        ]

    @cached_property
    def _controllers(self) -> tuple[int, ...]:
        """Ports of the brokers for one another, the same over the life of the run."""
        return free_ports(self.brokers)

    @cached_property
    def _ports(self) -> dict[str, tuple[int, int]]:
        """Exchange -> WebSocket and REST port of its loopback venue, the same over the life of the run."""
        return {word: (free_port(), free_port()) for word in STAND_INS if word == self.exchange or not self.replay}

    @property
    def _has_history(self) -> bool:
        """Whether the venue's REST knows what it streams: replayed and prepared frames it does not."""
        return not self.replay and not self._is_blast

    @property
    def _is_blast(self) -> bool:
        return self.rate is not None and self.rate > MARKET_RATE

    def _default_feeds(self) -> tuple[Feed, ...]:
        """Of the demo's exchanges; where only prepared frames come, of those that have them."""
        default = (STAND_INS[word] for word in DEMO)
        return tuple(one.feed for one in default if one.prepared or not self._is_blast)

    def _venue(self, config: Config, exchange: str, connections: int, venues: int) -> ChildSpec:
        """``venues``: how many share the rate."""
        from wsadapter.embedded.exchange.server import Options  # only a demo pays for what it imports

        ws_port, rest_port = self._ports[exchange]
        options = Options(
            exchange=exchange,
            ws_port=ws_port,
            rest_port=rest_port,
            symbols=_symbols(config, exchange),
            connections=connections if self.replay else 1,
            replay=self.replay,
            speed=self.speed,
            asked=asked_of(config, exchange) if self.replay else {},
        )
        if self._is_blast and STAND_INS[exchange].prepared:
            options = msgspec.structs.replace(options, rate=float(self.rate or 0), mode="blast")
        elif self.rate is not None:
            options = msgspec.structs.replace(options, rate=min(self.rate, MARKET_RATE) / venues)
        else:
            options = msgspec.structs.replace(options, rate=USUAL_RATE / max(venues, 2))
        if options.mode == "market" and not self.replay:
            # its time is ours, and yet a candle closes before anybody has lost patience
            options = msgspec.structs.replace(options, minute_ends_in=0.0, remembers=True)
        name = "exchange" if exchange == next(iter(STAND_INS)) else f"exchange-{exchange}"
        return _child("exchange", metrics.EXCHANGE, 60.0, (config.service,), options, name)


def _symbols(config: Config, exchange: str) -> tuple[str, ...]:
    """Those that feeds name; where one has rules, over those of the demo."""
    wanted = {symbol for feed in config.feed if feed.exchange == exchange for symbol in feed.symbols}
    named = {symbol for symbol in wanted if not is_rule(symbol)}
    return tuple(sorted(named if named == wanted else named | set(STAND_INS[exchange].feed.symbols)))


def asked_of(config: Config, exchange: str) -> dict[str, tuple[str, ...]]:
    """Symbol -> words of the tables that its feeds fill; nothing where rules choose the symbols."""
    asked: dict[str, set[str]] = {}
    for feed in config.feed:
        if feed.exchange == exchange:
            if any(map(is_rule, feed.symbols)):
                return {}
            for symbol in feed.symbols:
                asked.setdefault(symbol, set()).update(map(_table, feed.streams))
    return {symbol: tuple(sorted(words)) for symbol, words in asked.items()}


def _table(word: str) -> str:
    return "trade" if word == "raw_trade" else word


def _child(
    role: str,
    fields: Iterable[str],
    start_deadline: float,
    reads: tuple[object, ...],
    order: Struct | None = None,
    name: str = "",
) -> ChildSpec:
    """``reads``: the sections of the configuration on which the child depends. ``name``: where a role has several."""
    return ChildSpec(
        name=name or role,
        role=role,
        module=f"wsadapter.embedded.{role}",
        page_fields=tuple(fields),
        stop_group=STOP_GROUP,
        essential=False,
        start_deadline=start_deadline,
        heartbeat_deadline=30.0,
        order=order,
        forked=role == "exchange",
        fingerprint=hashlib.sha1(msgspec.json.encode(reads)).hexdigest(),
    )
