"""Between a client's end and the word of it the stand-in writes nothing, and counts nothing as sent."""

from conformance.pair import Pair


def test_nothing_is_written_to_a_client_that_is_gone() -> None:
    pair = Pair("binance").open().run(0.5)
    sent, frames = pair.counts.sent.copy(), pair.counts.frames_sent
    assert frames
    for line in pair.lines:
        line.transport.closing = True
    pair.run(0.5)
    for line in pair.lines:
        line.connection.say("notice")

    assert [line.transport.written for line in pair.lines] == [[] for _ in pair.lines]
    assert (pair.counts.sent, pair.counts.frames_sent) == (sent, frames)
