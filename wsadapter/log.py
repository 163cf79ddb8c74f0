"""Logs: structlog to standard error, one record = one line, JSON or for a person's eyes.

Format "auto": text on a terminal and in the journal of systemd, JSON elsewhere. In the journal each line begins with
its priority, as sd-daemon(3) has it, so that ``journalctl -p warning`` finds it.

Guarantees: logging never blocks the process. Records go through a bounded queue to one daemon thread; when standard
error is stalled, gone or its disk is full they are dropped and counted, and the count is logged when there is room.
No value can forge a record or drive a terminal: control characters are escaped, long values cut. Third-party libraries
that use `logging` come out the same way. Standard output is for data and is never written here.

Repeated messages are the caller's to limit, with `Repeated`.
"""

import atexit
import itertools
import json
import logging
import os
import re
import select
import sys
import threading
import time
from collections.abc import Callable, Hashable, Mapping, MutableMapping
from queue import SimpleQueue
from typing import Any, Final, cast

_RICH: Final = sys.modules.setdefault("rich", cast(Any, None))
# structlog's own renderer, which is not used here, would import rich and pygments: a fifth of what a process imports
import structlog  # noqa: E402
from structlog.typing import EventDict, FilteringBoundLogger, Processor  # noqa: E402

if _RICH is None:
    del sys.modules["rich"]  # for whoever wants it

QUEUE_RECORDS: Final = 2_000
VALUE_CHARACTERS: Final = 4_000
FLUSH_SECONDS: Final = 1.0
OUTAGE: Final = (60.0, 300.0)
"""How often a service that is away is said again: at first, and at least."""
LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""Of syslog."""

# C0, DEL, C1, line separators, bidi controls, lone surrogates
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_PLAIN = re.compile(r"[^\s\"'=\\]+")
_HEAD = ("timestamp", "level", "role", "name", "event")


def get_logger() -> FilteringBoundLogger:
    """A logger with keyword values: ``log.info("connected", url=url)``. Words first, values apart."""
    return cast(FilteringBoundLogger, structlog.get_logger())


def setup(log_format: str, level: str, fd: int = 2, **context: str) -> "Sink":
    """Send this process's records to ``fd``; every record carries ``context`` (role, name)."""
    render = renderer(log_format, fd)
    sink = Sink(fd, lambda count: render(_own_record(context, count)))
    threshold = LEVELS[level]

    def with_context(_: object, __: str, record: EventDict) -> EventDict:
        return {**context, **record}

    def rendered(_: object, __: str, record: EventDict) -> str:
        return render(record)

    processors: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        with_context,
        rendered,
    ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *_: structlog.WriteLogger(cast(Any, sink)),
        cache_logger_on_first_use=False,
    )
    logging.root.handlers[:] = [_Bridge(sink)]
    logging.root.setLevel(max(threshold, logging.INFO))
    # a redirect target is logged there at INFO with its query string, which can hold a listen key
    logging.getLogger("picows").setLevel(logging.WARNING)
    # it warns of each attempt; whoever makes the request says in the end what came of it
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    atexit.register(sink.close)
    return sink


def on_standard_error() -> None:
    """For a command, which has no `setup`: what is logged meanwhile is not among its data."""
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))


def close() -> None:
    """Write what is queued, as the end of the process does by itself: for a moment after which others write."""
    for handler in logging.root.handlers:
        if isinstance(handler, _Bridge):
            handler.sink.close()


class Sink:
    """A file-like end of the log: `write` never blocks, a thread does the writing."""

    def __init__(self, fd: int, note: Callable[[int], str], capacity: int = QUEUE_RECORDS) -> None:
        self.dropped = 0
        self._noted = 0
        self._fd = fd
        self._note = note
        self._capacity = capacity
        # SimpleQueue: its put may be interrupted by a signal handler that logs; Queue's lock would deadlock there
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        if self._lines.qsize() < self._capacity:
            self._lines.put(line)
        else:
            self.dropped += 1

    def flush(self) -> None:
        """Part of being file-like; the thread flushes."""

    def close(self) -> None:
        """Give the thread a moment to write what is queued; a stalled reader does not keep us longer."""
        self._lines.put(None)
        self._thread.join(FLUSH_SECONDS)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            if self.dropped > self._noted:
                line = self._note(self.dropped - self._noted) + "\n" + line
                self._noted = self.dropped
            self._write_all(line.encode("utf-8", "backslashreplace"))

    def _write_all(self, content: bytes) -> None:
        while content:
            try:
                content = content[os.write(self._fd, content) :]
            except BlockingIOError:
                select.select([], [self._fd], [])
            except OSError:  # the reader is gone or the disk is full: there is nowhere to say so but in the count
                self.dropped += 1
                return


class _Bridge(logging.Handler):
    """Records of the standard library's `logging`."""

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self.sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = str(record.msg)
        level = min(max(record.levelno // 10 * 10, 10), 50)
        get_logger().log(level, message, logger=record.name, exc_info=record.exc_info)


def is_journal(fd: int, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether what is written there goes to the journal: systemd says which stream that is, and a redirected one is
    another (systemd.exec(5))."""
    try:
        status = os.fstat(fd)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def renderer(log_format: str, fd: int) -> Callable[[MutableMapping[str, Any]], str]:
    """How a record becomes a line on ``fd``."""
    journal = is_journal(fd)
    as_line = (
        as_json if log_format == "json" or (log_format == "auto" and not journal and not os.isatty(fd)) else as_text
    )
    if not journal:
        return as_line

    def with_priority(record: MutableMapping[str, Any]) -> str:
        if as_line is as_text:
            record = {key: value for key, value in record.items() if key != "timestamp"}  # the journal has its own
        return f"<{PRIORITIES.get(record.get('level', ''), 6)}>{as_line(record).lstrip()}"

    return with_priority


def as_json(record: MutableMapping[str, Any]) -> str:
    # ensure_ascii: no control character, line separator or surrogate can be in the output
    return json.dumps({key: _bounded(value) for key, value in _ordered(record)}, default=repr, ensure_ascii=True)


def as_text(record: MutableMapping[str, Any]) -> str:
    head = {key: escaped(_text(record[key])) for key in _HEAD if key in record}
    place = "/".join(filter(None, (head.get("role", ""), head.get("name", ""))))
    values = " ".join(f"{escaped(key)}={_quoted(value)}" for key, value in record.items() if key not in _HEAD)
    time_of_day = head.get("timestamp", "")[11:23]
    return f"{time_of_day} {head.get('level', ''):<8} {place:<24} {head.get('event', '')} {values}".rstrip()


def escaped(text: str) -> str:
    """The text without control characters; they are shown as escapes."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def _own_record(context: dict[str, str], count: int) -> dict[str, Any]:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    return {"timestamp": stamp, "level": "warning", **context, "event": "log records dropped", "count": count}


def _ordered(record: MutableMapping[str, Any]) -> list[tuple[str, Any]]:
    keys = itertools.chain((k for k in _HEAD if k in record), (k for k in record if k not in _HEAD))
    return [(key, record[key]) for key in keys]


def _bounded(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = _text(value)
    return value if isinstance(value, list | tuple | dict) and len(text) < VALUE_CHARACTERS else text


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= VALUE_CHARACTERS else f"{text[:VALUE_CHARACTERS]}... ({len(text)} characters)"


def _quoted(value: Any) -> str:
    text = escaped(_text(value))
    return text if _PLAIN.fullmatch(text) else '"' + text.replace('"', '\\"') + '"'


class Repeated:
    """A limit for messages that would repeat: one per key and interval, and how many were kept back.

    ``count = repeated(key)`` is None when the message is not to be logged, else the number kept back since the last.
    With ``most`` the interval doubles up to it while a message goes on, for what may last for hours. Bounded: when
    there are too many keys the oldest is forgotten.
    """

    def __init__(
        self,
        interval: float = 10.0,
        most: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        keys: int = 1_000,
    ) -> None:
        self._interval, self._most = interval, max(interval, most)
        self._clock = clock
        self._keys = keys
        self._seen: dict[Hashable, tuple[float, int, float]] = {}

    def __call__(self, key: Hashable) -> int | None:
        now = self._clock()
        last, kept_back, interval = self._seen.get(key, (float("-inf"), 0, self._interval))
        if now - last < interval:
            self._seen[key] = (last, kept_back + 1, interval)
            return None
        interval = min(self._most, interval * 2) if kept_back else self._interval
        self._seen.pop(key, None)
        while len(self._seen) >= self._keys:
            del self._seen[next(iter(self._seen))]
        self._seen[key] = (now, 0, interval)
        return kept_back
