"""What a commit's metadata carries, and what is made of a stranger's."""

from hypothesis import given, settings
from hypothesis import strategies as st

from wsadapter.roles.consumer.batches import METADATA_LIMIT, WATERMARKS, CommitMetadata, newest

U64 = st.integers(0, 2**64 - 1)
MARKS = st.dictionaries(U64, U64, max_size=WATERMARKS)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.none() | st.integers(0, 2**63 - 1), MARKS)
def test_it_comes_back_as_it_went(partitions: int, intent: int | None, marks: dict[int, int]) -> None:
    progress = CommitMetadata(partitions, intent, marks)
    found = CommitMetadata.decode(progress.encode())

    assert found == progress
    assert list(found.watermarks) == list(marks)  # the order says which epoch moved last


def test_the_largest_fits_into_a_commit() -> None:
    marks = {2**64 - 1 - n: 2**64 - 1 for n in range(WATERMARKS)}

    assert len(CommitMetadata(10_000, 2**63 - 1, marks).encode()) < METADATA_LIMIT


@settings(deadline=None)
@given(st.none() | st.text() | st.text(alphabet=":w1234567890AB=+/", max_size=40))
def test_what_others_wrote_says_nothing_and_never_fails(text: str | None) -> None:
    found = CommitMetadata.decode(text)

    assert found == CommitMetadata.decode(found.encode())


def test_a_cut_off_or_foreign_text_has_neither_intent_nor_watermarks() -> None:
    whole = CommitMetadata(4, 17, {1: 2}).encode()

    for text in ("", None, "x", whole[:-1], whole[3:], "w2:4:17:", "w1:4:17:AAAA", "w1:4:x:", "w1:4:17:!!!!"):
        assert CommitMetadata.decode(text) == CommitMetadata(), text


@settings(deadline=None)
@given(MARKS, st.dictionaries(U64, U64, max_size=3 * WATERMARKS))
def test_newest_is_bounded_and_forgets_what_moved_longest_ago(before: dict[int, int], moved: dict[int, int]) -> None:
    after = {**before, **moved}
    kept = newest(before, after)
    changed = {epoch for epoch in after if before.get(epoch) != after[epoch]}

    assert len(kept) <= WATERMARKS
    assert all(after[epoch] == position for epoch, position in kept.items())
    if len(after) <= WATERMARKS:
        assert kept == after
    if forgotten := after.keys() - kept.keys():
        # an epoch that moved is only forgotten when all that is kept moved too
        assert not (forgotten & changed) or kept.keys() <= changed
