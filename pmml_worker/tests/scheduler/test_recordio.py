import pytest

from pmml_worker.scheduler.recordio import Decoder


def test_a_record_is_returned_once_its_last_byte_is_there() -> None:
    decoder = Decoder()
    assert decoder.feed(b"5\nab") == []
    assert decoder.feed(b"cde") == [b"abcde"]


def test_records_may_come_byte_by_byte() -> None:
    decoder = Decoder()
    stream = b'11\n{"a": "\\n"}2\n{}'
    assert [record for i in range(len(stream)) for record in decoder.feed(stream[i : i + 1])] == [
        b'{"a": "\\n"}',
        b"{}",
    ]


def test_one_piece_may_hold_several_records_and_a_part() -> None:
    decoder = Decoder()
    assert decoder.feed(b"1\na2\nbc3\nd") == [b"a", b"bc"]
    assert decoder.feed(b"ef") == [b"def"]


def test_line_feeds_within_a_record_belong_to_it() -> None:
    assert Decoder().feed(b"4\n\n1\n\n1\nx") == [b"\n1\n\n", b"x"]


@pytest.mark.parametrize("stream", [b"abc\n", b"-1\n", b"\n", b"x" * 30])
def test_what_is_not_a_length_is_refused(stream: bytes) -> None:
    with pytest.raises(ValueError, match="RecordIO"):
        Decoder().feed(stream)
