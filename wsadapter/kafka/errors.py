"""Errors of the Kafka client: which of them end a client, why a broker does not answer, and how they are told.

A producer gives its fatal error to ``error_cb``; a consumer gives it as a message, and then as the error of each call
and each commit, with code ``_FATAL`` and without the mark of `KafkaError.fatal`. Whoever handles an error asks
`is_fatal`, wherever it came from.
"""

import contextlib
import logging
import re
from collections.abc import Iterator
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException

from wsadapter.errors import Reason, ServiceUnavailable

_FATAL: Final = (KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID)
AUTHORIZATION: Final = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
)  # fmt: skip

_SOON: Final = (
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.NOT_COORDINATOR,
    KafkaError.LEADER_NOT_AVAILABLE, KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.NOT_CONTROLLER,
    KafkaError.BROKER_NOT_AVAILABLE,
)  # fmt: skip

_REASONS: Final = {
    KafkaError._RESOLVE: Reason.NAME,
    KafkaError._SSL: Reason.TLS,
    **dict.fromkeys(
        (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError.UNSUPPORTED_SASL_MECHANISM,
         KafkaError.ILLEGAL_SASL_STATE),
        Reason.AUTHENTICATION,
    ),
    **dict.fromkeys((*AUTHORIZATION, KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED), Reason.AUTHORIZATION),
    **dict.fromkeys(
        (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION), Reason.MISSING
    ),
    **dict.fromkeys((KafkaError._TIMED_OUT, KafkaError.REQUEST_TIMED_OUT), Reason.SLOW),
    **dict.fromkeys(_SOON, Reason.NOT_READY),
}  # fmt: skip
_BY_TEXT: Final = (
    # librdkafka has one code for whatever befalls a connection
    (re.compile("Connection refused"), Reason.REFUSED),
    (re.compile(r"SSL handshake failed|to a SSL listener|require SSL|\bssl\.[a-z.]+ failed"), Reason.TLS),
    (re.compile("timed out|timeout", re.IGNORECASE), Reason.SLOW),
)
_GOES_AWAY: Final = re.compile("handshake failed: Local: (?:Broker transport failure|Timed out)")
"""A broker that goes away before it has said anything about who we are: librdkafka calls that a refusal."""
_HANGS_UP: Final = re.compile(
    r"/bootstrap: Disconnected.*\(after \d{1,3}ms in state (?:APIVERSION_QUERY|UP)|security.protocol"
)
"""A broker that wants another protocol closes the connection at the first request, without a word."""
_NOISE: Final = re.compile(
    # which connection it was, how long it took, how often it was: what makes one cause many texts
    r"^\S*?://\S+: |^\S+:\d+/\S+: |\s*\(after \d+ms in state (?:[^()]|\(s\))*\)|error:[0-9A-F]+:SSL routines::?"
    r"|SSL handshake failed: |SASL authentication error: |Authentication failed: (?=.)|\s*\(install [^)]*\)"
)


def is_fatal(error: KafkaError) -> bool:
    """The client will never do anything again: a new one must be made."""
    return error.fatal() or error.code() in _FATAL


def refusal(error: object) -> int:
    """The code of a `KafkaError`, or of the exception that carries one, that says what we are not allowed; else 0."""
    cause = error.args[0] if isinstance(error, Exception) and error.args else error
    return cause.code() if isinstance(cause, KafkaError) and cause.code() in AUTHORIZATION else 0


def error_text(error: object) -> str:
    """A `KafkaError`, or the exception that carries one, as text and name."""
    cause = error.args[0] if isinstance(error, Exception) and error.args else error
    return f"{cause.str()} ({cause.name()})" if isinstance(cause, KafkaError) else str(error) or type(error).__name__


def code_text(code: int) -> str:
    """Kafka's words for an error code."""
    return error_text(KafkaError(code))


def reason_of(error: KafkaError, text: str = "") -> Reason:
    """The kind of cause; ``text``: where librdkafka only has words."""
    words = text or error.str()
    if (known := _REASONS.get(error.code())) is not None and not _GOES_AWAY.search(words):
        return known
    return reason_in(words)


def reason_in(text: str) -> Reason:
    return next((reason for pattern, reason in _BY_TEXT if pattern.search(text)), Reason.UNKNOWN)


def detail_of(text: str) -> str:
    """The words of librdkafka or the broker, without what differs from one attempt to the next."""
    return _NOISE.sub("", text).strip(" :")


class Heard:
    """What a client was told last about why nothing comes: by its ``error_cb`` (`note`), or by its log alone (a broker
    that hangs up on a client without TLS or SASL), for which it is the client's ``logger``. Both are served by the
    client's `poll` only."""

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self.reason = Reason.UNKNOWN
        self.detail = ""
        self._logger = logger

    def note(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # a sum of others
            self._hear(reason_of(error), error.str())

    def log(self, level: int, template: str, *values: Any) -> None:
        """As `logging.Logger.log`."""
        text = template % values if values else template
        if "Disconnected" in text and _HANGS_UP.search(text):
            self._hear(Reason.AUTHENTICATION, "it hangs up on a client without SASL or TLS (kafka.security_protocol)")
        if self._logger is not None:
            self._logger.log(level, template, *values)

    def sentence(self, service: str) -> str:
        return self.reason.sentence(service, self.detail)

    def unavailable(self, servers: str, what: str, error: Exception) -> ServiceUnavailable:
        """``what`` failed with ``error``, for the reason that was heard; empty: the broker did not answer at all."""
        cause = error.args[0] if isinstance(error, KafkaException) else None
        reason = reason_of(cause) if cause is not None else Reason.SLOW
        is_answer = cause is not None and cause.code() > 0
        if self.reason is not Reason.UNKNOWN and reason in (Reason.UNKNOWN, Reason.SLOW) and not is_answer:
            text, reason = self.sentence(f"Kafka at {servers}"), self.reason
        else:
            text = _answer(f"Kafka at {servers}", cause, reason)
        return ServiceUnavailable(f"{what}: {text}" if what else text, reason)

    def clear(self) -> None:
        """It answers again."""
        self.reason, self.detail = Reason.UNKNOWN, ""

    def _hear(self, reason: Reason, text: str) -> None:
        if reason is not Reason.UNKNOWN or self.reason is Reason.UNKNOWN:
            self.reason, self.detail = reason, detail_of(text)


@contextlib.contextmanager
def made_for(servers: str) -> Iterator[None]:
    """For the making of a client within: settings that librdkafka refuses, as it does those of a certificate that is
    just being replaced, are a service that is unavailable."""
    try:
        yield
    except KafkaException as error:
        raise Heard().unavailable(servers, "", error) from None


def _answer(service: str, cause: KafkaError | None, reason: Reason) -> str:
    """What a question came to. An error code of the broker (above zero) is an answer, with Kafka's words for it: those
    of librdkafka are at times the name of the request alone."""
    if cause is None or cause.code() <= 0:
        return reason.sentence(service, detail_of(cause.str()) if cause is not None else "")
    words = KafkaError(cause.code()).str()
    return f"{service} answers: {words}" if reason is Reason.UNKNOWN else reason.sentence(service, words)
