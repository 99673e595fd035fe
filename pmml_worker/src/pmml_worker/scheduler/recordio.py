"""RecordIO, the framing of Mesos' event streams: `LENGTH\n` in decimal, then LENGTH bytes, and so on.

Source: Mesos, docs/scheduler-http-api.md, "RecordIO response format".
"""


class Decoder:
    """Cuts a stream of bytes, which comes in pieces of any size, into records."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next piece of the stream and return the records that it completes.

        Raises:
            ValueError: a record's length is not a decimal number.
        """
        self._buffer += data
        records: list[bytes] = []
        while (end := self._buffer.find(b"\n", 0, 21)) >= 0:
            header = bytes(self._buffer[:end])
            if not header.isdigit():
                raise ValueError(f"RecordIO: {header!r} is not a record's length")
            start, length = end + 1, int(header)
            if len(self._buffer) < start + length:
                return records
            records.append(bytes(self._buffer[start : start + length]))
            del self._buffer[: start + length]
        if len(self._buffer) > 20:
            raise ValueError(f"RecordIO: {bytes(self._buffer[:21])!r} does not start with a record's length")
        return records
