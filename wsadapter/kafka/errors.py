"""Errors of the Kafka client: which of them end a client, and how they are told.

A producer gives its fatal error to ``error_cb``; a consumer gives it as a message, and then as the error of each call
and each commit, with code ``_FATAL`` and without the mark of `KafkaError.fatal`. Whoever handles an error asks
`is_fatal`, wherever it came from.
"""

from typing import Final

from confluent_kafka import KafkaError

_FATAL: Final = (KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID)
AUTHORIZATION: Final = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
)  # fmt: skip


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
