"""Requests and answers: whatever way a venue answers, each name is accepted or refused, and a bad one costs itself."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wsadapter.exchanges.protocol import LONGEST_PAUSE, MOST_TRIES, STRIKES, Outstanding
from wsadapter.exchanges.venue import Acked, Answer, ClosesSoon, Item, Refused, Reply, Requests

ERROR = ("400", "unknown stream")


def build(begin: bool, names: tuple[str, ...], identity: int) -> bytes:
    return json.dumps([begin, names, identity]).encode()


def made(**options: Any) -> Outstanding:
    return Outstanding(Requests(build, **{"most": 4, "octets": 1000, **options}))


def asked(payloads: list[bytes]) -> list[tuple[bool, list[str], int]]:
    return [tuple(json.loads(payload)) for payload in payloads]


def replies(items: list[Item]) -> list[bytes]:
    return [item.payload for item in items if isinstance(item, Reply)]


def accepted(items: list[Item]) -> list[str]:
    return [name for item in items if isinstance(item, Acked) for name in item.names]


def refused(items: list[Item]) -> list[str]:
    return [name for item in items if isinstance(item, Refused) for name in item.names]


def test_answers_by_name_come_in_any_order_and_number() -> None:
    requests = made()
    requests.begin("abcdef")

    assert accepted(requests.answered(Answer(None, names=("b", "e")))) == ["b", "e"]
    assert refused(requests.answered(Answer(None, ERROR, names=("c",)))) == ["c"]
    assert requests.answered(Answer(None, names=("unknown",))) == []
    assert accepted(requests.answered(Answer(None, names=("a", "d", "f", "b")))) == ["a", "d", "f"]
    assert requests.answered(Answer(None, names=("a",))) == []


def test_a_list_that_is_refused_by_its_names_is_asked_for_in_halves() -> None:
    requests = made()
    requests.begin("abcd")
    items = requests.answered(Answer(None, ERROR, names=tuple("abcd")))

    assert [names for _, names, _ in asked(replies(items))] == [["a", "b"], ["c", "d"]]


def test_a_socket_takes_so_many_requests_and_asks_for_another_one_in_time() -> None:
    requests = made(most=1, on_socket=8)
    sent, notices = len(requests.begin("ab")), []
    while replied := requests.renew("a"):
        for begin in (False, True):
            items = requests.answered(Answer(None, names=("a",), begin=begin))
            notices += [sent + len(replied) for item in items if isinstance(item, ClosesSoon)]
        sent += len(replied)

    assert (sent, notices) == (8, [6]), "no more than it takes, and told once"
    requests.reset()
    assert len(requests.begin("abcdefghij")) == 8, "another socket takes as many"
    assert len(made(most=1).begin("abcdefghij")) == 10


def test_the_end_of_a_stream_and_its_new_begin_are_told_apart() -> None:
    requests = made(in_flight=1)
    requests.begin("a")
    requests.answered(Answer(None, names=("a",)))
    assert asked(requests.renew("a")) == [(False, ["a"], 2)]
    ended = requests.answered(Answer(None, names=("a",), begin=False))

    assert asked(replies(ended)) == [(True, ["a"], 3)]
    assert accepted(ended) == []
    assert accepted(requests.answered(Answer(None, names=("a",)))) == ["a"]


def test_what_a_list_of_all_leaves_out_is_refused() -> None:
    requests = made()
    requests.begin("abc")
    items = requests.answered(Answer(1, names=("a", "c"), everything=True))

    assert (accepted(items), refused(items)) == (["a", "c"], ["b"])
    requests.begin("d")
    assert refused(requests.answered(Answer(2, everything=True))) == ["d"]


def test_another_name_in_the_place_of_one_is_its_other_name() -> None:
    requests = made()
    requests.begin("abc")

    assert accepted(requests.answered(Answer(None, names=("a", "B", "c"), everything=True))) == ["a", "b", "c"]
    assert requests.aliases == {"B": "b"}
    requests.reset()
    assert requests.aliases == {}


def test_an_error_that_names_no_request_of_ours_refuses_nobody() -> None:
    requests = made()

    assert requests.answered(Answer(7, ERROR)) == [Refused((), *ERROR)]


@given(
    st.lists(st.booleans(), min_size=1, max_size=12),
    st.sampled_from(["id", "order", "names", "each", "everything"]),
    st.integers(1, 3),
    st.integers(1, 5),
)
def test_each_name_gets_its_answer(good: list[bool], way: str, in_flight: int, most: int) -> None:
    names = {str(n): is_good for n, is_good in enumerate(good)}
    requests = made(in_flight=in_flight, most=most)
    queue, items = requests.begin(names), list[Item]()
    for _ in range(200):
        if not queue:
            break
        _, wanted, identity = asked([queue.pop(0)])[0]
        bad = [name for name in wanted if not names[name]]
        answers = {
            "id": [Answer(identity, ERROR if bad else None)],
            "order": [Answer(None, ERROR if bad else None)],
            "names": [Answer(None, ERROR if bad else None, names=tuple(wanted))],
            "each": [Answer(None, None if names[name] else ERROR, names=(name,)) for name in reversed(wanted)],
            "everything": [Answer(identity, names=tuple(n for n in wanted if names[n]), everything=True)],
        }[way]
        for answer in answers:
            came = requests.answered(answer)
            items += came
            queue += replies(came)

    assert sorted(accepted(items), key=int) == [name for name, is_good in names.items() if is_good]
    assert sorted(refused(items), key=int) == [name for name, is_good in names.items() if not is_good]


@given(st.sets(st.integers(0, 30), max_size=3), st.integers(2, 31), st.integers(1, 3))
@example({0, 1}, 3, 1)
def test_a_name_that_ends_the_connection_is_found(bad: set[int], count: int, in_flight: int) -> None:
    """With the others at work on the last connection, and after so many as halving takes."""
    names = [str(n) for n in range(count)]
    killers = {str(n) for n in bad if n < count}
    if len(killers) == count:
        return
    requests = made(most=10, in_flight=in_flight, may_close=True)
    sockets, over = 0, False
    while not over and sockets < 200:
        sockets += 1
        requests.reset()
        queue, items = requests.begin(names), list[Item]()
        while queue:
            _, wanted, identity = asked([queue.pop(0)])[0]
            if killers.intersection(wanted):
                break
            came = requests.answered(Answer(identity))
            items += came
            queue += replies(came)
        else:
            over = True

    assert sockets <= 1 + len(killers) * (5 + STRIKES)
    assert sorted(accepted(items), key=int) == [name for name in names if name not in killers]
    assert sorted(refused(items), key=int) == sorted(killers, key=int)


def test_a_connection_that_ends_for_another_reason_costs_no_name() -> None:
    """A name is given up only when it alone was without an answer, more than once."""
    requests = made(most=1, may_close=True)
    requests.begin("a")
    requests.reset()
    assert [names for _, names, _ in asked(requests.begin("a"))] == [["a"]]
    assert accepted(requests.answered(Answer(None))) == ["a"]
    requests.reset()

    assert [names for _, names, _ in asked(requests.begin("ab"))] == [["a"], ["b"]]


def on_a_socket(requests: Outstanding, names: str, killer: str = "", most: int = 100) -> tuple[list[str], list[Item]]:
    """What the next socket is asked for, one after the other, and what comes of it: it ends with ``killer``, and after
    so many answers nothing is answered any more."""
    requests.reset()
    queue, items, sent = requests.begin(names), list[Item](), list[str]()
    while queue:
        _, wanted, _ = asked([queue.pop(0)])[0]
        sent += wanted
        if killer in wanted:
            break
        if most:
            most -= 1
            items += (came := requests.answered(Answer(None, names=tuple(wanted))))
            queue += replies(came)
    return sent, items


@pytest.mark.parametrize("names", ["a", "ab", "abc"])
@pytest.mark.parametrize("sockets", range(1, 10))
def test_a_venue_that_answers_nothing_costs_no_name(names: str, sockets: int) -> None:
    """An outage: each socket is given up without an answer. The first one when it is well again has all."""
    requests = made(most=1, may_close=True)
    for _ in range(sockets):
        assert on_a_socket(requests, names, most=0)[1] == []
    _, items = on_a_socket(requests, names)

    assert (sorted(accepted(items)), refused(items)) == ([*names], [])


def test_a_name_that_was_given_up_is_asked_for_once_more_by_each_second_socket() -> None:
    """Last: it may have been the venue. While it is the name each other socket stands with the rest."""
    requests = made(most=1, in_flight=10, may_close=True)
    while not refused(found := on_a_socket(requests, "abc", killer="a")[1]):
        pass
    assert (sorted(accepted(found)), refused(found)) == (["b", "c"], ["a"])

    for _ in range(3):
        assert on_a_socket(requests, "abc", killer="a")[0][-1] == "a"
        sent, items = on_a_socket(requests, "abc", killer="a")
        assert (sent, sorted(accepted(items)), refused(items)) == (["b", "c"], ["b", "c"], ["a"])
    sent, items = on_a_socket(requests, "abc")
    assert (sent, sorted(accepted(items))) == (["b", "c", "a"], ["a", "b", "c"]), "the venue knows it now"
    assert on_a_socket(requests, "abc")[0] == ["a", "b", "c"]


def test_of_the_sockets_that_are_to_take_over_one_tries_a_name_that_was_given_up() -> None:
    """If it ends by that, the next attempt stands, whether or not what it has found out is told."""
    for is_told in (True, False):
        current = made(most=1, may_close=True)
        while not refused(on_a_socket(current, "abc", killer="a")[1]):
            pass
        sent = []
        for _ in range(2):
            heir = made(most=1, may_close=True)
            heir.follow(current)
            sent.append(on_a_socket(heir, "abc", killer="a")[0][-1])
            if is_told and sent == ["a"]:
                heir.reset()
                current.follow(heir)
        assert sent == ["a", "c"]


def test_a_request_holds_names_of_one_group_only() -> None:
    requests = made(group=lambda name: name.partition(":")[0])
    sent = asked(requests.begin(["a:1", "b:1", "a:2", "b:2", "a:3", "a:4", "a:5"]))

    assert [names for _, names, _ in sent] == [["a:1", "a:2", "a:3", "a:4"], ["a:5"], ["b:1", "b:2"]]
    assert [names for begin, names, _ in asked(requests.renew(["b:1", "a:1"])) if begin] == [["b:1"], ["a:1"]]


def test_an_answer_may_say_a_part_of_a_name() -> None:
    """The request and the symbol, say."""
    requests = made(group=lambda name: name.partition(":")[0])
    (_, _, first), (_, _, second) = asked(requests.begin(["a:1", "a:2", "b:1", "b:2"]))

    assert refused(requests.answered(Answer(second, ERROR, about=lambda name: name.endswith(":1")))) == ["b:1"]
    assert accepted(requests.answered(Answer(first, about=lambda name: name.endswith(":1")))) == ["a:1"]
    assert accepted(requests.answered(Answer(None, about=lambda name: name.endswith(":2")))) == ["a:2", "b:2"]


def test_a_list_of_what_stands_answers_the_oldest_request() -> None:
    """However long it is, and whatever earlier ones brought."""
    requests = made(group=lambda name: name[0])
    requests.begin(["a1", "b1", "b2"])

    assert accepted(requests.answered(Answer(None, names=("a1",), everything=True, standing=True))) == ["a1"]
    items = requests.answered(Answer(None, names=("b1", "a1"), everything=True, standing=True))
    assert (accepted(items), refused(items)) == (["b1"], ["b2"])
    assert requests.aliases == {}
    assert requests.answered(Answer(None, names=("b1", "a1"), everything=True, standing=True)) == []


def test_a_list_of_what_stands_answers_all_requests_before_the_one_that_it_has_names_of() -> None:
    requests = made(group=lambda name: name[0])
    requests.begin(["a1", "b1", "c1"])

    assert requests.answered(Answer(None, everything=True, standing=True)) == [], "of which it is nobody knows"
    items = requests.answered(Answer(None, names=("b1",), everything=True, standing=True))
    assert (accepted(items), refused(items)) == (["b1"], ["a1"])
    assert refused(requests.answered(Answer(None, names=("b1",), everything=True, standing=True))) == ["c1"]


def test_the_end_of_a_stream_may_be_answered_or_not() -> None:
    for is_answered in (True, False):
        requests = made(ends=False)
        requests.begin("ab")
        requests.answered(Answer(None, names=("a", "b"), everything=True, standing=True))
        sent = asked(requests.renew("b"))
        assert [(begin, names) for begin, names, _ in sent] == [(False, ["b"]), (True, ["b"])]
        if is_answered:
            assert requests.answered(Answer(None, names=("a",), everything=True, standing=True)) == []
        assert accepted(requests.answered(Answer(None, names=("a", "b"), everything=True, standing=True))) == ["b"]


def test_what_was_not_looked_at_is_asked_for_again_ever_later_and_refused_in_the_end() -> None:
    """By halves then, so that one name that the venue never gets done costs only itself."""
    requests = made(in_flight=1)
    requests.begin("ab")
    again, pauses = Answer(None, ERROR, again=True), []
    for _ in range(MOST_TRIES):
        (reply,) = requests.answered(again)
        assert isinstance(reply, Reply)
        assert asked([reply.payload])[0][:2] == (True, ["a", "b"])
        pauses.append(reply.pause)
    assert pauses[:3] == [1.0, 2.0, 4.0]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE

    (reply,) = requests.answered(again)
    assert asked([reply.payload])[0][:2] == (True, ["a"])  # type: ignore[union-attr]
    items = requests.answered(again)
    assert (refused(items), [json.loads(each)[1] for each in replies(items)]) == (["a"], [["b"]])
    assert accepted(requests.answered(Answer(None))) == ["b"]


def test_a_stream_that_was_accepted_is_as_patiently_asked_for_anew() -> None:
    requests = made(in_flight=1)
    requests.begin("a")
    for _ in range(MOST_TRIES):
        requests.answered(Answer(None, ERROR, again=True))
    assert accepted(requests.answered(Answer(None))) == ["a"]
    requests.renew("a")
    requests.answered(Answer(None, begin=False))
    (reply,) = requests.answered(Answer(None, ERROR, again=True))
    assert isinstance(reply, Reply)
    assert reply.pause == 1.0
