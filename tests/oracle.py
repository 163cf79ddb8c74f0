"""The oracle: what reached a ring against what is in the tables, record by record.

`RingWatcher` follows the rings as a second, read-only reader and keeps the identity (stream, epoch, position) of every
published record. Every table has these columns, so "everything that reached a ring is stored once" is a comparison of
two multisets, whatever was killed in between.
"""

import threading
import urllib.parse
import urllib.request
from collections import Counter
from zlib import crc32

from eventually import eventually
from ring_records import event_of

from wsadapter.errors import SegmentError
from wsadapter.events import Gap, Kline
from wsadapter.events.streams import BY_KIND, SPECS
from wsadapter.shm.ring import RingReader

Identity = tuple[str, int, int]
"""(stream, epoch, position)"""


class RingWatcher(threading.Thread):
    """Follows rings from now on; `published` is complete up to the last `catch_up`."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(daemon=True)
        self._readers = [RingReader.attach(name, writable=False) for name in names]
        self.begins = {reader.epoch: reader.position for reader in self._readers}
        """Epoch -> position from which on we know what was published."""
        self._lock = threading.Lock()
        self._over = threading.Event()
        self.published: set[Identity] = set()
        self.open_candles: set[Identity] = set()
        self.contents: dict[Identity, int] = {}
        """CRC-32 of each record's message, as Kafka must have it behind the identity."""
        self._gaps: dict[str, Identity] = {}
        self.error: SegmentError | None = None
        self.start()

    def run(self) -> None:
        while not self._over.wait(0.05):
            self.catch_up()

    def catch_up(self) -> None:
        with self._lock:
            for reader in self._readers:
                try:
                    records = reader.poll(1_000_000)
                except SegmentError as error:  # overtaken: the writer lapped us, the test is too slow
                    self.error = error
                    continue
                for position, kind, payload in records:
                    spec = BY_KIND[kind]
                    identity = (spec.name, reader.epoch, position)
                    self.contents[identity] = crc32(payload[payload[0] + 1 :])
                    if spec.event is Kline and not event_of(kind, payload).closed:
                        self.open_candles.add(identity)
                    elif spec.event is Gap:
                        self._take_gap(event_of(kind, payload), identity)
                    else:
                        self.published.add(identity)

    def _take_gap(self, gap: Gap, identity: Identity) -> None:
        """Of the records of one gap the table keeps the newest."""
        gap_id = gap.gap_id or f"{identity[1]}:{identity[2]}"
        self.published.discard(self._gaps.get(gap_id, identity))
        self.published.add(identity)
        self._gaps[gap_id] = identity

    def wait_for(self, count: int, timeout: float = 60.0) -> None:
        """Until ``count`` more records were published."""
        target = len(self.published) + count
        eventually(lambda: len(self.published) >= target, timeout, f"{count} more records in the rings")

    def stop(self) -> None:
        """Take what is left and let go of the rings."""
        self._over.set()
        self.join()
        self.catch_up()
        for reader in self._readers:
            reader.release()
        assert self.error is None, self.error


def query(url: str, sql: str) -> list[list[str]]:
    """Rows of text from ClickHouse."""
    request = urllib.request.Request(f"{url}/", data=f"{sql} FORMAT TabSeparated".encode())
    with urllib.request.urlopen(request, timeout=60) as answer:
        return [line.split("\t") for line in answer.read().decode().splitlines()]


def stored(url: str, database: str = "market") -> Counter[Identity]:
    """Every stored row's identity, without FINAL: duplicates show."""
    found: Counter[Identity] = Counter()
    for spec in SPECS:
        # a gap that a consumer found was in no ring
        own = " WHERE isNotNull(epoch)" if spec.name == "gap" else ""
        for epoch, position in query(url, f"SELECT epoch, position FROM {database}.{spec.name}{own}"):
            found[(spec.name, int(epoch), int(position))] += 1
    # of the records of one gap that come in one insert the table keeps the newest; it names the first one
    for (gap_id,) in query(url, f"SELECT DISTINCT gap_id FROM {database}.gap WHERE match(gap_id, '^[0-9]+:[0-9]+$')"):
        epoch, position = gap_id.split(":")
        found.setdefault(("gap", int(epoch), int(position)), 1)
    return found


def compare(published: set[Identity], rows: Counter[Identity]) -> tuple[list[Identity], list[Identity]]:
    """(lost, duplicated) among ``published``; rows of other rings and runs do not matter."""
    # a row of coverage takes the place of the one before it
    lost = sorted(one for one in published - set(rows) if one[0] != "coverage")
    duplicated = sorted(identity for identity, count in rows.items() if count > 1)
    return lost, duplicated


def doubled(url: str, database: str, table: str) -> int:
    """Rows that ``FINAL`` would take away."""
    plain, final = counts(url, database, table)
    return plain - final


def counts(url: str, database: str, table: str) -> tuple[int, int]:
    """Rows as stored and as ``FINAL`` leaves them: one per key. One read, so that both are of one moment; ``count()``
    beside ``count() FINAL`` is of two, between which rows come."""
    where = f"database = '{database}' AND name = '{table}'"
    ((key,),) = query(url, f"SELECT sorting_key FROM system.tables WHERE {where}")
    ((plain, final),) = query(url, f"SELECT count(), uniqExact({key}) FROM {database}.{table}")
    return int(plain), int(final)


def unique(url: str, database: str = "market") -> dict[str, tuple[int, int]]:
    """Table -> (count(), count() FINAL)."""
    return {
        spec.name: counts(url, database, spec.name)
        for spec in SPECS
        if spec.name != "coverage"  # rows that grow: the newest of each counts
    }


def http_get(url: str, parameters: dict[str, str]) -> str:
    with urllib.request.urlopen(f"{url}/?{urllib.parse.urlencode(parameters)}", timeout=30) as answer:
        text: str = answer.read().decode()
        return text
