"""Security given once: complete, used by every client, never half of it; passwords from wherever they come."""

import ctypes
import os
import subprocess
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import cimpl

from wsadapter.config import effective, librdkafka
from wsadapter.config.load import Loaded, load
from wsadapter.config.model import Config, KafkaConfig
from wsadapter.config.warnings import warnings
from wsadapter.errors import ConfigError
from wsadapter.kafka import settings

FEED = '[[feed]]\nexchange = "binance"\nsymbols = ["BTCUSDT"]\n'
SASL = '[kafka]\nsecurity_protocol = "sasl_ssl"\nsasl_mechanism = "scram-sha-512"\nsasl_username = "recorder"\n'
CLIENTS = (
    settings.producer_config, settings.admin_config, settings.lookup_config, settings.repairer_config,
    settings.unsubscribed_config, lambda kafka: settings.consumer_config(kafka, "i"),
)  # fmt: skip


def read(directory: Path, text: str, **environ: str) -> Config:
    path = directory / "c.toml"
    path.write_text(FEED + text)
    return load(str(path), {"HOME": str(directory), **environ}, dotenv=None)


def refused(directory: Path, text: str, **environ: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as error:
        read(directory, text, **environ)
    return dict(error.value.errors)


def secret(directory: Path, content: str = "s3cret\n", name: str = "password") -> Path:
    path = directory / name
    path.write_text(content)
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A certificate, its key, and the same key under the passphrase ``opensesame``."""
    directory = tmp_path_factory.mktemp("pair")
    certificate, key, locked = (directory / name for name in ("c.pem", "k.pem", "l.pem"))
    for command in (
        f"req -x509 -newkey rsa:2048 -nodes -subj /CN=a -days 2 -keyout {key} -out {certificate}",
        f"pkcs8 -topk8 -in {key} -out {locked} -passout pass:opensesame",
    ):
        subprocess.run(["openssl", *command.split()], check=True, capture_output=True)
    return certificate, key, locked


def test_every_client_has_it(tmp_path: Path) -> None:
    password = secret(tmp_path, "s3 cret\n")
    kafka = read(tmp_path, f'{SASL}sasl_password_file = "{password}"\n').kafka

    for of in CLIENTS:
        used = of(kafka)
        assert (used["security.protocol"], used["sasl.mechanism"]) == ("SASL_SSL", "SCRAM-SHA-512")
        assert (used["sasl.username"], used["sasl.password"]) == ("recorder", "s3 cret")


def librdkafka_names(directory: Path) -> set[str]:
    """Every property of the library that is linked here, aliases too."""
    path = directory / "properties.md"
    library, libc = ctypes.CDLL(cimpl.__file__), ctypes.CDLL(None)
    libc.fopen.restype = ctypes.c_void_p
    file = ctypes.c_void_p(libc.fopen(os.fsencode(path), b"w"))
    library.rd_kafka_conf_properties_show(file)
    libc.fclose(file)
    return {line.partition("|")[0].strip() for line in path.read_text().splitlines() if " | " in line}


def test_no_secret_of_librdkafka_is_taken_from_the_file(tmp_path: Path) -> None:
    """Of the names of 2.16: a new one that sounds like a secret and is none belongs to the places."""
    names = librdkafka_names(tmp_path)
    sounding = {
        name for name in names if {"secret", "password", "passphrase", "private", "key", "pem"} & {*name.split(".")}
    }
    places = {
        "https.ca.pem", "ssl.ca.pem", "ssl.certificate.pem", "ssl.key.location",
        "sasl.oauthbearer.assertion.private.key.file",
    }  # fmt: skip

    assert "sasl.oauthbearer.client.credentials.client.secret" in sounding, "the library was asked"
    assert "sasl.oauthbearer.assertion.private.key.pem" in sounding
    assert {name for name in sounding if not librdkafka.refusal("producer", name)} == places
    assert {name for name in sounding if not librdkafka.refusal("consumer", f"topic.{name}")} == places
    for name in sounding - places:
        said = refused(tmp_path, f'[kafka.producer]\n"{name}" = "hunter2"\n')
        assert "secrets come by file only" in said[f"kafka.producer.{name}"]
        assert "hunter2" not in str(said)


def test_a_secret_that_went_by_is_shown_to_nobody(tmp_path: Path) -> None:
    kafka = KafkaConfig(producer={"sasl.oauthbearer.assertion.private.key.pem": "hunter2", "linger.ms": 5})
    loaded = Loaded(msgspec.structs.replace(read(tmp_path, ""), kafka=kafka), {})
    shown = {one.key: one.value for one in effective.settings(loaded)}

    assert shown["kafka.producer.sasl.oauthbearer.assertion.private.key.pem"] == effective.MASK
    assert shown["kafka.producer.linger.ms"] == 5
    assert "hunter2" not in str(shown)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sasl.kerberos.kinit.cmd", "kinit -R"),
        ("sasl.kerberos.principal", "recorder; touch /tmp/x"),
        ("sasl.kerberos.keytab", "/etc/$(id).keytab"),
        ("topic.sasl.kerberos.kinit.cmd", "kinit -R"),
    ],
)
def test_no_shell_command_is_taken_from_the_file(tmp_path: Path, key: str, value: str) -> None:
    said = refused(tmp_path, "".join(f'[kafka.{side}]\n"{key}" = "{value}"\n' for side in ("producer", "consumer")))

    assert all(said[f"kafka.{side}.{key}"].startswith("refused, ") for side in ("producer", "consumer"))


def test_a_principal_and_a_keytab_are_taken(tmp_path: Path) -> None:
    words = (
        'sasl.kerberos.principal = "recorder/host-1@EXAMPLE.COM"\nsasl.kerberos.keytab = "/etc/wsadapter/k.keytab"\n'
    )
    kafka = read(tmp_path, "".join(f"[kafka.{side}]\n{words}" for side in ("producer", "consumer"))).kafka

    assert kafka.producer["sasl.kerberos.principal"] == "recorder/host-1@EXAMPLE.COM"


@pytest.mark.parametrize("side", ["producer", "consumer"])
def test_security_of_one_side_is_refused(tmp_path: Path, side: str) -> None:
    other = "consumer" if side == "producer" else "producer"
    text = f'[kafka.{side}]\nsecurity.protocol = "SSL"\nssl.cipher.suites = "X"\n[kafka.{other}]\nlinger.ms = 5\n'
    errors = refused(tmp_path, text.replace("[kafka.consumer]\nlinger.ms = 5\n", ""))

    assert "set it in kafka.security_protocol, once for all clients" in errors[f"kafka.{side}.security.protocol"]
    assert f"kafka.{other} differs" in errors[f"kafka.{side}.ssl.cipher.suites"]


def test_the_older_form_is_taken_where_both_sides_agree(tmp_path: Path) -> None:
    both = "".join(
        f'[kafka.{side}]\nsecurity.protocol = "SASL_PLAINTEXT"\nsasl.{word} = "PLAIN"\nsasl.username = "u"\n'
        for side, word in (("producer", "mechanism"), ("consumer", "mechanisms"))
    )
    kafka = read(tmp_path, f'[kafka]\nsasl_password_file = "{secret(tmp_path)}"\n{both}').kafka
    assert all(of(kafka)["security.protocol"] == "SASL_PLAINTEXT" for of in CLIENTS)

    errors = refused(tmp_path, f'[kafka]\nsecurity_protocol = "SSL"\n{both}')
    assert "is not what kafka.security_protocol says" in errors["kafka.producer.security.protocol"]


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ('[kafka]\nsasl_username = "u"\nsasl_mechanism = "PLAIN"\n', {"kafka.sasl_username", "kafka.sasl_mechanism"}),
        ('[kafka]\nsecurity_protocol = "SASL_SSL"\n', {"kafka.sasl_mechanism"}),
        (SASL.replace('sasl_username = "recorder"\n', ""), {"kafka.sasl_username", "kafka.sasl_password_file"}),
        ('[kafka]\nsecurity_protocol = "TLS"\nsasl_mechanism = "MD5"\n', {"kafka.security_protocol",
                                                                        "kafka.sasl_mechanism"}),
        ('[kafka]\nsasl_password = "x"\n[clickhouse]\npassword = "x"\n', {"kafka.sasl_password",
                                                                         "clickhouse.password"}),
        ('[clickhouse]\nca = "{file}"\n', {"clickhouse.ca"}),
        ('[clickhouse]\nurl = "https://a:1"\nca = "{file}"\nkey = "{file}"\n', {"clickhouse.ca",
                                                                             "clickhouse.certificate"}),
        ('[kafka]\nsecurity_protocol = "SSL"\nssl_ca = "{file}"\n', {"kafka.ssl_ca"}),
        ('[kafka]\nsecurity_protocol = "SSL"\nssl_key = "/nonexistent"\n', {"kafka.ssl_key"}),
        ('[kafka]\nsecurity_protocol = "SSL"\nssl_certificate = "{file}"\n', {"kafka.ssl_key"}),
    ],
)  # fmt: skip
def test_half_of_it_is_refused(tmp_path: Path, text: str, paths: set[str]) -> None:
    assert refused(tmp_path, text.replace("{file}", str(secret(tmp_path, "no certificate")))).keys() == paths


def test_a_key_with_a_passphrase(tmp_path: Path, pair: tuple[Path, Path, Path]) -> None:
    certificate, key, locked = pair
    own = f'[kafka]\nsecurity_protocol = "SSL"\nssl_certificate = "{certificate}"\nssl_key = "{locked}"\n'
    right, wrong = secret(tmp_path, "opensesame\n"), secret(tmp_path, "close\n", "wrong")

    kafka = read(tmp_path, f'{own}ssl_key_password_file = "{right}"\n').kafka
    assert all(of(kafka)["ssl.key.password"] == "opensesame" for of in CLIENTS)
    errors = refused(tmp_path, f'{own}ssl_key_password_file = "{wrong}"\n')
    assert errors.keys() <= {"kafka.ssl_key", "kafka.ssl_key_password_file"}
    assert "opensesame" not in str(errors)
    assert "close" not in str(errors)

    server = f'[clickhouse]\nurl = "https://a:1"\ncertificate = "{certificate}"\n'
    assert read(tmp_path, f'{server}ca = "{certificate}"\nkey = "{key}"\n').clickhouse.key == str(key)
    assert "has a passphrase" in refused(tmp_path, f'{server}key = "{locked}"\n')["clickhouse.key"]


def test_passwords_of_the_environment(tmp_path: Path) -> None:
    environ = {"KAFKA_SASL_PASSWORD": "k3y word ", "CLICKHOUSE_PASSWORD": "s3cret", "CLICKHOUSE_USER": "writer"}
    file = secret(tmp_path, "of the file")
    config = read(tmp_path, f'{SASL}sasl_password_file = "{file}"\n', **environ)

    assert [of(config.kafka)["sasl.password"] for of in CLIENTS] == ["k3y word "] * len(CLIENTS)
    assert config.clickhouse.user == "writer"
    assert "k3y" not in repr(config)
    assert "s3cret" not in repr(config)
    assert msgspec.json.decode(msgspec.json.encode(config), type=Config) == config, "children get it"
    stripped = msgspec.json.encode(config.with_secrets_of(()))
    assert b"k3y" not in stripped, "and those that need it not do not"
    assert b"s3cret" not in stripped


def test_the_environment_alone_reaches_a_secured_service() -> None:
    environ = {
        "HOME": "/h", "WEBSOCKET_SYMBOLS": "BTCUSDT", "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA_SASL_MECHANISM": "PLAIN", "KAFKA_SASL_USERNAME": "u", "KAFKA_SASL_PASSWORD": "p",
        "CLICKHOUSE_DATABASE": "other",
    }  # fmt: skip
    config = load(None, environ, dotenv=None)

    assert settings.admin_config(config.kafka)["sasl.password"] == "p"
    assert config.clickhouse.database == "other"


def test_systemd_credentials(tmp_path: Path) -> None:
    given = tmp_path / "credentials"
    given.mkdir()
    secret(given, "of systemd\n", "kafka.sasl_password")
    secret(given, "too", "clickhouse.password")
    config = read(tmp_path, SASL, CREDENTIALS_DIRECTORY=str(given))
    assert settings.producer_config(config.kafka)["sasl.password"] == "of systemd"
    assert config.clickhouse.password_file == str(given / "clickhouse.password")

    named = read(tmp_path, f'{SASL}sasl_password_file = "{secret(tmp_path)}"\n', CREDENTIALS_DIRECTORY=str(given))
    assert settings.producer_config(named.kafka)["sasl.password"] == "s3cret", "what is named comes first"


def test_a_rotated_secret_changes_its_own_section_only(tmp_path: Path) -> None:
    files = [secret(tmp_path, "one", name) for name in ("kafka", "clickhouse")]
    text = f'{SASL}sasl_password_file = "{files[0]}"\n[clickhouse]\npassword_file = "{files[1]}"\n'
    before, again = read(tmp_path, text), read(tmp_path, text)
    secret(tmp_path, "two", "clickhouse")
    after = read(tmp_path, text)

    assert before == again
    assert before.kafka == after.kafka
    assert before.clickhouse != after.clickhouse


def test_what_others_can_read_is_warned_about(tmp_path: Path) -> None:
    file = secret(tmp_path)
    file.chmod(0o644)
    found = warnings(read(tmp_path, f'[clickhouse]\npassword_file = "{file}"\n'), {}, None)
    assert found == [f"clickhouse.password_file: every user of this machine can read {file} (chmod 600)"]


def test_a_password_without_sasl_is_warned_about(tmp_path: Path) -> None:
    found = warnings(read(tmp_path, f'[kafka]\nsasl_password_file = "{secret(tmp_path)}"\n'), {}, None)
    assert found == ["kafka.sasl_password_file: not used, kafka.security_protocol is PLAINTEXT"]


def test_a_secret_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_bytes(b"\xff\xfe")
    assert refused(tmp_path, f'[clickhouse]\npassword_file = "{path}"\n') == {"clickhouse.password_file": "not UTF-8"}
    assert KafkaConfig().secrets_digest == ""
