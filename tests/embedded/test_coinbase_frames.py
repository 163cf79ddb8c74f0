"""The counterpart of Coinbase speaks like recorded frames of both feeds: the same keys, the same JSON types."""

import json
from typing import Any

from embedded.test_kraken_frames import same, shape, spoken
from frames_path import frames

from wsadapter.embedded.exchange.dialects import dialect
from wsadapter.embedded.exchange.replay import FrameFile

FILES = {
    "exchange": ("matches", "ticker", "control"), "advanced": ("l2_data", "control"),
}  # fmt: skip


def kind(message: Any) -> str:
    if "channel" not in message:
        return str(message["type"])
    (event,) = message["events"]
    return f"{message['channel']} {event.get('type', '')}".strip()


def test_frames_have_the_shape_of_the_recorded_ones() -> None:
    found, compared = spoken("coinbase", kind), set()
    for feed, names in FILES.items():
        for name in names:
            for line in frames(f"coinbase_{feed}/examples_{name}.jsonl").read_bytes().splitlines():
                message = json.loads(line)
                which = kind(message)
                if which not in found:
                    continue
                if which == "subscriptions" and feed == "advanced":
                    assert any(one.keys() == shape(message).keys() for one in found[which])
                else:
                    assert any(same(one, shape(message)) for one in found[which]), which
                compared.add(f"{feed} {which}")

    assert compared == {
        "exchange match", "exchange ticker", "exchange subscriptions",
        "advanced l2_data snapshot", "advanced l2_data update", "advanced subscriptions",
    }  # fmt: skip


def test_what_was_recorded_of_exchange_is_replayed_to_its_class_of_connection() -> None:
    """What stands of its subscriptions, too: Advanced would call it an unknown event."""
    path = frames("coinbase_exchange/mixed_cf2021_first.jsonl.gz")
    told = [(recorded.route, b'"subscriptions"' in recorded.frame) for recorded in
            FrameFile(path, dialect("coinbase").recogniser)]  # fmt: skip

    assert {route for route, _ in told} == {"exchange"}
    assert sum(is_ack for _, is_ack in told) == 3
