"""What a running instance is held against: its topics' logs, and nothing beside them."""

from pathlib import Path

import pytest

from bench import capacity


def test_logs_of_our_topics_alone(tmp_path: Path) -> None:
    for name, size in (("market.trade-0", 100), ("market.trade-11", 20), ("market.depth-0", 3), ("other.trade-0", 5000),
                       ("market.gap-0", 5000), ("__consumer_offsets-1", 5000)):  # fmt: skip
        (tmp_path / "kafka" / name).mkdir(parents=True)
        (tmp_path / "kafka" / name / "00000000000000000000.log").write_bytes(bytes(size))
        (tmp_path / "kafka" / name / "00000000000000000000.index").write_bytes(bytes(10_000))
    assert capacity.logs(tmp_path, "market.") == 123


def test_the_error_is_measured_to_predicted(capsys: pytest.CaptureFixture[str]) -> None:
    capacity.said("cores: all", 0.5, 2.0)
    assert capsys.readouterr().out.split()[-2:] == ["0.25", "x"]
