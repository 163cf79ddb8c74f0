"""The sums over pages, and the hops that they must balance. No process."""

from wsadapter.audit import hops


def test_totals_are_sums_over_the_processes_of_a_role() -> None:
    pages = [
        ("ingest", {"frames_total": 3, 'events_total{stream="trade"}': 2, 'events_total{stream="kline"}': 0}),
        ("ingest", {"frames_total": 4, 'events_total{stream="trade"}': 5, 'copies_total{stream="trade"}': 1}),
        ("serializer", {'dead_letters_total{reason="encode",topic="trade"}': 1, 'copies_total{stream="trade"}': 9}),
        ("serializer", {'dead_letters_total{reason="rejected",topic="trade"}': 2}),
        ("consumer", {'dead_letters_total{reason="parse",topic="kline"}': 4, 'consumer_lag{stream="trade"}': 7}),
        ("repairer", {'polled_total{stream="open_interest",exchange="binance"}': 6, "frames_total": 100}),
        ("exchange", {"frames_sent_total": 10, "acks_total": 2}),
    ]
    found = hops.totals(pages)

    assert (found["frames"], found["events"]) == (7, {"trade": 7}), "only what occurred, and only of ingest"
    assert (found["copies"], found["twins"]) == ({"trade": 1}, {"trade": 9})
    assert (found["not_sent"], found["not_inserted"], found["dead_letters"]) == ({"trade": 3}, {"kline": 4}, 7)
    assert (found["polled"], found["lag"], found["frames_sent"]) == ({"open_interest": 6}, 7, 12)
    assert list(found) == list(hops.TOTALS)


def test_hops_are_made_of_totals() -> None:
    for hop in (*hops.HOPS, hops.PIPELINE):
        terms = {term.removeprefix("-") for term in (*hop.enters, *hop.leaves, *hop.aside)}
        assert terms <= set(hops.TOTALS)
    assert hops.COUNTING_ROLES == ("consumer", "exchange", "ingest", "repairer", "serializer")


def test_between_ring_and_tables_every_record_counts_once() -> None:
    pages = [
        ("ingest", {'events_total{stream="trade"}': 100, 'events_total{stream="gap"}': 3}),
        ("repairer", {'records_total{stream="trade"}': 10}),
        (
            "serializer",
            {
                'copies_total{stream="trade"}': 5,
                'dead_letters_total{reason="encode",topic="unknown"}': 1,
                "spool_lost_total": 2,
            },
        ),
        (
            "consumer",
            {
                'accepted_rows_total{stream="trade"}': 80,
                'accepted_rows_total{stream="gap"}': 3,
                'rejected_rows_total{stream="trade"}': 4,
                'filtered_rows_total{stream="kline"}': 6,
                'dead_letters_total{reason="parse",topic="trade"}': 7,
            },
        ),
    ]
    assert hops.PIPELINE.between(hops.totals(pages)) == 5
