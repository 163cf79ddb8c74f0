"""A real Kafka with SASL, TLS and an authorizer, for tests of what is said when one of them refuses.

Listeners: PLAINTEXT (for the test itself), SASL_PLAINTEXT and SASL_SSL with the users of `USERS`, by PLAIN or by
SCRAM-SHA-512. The certificate is
for the name localhost, not for the address 127.0.0.1, where it is to be had, too. ``admin`` may do everything,
``stranger`` nothing, ``recorder`` and ``repairer`` what a test grants.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from eventually import eventually

from wsadapter.embedded.kafka.broker import LOGGING, KafkaBroker
from wsadapter.embedded.kafka.cluster import BrokerOrder
from wsadapter.embedded.kafka.install import Installation, find_java
from wsadapter.embedded.ports import LOOPBACK, free_ports

USERS: Final = {"admin": "right", "stranger": "right-too", "recorder": "right-three", "repairer": "right-four"}
SCRAM: Final = "SCRAM-SHA-512"
START_SECONDS: Final = 120.0
CLUSTER_ID: Final = "MkU3OEVBNTcwNTJENDM2Qg"


class SecuredKafka(NamedTuple):
    """Addresses of its listeners, and the CA that signed its certificate."""

    plaintext: str
    sasl_plaintext: str
    sasl_ssl: str
    ca: Path


def authority(directory: Path, name: str) -> tuple[Path, Path]:
    """A CA of its own: certificate and key."""
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    _openssl(f"req -x509 -newkey rsa:2048 -nodes -subj /CN={name} -days 2 -keyout {key} -out {certificate}")
    return certificate, key


def signed(directory: Path, name: str, alternatives: str, ca: tuple[Path, Path]) -> tuple[Path, Path]:
    """A certificate for ``alternatives`` (subjectAltName) and its key."""
    request, certificate, key, extension = (directory / f"{name}.{end}" for end in ("csr", "crt", "key", "ext"))
    extension.write_text(f"subjectAltName={alternatives}\n")
    _openssl(f"req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {key} -out {request}")
    _openssl(f"x509 -req -in {request} -CA {ca[0]} -CAkey {ca[1]} -CAcreateserial -days 2 -extfile {extension} "
             f"-out {certificate}")  # fmt: skip
    return certificate, key


@contextmanager
def secured_kafka(directory: Path) -> Iterator[SecuredKafka]:
    ca = authority(directory, "ca")
    certificate, key = signed(directory, "broker", "DNS:localhost", ca)
    store = directory / "broker.pem"
    store.write_text(key.read_text() + certificate.read_text())
    plain, sasl, tls, controller = free_ports(4)
    installation, java = Installation(os.environ), find_java(os.environ) or ""
    names = {"PLAINTEXT": plain, "SASL_PLAINTEXT": sasl, "SASL_SSL": tls}
    listeners = ",".join(f"{name}://{LOOPBACK}:{port}" for name, port in names.items())
    users = " ".join(f'user_{user}="{password}"' for user, password in USERS.items())
    settings = {
        "listeners": f"{listeners},CONTROLLER://{LOOPBACK}:{controller}",
        "advertised.listeners": listeners.replace(f"SASL_SSL://{LOOPBACK}", "SASL_SSL://localhost"),
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT," + ",".join(f"{name}:{name}" for name in names),
        "inter.broker.listener.name": "PLAINTEXT",
        "sasl.enabled.mechanisms": f"PLAIN,{SCRAM}",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(store),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS;User:admin",
        **{
            f"listener.name.{name}.{mechanism}.sasl.jaas.config": f"org.apache.kafka.common.security.{module}"
            for name in ("sasl_plaintext", "sasl_ssl")
            for mechanism, module in (
                ("plain", f"plain.PlainLoginModule required {users};"),
                (SCRAM.lower(), "scram.ScramLoginModule required;"),
            )
        },
    }
    order = BrokerOrder(1, (f"{LOOPBACK}:{plain}",), (controller,), CLUSTER_ID, settings)
    broker = KafkaBroker(installation, java, directory, LOOPBACK, plain, order)
    (directory / "server.properties").write_text(broker.properties())
    (directory / "log4j2.properties").write_text(LOGGING)
    properties = str(directory / "server.properties")
    scram = [f"--add-scram={SCRAM}=[name={user},password={password}]" for user, password in USERS.items()]
    command = [broker._java_argv(*arguments) for arguments in (
        ("kafka.tools.StorageTool", "format", f"--cluster-id={CLUSTER_ID}", f"--config={properties}", *scram),
        ("kafka.Kafka", properties),
    )]  # fmt: skip
    subprocess.run(command[0], cwd=installation.directory, check=True, capture_output=True, timeout=START_SECONDS)
    with open(directory / "output", "wb") as output:
        process = subprocess.Popen(command[1], cwd=installation.directory, stdout=output, stderr=output)
    try:
        eventually(lambda: broker.answers() or process.poll() is not None, START_SECONDS, "the broker answers")
        assert process.poll() is None, (directory / "output").read_text()[-2000:]
        yield SecuredKafka(f"{LOOPBACK}:{plain}", f"{LOOPBACK}:{sasl}", f"localhost:{tls}", ca[0])
    finally:
        process.kill()
        process.wait()


def _openssl(arguments: str) -> None:
    subprocess.run(["openssl", *arguments.split()], check=True, capture_output=True)
