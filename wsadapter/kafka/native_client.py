"""What our own clients of librdkafka have in common: the library they use, their settings, and what they are told.

They are clients of the very library that confluent-kafka's module is linked with, by librdkafka's public C API
(`wsadapter/native/kafka_client.c`), made from the same settings. Where the extension was not built, or the library is
another's secret, `AVAILABLE` is false and confluent-kafka's own are used.

Callbacks are called on the caller's thread, by the calls that wait (`poll`, `flush`, `take`). Owns nothing.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

import confluent_kafka.cimpl
from confluent_kafka import KafkaError, KafkaException

from wsadapter import native

_LEVELS: Final = (*(3 * [logging.CRITICAL]), logging.ERROR, logging.WARNING, logging.INFO, logging.INFO, logging.DEBUG)
"""Of syslog's."""


class NativeClient:
    """``settings``: as confluent-kafka's clients take them, callbacks included; ``callbacks``: names of those;
    ``open_client``: makes the client in C of the settings as texts."""

    def __init__(
        self, settings: Mapping[str, Any], callbacks: tuple[str, ...], open_client: Callable[[dict[str, str]], Any]
    ) -> None:
        names = ("error_cb", "logger", *callbacks)
        self._callbacks: dict[str, Any] = {name: settings.get(name) for name in names}
        passed = {name: _text(value) for name, value in settings.items() if name not in names}
        try:
            self._client = open_client(passed)
        except ValueError as error:
            raise KafkaException(KafkaError(*error.args)) from None

    def list_topics(self, topic: str | None = None, timeout: float = -1) -> None:
        """Ask a broker; `KafkaException` when none answers."""
        if code := self._client.metadata(timeout):
            raise KafkaException(KafkaError(code))

    def _tell(self) -> None:
        """What librdkafka had to say meanwhile, in its order."""
        if told := self._client.told:
            heard = told[:]
            told.clear()
            for what, *said in heard:
                getattr(self, f"_on_{what}")(*said)

    def _on_log(self, level: int, facility: str, name: str, text: str) -> None:
        if (logger := self._callbacks["logger"]) is not None:
            logger.log(_LEVELS[level & 7], "%s [%s] %s", facility, name, text)

    def _on_error(self, code: int, text: str, is_fatal: bool) -> None:
        if (on_error := self._callbacks["error_cb"]) is not None:
            on_error(KafkaError(code, text, fatal=is_fatal))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_available() -> bool:
    if native.extension is None or not confluent_kafka.cimpl.__file__:
        return False
    try:
        native.extension.open_librdkafka(confluent_kafka.cimpl.__file__)
    except OSError as error:
        logging.getLogger("wsadapter.librdkafka").info("messages go through confluent-kafka: %s", error)
        return False
    return True


AVAILABLE: Final = is_available()
