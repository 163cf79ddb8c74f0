"""Who else is in the consumer group: members of another installation would get a part of our partitions.

Asks only. Owns nothing that lives.
"""

import re
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException

from wsadapter.config.model import KafkaConfig, ServiceConfig
from wsadapter.config.shards import Shard
from wsadapter.kafka.admin import Admin
from wsadapter.kafka.errors import AUTHORIZATION
from wsadapter.kafka.settings import group_id

_UNKNOWN: Final = (*AUTHORIZATION, KafkaError.UNSUPPORTED_VERSION, KafkaError._UNSUPPORTED_FEATURE)
"""The broker does not say who is in the group, or not to us."""


def instance_id(service: ServiceConfig, child: str) -> str:
    """``group.instance.id`` of a consumer process."""
    shard = Shard.parse(service.shard)
    return f"{service.instance}-{child}" if shard is None else f"{service.instance}-s{shard.number}-{child}"


def is_alone(service: ServiceConfig, consumers: int) -> bool:
    """Whether no other member can be in the group; ``consumers``: processes of this instance. Shards share a group."""
    return consumers == 1 and not service.shard


def foreign_members(kafka: KafkaConfig, service: ServiceConfig, timeout: float) -> list[str]:
    """The members of the group that are no consumers of this instance, nor of another shard of the same configuration,
    as text; empty also where the broker does not tell. `ServiceUnavailable` when it does not answer."""
    group = group_id(kafka)
    ours = re.compile(_ours(service))
    admin = Admin(kafka)
    members = admin.ask(f"members of group {group} are not known", lambda: _members(admin, group, timeout), timeout)
    return [
        f"{member.group_instance_id or member.client_id} at {member.host.lstrip('/')}"
        for member in members
        if not ours.fullmatch(member.group_instance_id or "")
    ]


def _members(admin: Admin, group: str, timeout: float) -> list[Any]:
    """Whom the group's coordinator knows."""
    try:
        described: Any = admin.describe_consumer_groups([group], request_timeout=timeout)[group].result(timeout)
    except KafkaException as error:
        if error.args[0].code() in _UNKNOWN:
            return []
        raise
    return list(described.members)


def _ours(service: ServiceConfig) -> str:
    """The names that members may have."""
    own = re.escape(instance_id(service, "consumer-")) + r"\d+"
    shard = Shard.parse(service.shard)
    return own if shard is None else rf"{own}|.+-s(?!{shard.number}-)\d+-consumer-\d+"
