"""The rules of [clickhouse] beyond one key: endpoints of one kind; TLS files used, complete, and readable as what they
are."""

import ssl
from typing import Final

from wsadapter.config.convert import Errors
from wsadapter.config.model import ClickHouseConfig

MAX_ENDPOINTS: Final = 16


def check(clickhouse: ClickHouseConfig, errors: Errors) -> None:
    named = [key for key in ("ca", "certificate", "key") if getattr(clickhouse, key)]
    urls = clickhouse.url.split(",")
    if len(urls) > MAX_ENDPOINTS:
        errors.add("clickhouse.url", f"names {len(urls)} endpoints, at most {MAX_ENDPOINTS} are allowed")
    if len({url.partition("://")[0] for url in urls}) > 1:
        errors.add("clickhouse.url", "some endpoints are http:// and some https://: the password would travel openly")
    if all(url.startswith("http://") for url in urls):
        for key in named:
            errors.add(f"clickhouse.{key}", "not used with http://: clickhouse.url must begin with https://")
    for key, other in (("certificate", "key"), ("key", "certificate")):
        if other in named and key not in named:
            errors.add(f"clickhouse.{key}", f"missing: clickhouse.{other} wants it")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if "ca" in named:
        try:
            context.load_verify_locations(clickhouse.ca)
        except OSError:  # ssl.SSLError is one
            errors.add("clickhouse.ca", "no certificate in PEM form in it")
    if "certificate" in named and "key" in named:
        try:
            context.load_cert_chain(clickhouse.certificate, clickhouse.key, password=_no_passphrase)
        except ValueError as error:
            errors.add("clickhouse.key", str(error))
        except OSError as error:
            errors.add("clickhouse.certificate", f"not a pair with clickhouse.key: {getattr(error, 'reason', error)}")


def _no_passphrase() -> str:
    raise ValueError("has a passphrase, which cannot be given: write the key without one, readable by this user only")
