"""One cause is one line, whoever suffers from it."""

from wsadapter.roles.monitor.reasons import Cause, lines


def test_what_several_say_alike_is_one_line_in_the_order_of_the_first() -> None:
    found = lines([Cause("a", "down"), Cause("b", "paused"), Cause("c", "down"), Cause("a", "down")])

    assert found == ["a, c: down", "b: paused"]


def test_many_are_not_all_named() -> None:
    (line,) = lines(Cause(f"connection-{number}", "not connected") for number in range(8))

    assert line == "connection-0, connection-1, connection-2, connection-3, connection-4 and 3 more: not connected"


def test_who_waits_says_what_for_and_no_more() -> None:
    away = "Kafka does not answer: refused"
    found = lines(
        [
            Cause("serializer-0", "waiting", "serializer", is_waiting=True),
            Cause("consumer-0", "waiting", "consumer", is_waiting=True),
            Cause("repairer", "waiting", "repairer", is_waiting=True),
            Cause("serializer-0", away, "serializer", "kafka"),
            Cause("consumer-0", away, "consumer", "kafka"),
        ]
    )

    assert found == ["repairer: waiting", f"serializer-0, consumer-0: {away}"]


def test_a_stand_in_that_is_not_there_explains_its_clients() -> None:
    found = lines(
        [
            Cause("kafka", "fetching, 40 %", "kafka"),
            Cause("serializer-0", "waiting", "serializer", is_waiting=True),
            Cause("consumer-0", "waiting", "consumer", is_waiting=True),
            Cause("serializer-0", "Kafka does not answer: refused", "serializer", "kafka"),
            Cause("consumer-0", "ClickHouse refuses: authentication failed", "consumer", "clickhouse"),
        ]
    )

    assert found == ["kafka: fetching, 40 %", "consumer-0: ClickHouse refuses: authentication failed"]
