"""The SQL of least-privileged users is SQL, and has every right that our own statements need."""

import re

import pytest
from oracle import query

from wsadapter.cli.main import run_command
from wsadapter.clickhouse import grants
from wsadapter.clickhouse.conversion import literal
from wsadapter.clickhouse.schema import ddl
from wsadapter.config.model import ClickHouseConfig
from wsadapter.errors import ExitCode

NEEDS = {
    r"CREATE DATABASE": "CREATE DATABASE",
    r"CREATE TABLE": "CREATE TABLE",
    r"CREATE (MATERIALIZED )?VIEW": "CREATE VIEW",
    r"CREATE OR REPLACE VIEW": "DROP VIEW",
    r"DROP VIEW": "DROP VIEW",
    r"DROP TABLE": "DROP TABLE",
    r"ALTER TABLE .* MODIFY QUERY": "ALTER VIEW MODIFY QUERY",
    r"ALTER TABLE .* MODIFY COMMENT": "ALTER MODIFY COMMENT",
    r"ALTER TABLE .* ADD COLUMN": "ALTER ADD COLUMN",
    r"ALTER TABLE .* DROP PARTITION": "ALTER DELETE",
    r"INSERT": "INSERT",
}


def test_every_statement_of_the_schema_is_allowed_to_who_records() -> None:
    statements = re.findall(r"(?m)^(?:CREATE|DROP|ALTER|INSERT) .*", ddl(ClickHouseConfig()))
    assert statements
    for statement in statements:
        needed = [right for pattern, right in NEEDS.items() if re.match(pattern, statement)]
        assert needed, statement
        assert set(needed) <= set(grants.RECORDER), statement


def test_a_name_that_could_be_more_than_a_name_is_refused() -> None:
    assert run_command(["generate", "clickhouse-grants", "--user", "a`; DROP"]) == ExitCode.USAGE


@pytest.mark.integration
def test_it_is_sql_with_privileges_that_the_server_knows(clickhouse: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["generate", "clickhouse-grants", "--user", "recorder", "--reader", "desk"]) == 0
    text = capsys.readouterr().out
    statements = [line for line in text.splitlines() if line.endswith(";")]
    assert "CREATE USER IF NOT EXISTS `recorder`;" in statements
    assert len([one for one in statements if one.startswith("-- GRANT")]) == 2
    for statement in statements:
        text = statement.removeprefix("-- ").removesuffix(";")
        assert query(clickhouse, f"SELECT formatQuery({literal(text)})")
