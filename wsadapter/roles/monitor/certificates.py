"""Until when the certificates are valid that the configuration names: of the client, and the authorities that are
trusted. Read anew at each look, for files are replaced while we run.

The standard library verifies certificates and tells their dates only of a connection, so the one field that is needed
is read from the DER here. A file that cannot be read, or has no certificate in it, is left out: `validate` says why.
"""

import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from wsadapter.config.model import Config

_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.S)
MOST_BYTES: Final = 4 << 20
SEQUENCE, VERSION, UTC_TIME, GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18


def expiries(config: Config, now: float) -> Iterator[tuple[str, float]]:
    """Key path of each file that is named -> until when it is valid, seconds since the epoch. Of a certificate that is
    sent it is the first in the file, our own; of authorities the first that ends of those that are valid yet."""
    kafka, clickhouse = config.kafka, config.clickhouse
    for name, path in (
        ("kafka.ssl_certificate", kafka.ssl_certificate),
        ("clickhouse.certificate", clickhouse.certificate),
    ):
        if ends := of_file(path):
            yield name, ends[0]
    for name, path in (("kafka.ssl_ca", kafka.ssl_ca), ("clickhouse.ca", clickhouse.ca)):
        if ends := of_file(path):
            yield name, min((end for end in ends if end > now), default=max(ends))


def of_file(path: str) -> list[float]:
    """Of each certificate in it; empty without a path."""
    if not path:
        return []
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return [not_after(ssl.PEM_cert_to_DER_cert(pem)) for pem in _PEM.findall(file.read(MOST_BYTES))]
    except (OSError, ValueError, IndexError):
        return []


def not_after(der: bytes) -> float:
    """Certificate -> tbsCertificate -> behind version, serial number, signature and issuer: validity -> notAfter (RFC
    5280, 4.1); `ValueError` or `IndexError` where it is none."""
    _, at, _ = _element(der, 0, SEQUENCE)
    _, at, _ = _element(der, at, SEQUENCE)
    tag, _, end = _element(der, at)
    at = end if tag == VERSION else at
    for _ in ("serial number", "signature", "issuer"):
        _, _, at = _element(der, at)
    _, at, _ = _element(der, at, SEQUENCE)
    _, _, at = _element(der, at)
    tag, begin, end = _element(der, at)
    text = der[begin:end].decode("ascii")
    if tag == UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != GENERALIZED_TIME:
        raise ValueError("no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _element(der: bytes, at: int, expected: int | None = None) -> tuple[int, int, int]:
    """Tag, and where its content begins and ends."""
    tag, length, begin = der[at], der[at + 1], at + 2
    if length & 0x80:
        octets = length & 0x7F
        length, begin = int.from_bytes(der[begin : begin + octets], "big"), begin + octets
    if expected not in (None, tag) or begin + length > len(der):
        raise ValueError("no certificate")
    return tag, begin, begin + length
