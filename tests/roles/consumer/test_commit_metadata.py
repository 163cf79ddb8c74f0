"""What a commit's metadata carries, and what is made of a stranger's."""

from hypothesis import given, settings
from hypothesis import strategies as st

from wsadapter.roles.consumer.commit_metadata import METADATA_LIMIT, WATERMARKS, CommitMetadata, newest

TOPIC_ID = "kU4VZgZ0R8i83el9Jp+R0Q"
NOW_MS = 1_795_768_438_118

U64 = st.integers(0, 2**64 - 1)
MARKS = st.dictionaries(U64, U64, max_size=WATERMARKS)


@settings(deadline=None)
@given(
    st.integers(0, 10_000), st.none() | st.integers(0, 2**63 - 1), MARKS, st.sampled_from(["", TOPIC_ID]),
    st.integers(0, 10**9), st.booleans(),
)  # fmt: skip
def test_it_comes_back_as_it_went(
    partitions: int, intent: int | None, marks: dict[int, int], topic_id: str, most_rows: int, untouched: bool
) -> None:
    progress = CommitMetadata(partitions, intent, marks, topic_id, NOW_MS if topic_id else 0, most_rows, untouched)
    found = CommitMetadata.decode(progress.encode())

    assert found == progress
    assert list(found.watermarks) == list(marks)  # the order says which epoch moved last


def test_the_largest_fits_into_a_commit() -> None:
    marks = {2**64 - 1 - n: 2**64 - 1 for n in range(WATERMARKS)}

    assert len(CommitMetadata(10_000, 2**63 - 1, marks, TOPIC_ID, NOW_MS, 10**9, True).encode()) < METADATA_LIMIT


def test_what_an_earlier_version_committed_is_read() -> None:
    text = "w1:4:17:AQAAAAAAAAACAAAAAAAAAA=="

    assert CommitMetadata.decode(text) == CommitMetadata(4, 17, {1: 2})


def test_where_no_size_was_learned_the_version_before_reads_it() -> None:
    known = CommitMetadata(4, 17, {1: 2}, "id", 9)
    text = known.encode()
    assert text == "w2:4:17:0s;:id:9"
    assert CommitMetadata.decode(text) == known

    more = CommitMetadata(4, 17, {1: 2}, "id", 9, 5, True)
    assert more.encode() == "w3:4:17:0s;:id:9:5:1"


def test_the_marks_of_three_hundred_rings_are_all_kept() -> None:
    """Rings of one start, made one after another; each has gone through a terabyte."""
    marks = {1_795_768_438_118_000_000 + n * 300_000: 2**40 + n * 8 for n in range(300)}

    kept = newest({}, marks)

    assert kept == marks
    assert CommitMetadata.decode(CommitMetadata(8, 1, kept, TOPIC_ID, NOW_MS).encode()).watermarks == marks
    assert len(CommitMetadata(8, 1, kept, TOPIC_ID, NOW_MS).encode()) < METADATA_LIMIT


def test_what_the_broker_does_not_say_forgets_nothing() -> None:
    known = CommitMetadata(4, 17, {1: 2}, TOPIC_ID)

    assert known.of_topic(0, "") == known.of_topic(4, TOPIC_ID) == known
    assert CommitMetadata(0, 17, {1: 2}).of_topic(4, TOPIC_ID) == known
    assert known.of_topic(5, TOPIC_ID) == CommitMetadata(5, 17, {}, TOPIC_ID)
    assert not known.is_other_topic("")
    assert not CommitMetadata(4, 17).is_other_topic(TOPIC_ID)
    assert known.is_other_topic("8i83el9Jp+R0QkU4VZgZ0R")


@settings(deadline=None)
@given(st.none() | st.text() | st.text(alphabet=":w1234567890AB=+/", max_size=40))
def test_what_others_wrote_says_nothing_and_never_fails(text: str | None) -> None:
    found = CommitMetadata.decode(text)

    assert found == CommitMetadata.decode(found.encode())


def test_a_cut_off_or_foreign_text_has_neither_intent_nor_watermarks() -> None:
    whole = CommitMetadata(4, 17, {1: 2}).encode()

    for text in (
        "",
        None,
        "x",
        whole[3:],
        "w2:4:17:",
        "w1:4:17:AAAA",
        "w1:4:x:",
        "w1:4:17:!!!!",
        "w2:4:17:AB::0",
        "w3:4:17:0s;:id:9",
    ):
        assert CommitMetadata.decode(text) == CommitMetadata(), text


@settings(deadline=None)
@given(MARKS, st.dictionaries(U64, U64, max_size=3 * WATERMARKS))
def test_newest_is_bounded_and_forgets_what_moved_longest_ago(before: dict[int, int], moved: dict[int, int]) -> None:
    after = {**before, **moved}
    kept = newest(before, after)
    changed = {epoch for epoch in after if before.get(epoch) != after[epoch]}

    assert len(CommitMetadata(10_000, 2**63 - 1, kept, TOPIC_ID, NOW_MS).encode()) < METADATA_LIMIT
    assert all(after[epoch] == position for epoch, position in kept.items())
    if len(after) <= WATERMARKS:
        assert kept == after
    if forgotten := after.keys() - kept.keys():
        # an epoch that moved is only forgotten when all that is kept moved too
        assert not (forgotten & changed) or kept.keys() <= changed
