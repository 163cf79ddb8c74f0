"""The exposition: every fixed name is there, with its labels, and parses as Prometheus does."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from roles.monitor import exposition_sample
from roles.monitor.monitor_process import CONNECTION, Road, road

from wsadapter import metrics
from wsadapter.roles.monitor import exposition, snapshot
from wsadapter.roles.orders import MonitorOrder, WatchedChild, WatchedRing
from wsadapter.shm.stats_page import Histogram
from wsadapter.supervision import counters
from wsadapter.supervision.process import ChildSpec

# DESIGN section 6, "Metrics": a counter's name with its _total
FIXED = (
    "frames_total", "bytes_total", "events_total", "decode_errors_total", "reconnects_total", "connection_up",
    "stream_state", "ring_used_bytes", "ring_dropped_total", "produced_total", "delivered_total", "delivery_seconds",
    "spool_bytes", "consumed_total", "accepted_rows_total", "rejected_rows_total", "insert_seconds", "consumer_lag",
    "dead_letters_total", "gaps_total", "gap_missing_total", "repaired_total", "child_up", "child_restarts_total",
    "build_info",
)  # fmt: skip
LABELS = {
    "events_total": {"exchange", "stream"},
    "decode_errors_total": {"kind"},
    "reconnects_total": {"reason"},
    "gaps_total": {"cause"},
    "child_restarts_total": {"role", "reason"},
}


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Road]:
    with road(tmp_path) as found:
        yield found


def scrape(made: Road) -> dict[str, Metric]:
    render = exposition.exposition(lambda: snapshot.read(made.config, made.order()))
    return {family.name: family for family in text_string_to_metric_families(render().decode())}


def test_every_fixed_name_is_exposed(made: Road) -> None:
    found = scrape(made)
    samples = {sample.name for family in found.values() for sample in family.samples}
    names = {name if not name.endswith("_seconds") else f"{name}_bucket" for name in FIXED}

    assert {f"wsadapter_{name}" for name in names} - samples == set()
    for name, labels in LABELS.items():
        family = found[f"wsadapter_{name.removesuffix('_total')}"]
        assert all(labels <= sample.labels.keys() for sample in family.samples)
        assert family.type == "counter"
    assert all(name.startswith("wsadapter_") for name in found)


def test_values_and_labels_of_a_connection(made: Road) -> None:
    page = made.pages[CONNECTION]
    page['events_total{stream="trade"}'] = 2**40
    page["last_receive_ns"] = 1_700_000_000_500_000_000
    found = scrape(made)

    (trade,) = (s for s in found["wsadapter_events"].samples if s.labels["stream"] == "trade")
    assert trade.labels == {"exchange": "binance", "connection": CONNECTION, "stream": "trade"}
    assert trade.value == 2**40
    assert found["wsadapter_last_receive_timestamp_seconds"].samples[0].value == 1_700_000_000.5


def test_histograms(made: Road) -> None:
    histogram = Histogram(made.pages["serializer-0"], "delivery_seconds")
    histogram.observe(3_000_000, 4)
    histogram.observe(7_000_000_000)
    family = scrape(made)["wsadapter_delivery_seconds"]
    values = {(s.name, s.labels.get("le")): s.value for s in family.samples}

    assert family.type == "histogram"
    assert values["wsadapter_delivery_seconds_bucket", "0.002"] == 0
    assert values["wsadapter_delivery_seconds_bucket", "0.005"] == 4
    assert values["wsadapter_delivery_seconds_bucket", "+Inf"] == 5
    assert values["wsadapter_delivery_seconds_count", None] == 5
    assert values["wsadapter_delivery_seconds_sum", None] == pytest.approx(7.012)


def test_free_space_of_what_there_is(made: Road) -> None:
    free = {sample.labels["of"]: sample.value for sample in scrape(made)["wsadapter_free_bytes"].samples}

    assert free.keys() == {"state", "shared_memory"}, "the spool's directory is not there yet"
    assert all(count > 0 for count in free.values())


def test_no_series_twice(made: Road) -> None:
    samples = [(s.name, tuple(sorted(s.labels.items()))) for f in scrape(made).values() for s in f.samples]

    assert len(samples) == len(set(samples))


def test_counters_of_every_role_are_exposed() -> None:
    pages = (
        metrics.ingest(["a"]), metrics.SERIALIZER, metrics.consumer(4), metrics.MONITOR,
        metrics.EXCHANGE, metrics.SERVICE,
    )  # fmt: skip
    names = {metrics.parse(field)[0] for page in pages for field in page}
    counters = {name for name in names if name.endswith("_total") and not name.startswith("bank_")}

    exposed = {name for metric in metrics.METRICS.values() for name in metric.cell_names}
    assert counters - exposed == set()


def test_a_metric_has_one_row_and_a_cell_one_metric() -> None:
    names = [metric.name for metric in metrics._METRICS]
    cells = [name for metric in metrics._METRICS for name in metric.cell_names]
    own = [cell.name for state in metrics.STATE.values() for cell in state]

    assert len(names) == len(set(names))
    assert len(cells) == len(set(cells))
    assert set(own) & set(cells) == set()


def test_the_supervisor_has_the_cells_that_its_metrics_name() -> None:
    specs = [ChildSpec("a", "ingest", "m", (), 0), ChildSpec("b", "consumer", "m", (), 0)]
    page = metrics._page("supervisor", children=[(spec.role, spec.name) for spec in specs])

    assert set(page) == set(counters.fields(specs))


def test_pages_that_are_not_there_are_no_error(made: Road) -> None:
    order = MonitorOrder(
        children=(WatchedChild("ingest", "x", "wsadapter-none"),), rings=(WatchedRing("x", "wsadapter-none-ring"),)
    )
    found = exposition.families(snapshot.read(made.config, order))

    assert {family.name for family in found} >= {"wsadapter_build_info", "wsadapter_spool_bytes"}


def test_names_labels_and_values_are_as_ever() -> None:
    """`exposition.txt` was made by ``python tests/roles/monitor/exposition_sample.py``. What is added to it may come
    between; help texts may change."""
    before = Path(__file__).with_name("exposition.txt").read_text().splitlines()
    now = iter(line for line in exposition_sample.text().splitlines() if not line.startswith("# HELP"))

    missing = next((line for line in before if line not in now), None)
    assert missing is None


def test_a_subscription_is_told_by_stream_symbol_and_its_name() -> None:
    lines = [line for line in exposition_sample.text().splitlines() if line.startswith("wsadapter_stream_state{")]
    labels = [dict(sample.labels) for f in text_string_to_metric_families("\n".join(lines)) for sample in f.samples]

    assert {"subscription": "btcusdt@aggTrade", "stream": "trade", "symbol": "BTCUSDT"}.items() <= labels[0].items()
    assert {"stream": "open_interest", "symbol": "BTCUSDT", "exchange": "binance"}.items() <= labels[2].items()


def test_a_label_means_the_same_wherever_it_is() -> None:
    families = text_string_to_metric_families(exposition_sample.text())
    streams = {s.labels["stream"] for family in families for s in family.samples if "stream" in s.labels}

    assert streams <= set(metrics.STREAM_WORDS)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not there (Debian: package prometheus)")
def test_promtool_has_nothing_to_say() -> None:
    check = subprocess.run(
        ["promtool", "check", "metrics"], input=exposition_sample.text(), capture_output=True, text=True, check=False
    )

    assert (check.returncode, check.stderr) == (0, "")


@pytest.mark.parametrize(("cell", "said"), [(0, ""), (1, "native"), (2, "confluent-kafka")])
def test_the_build_says_what_sends_to_kafka(cell: int, said: str) -> None:
    """As the serializers themselves say it: the extension may be there and find no librdkafka."""
    sample = exposition_sample.sample()
    for reading in sample.of("serializer"):
        cells: Any = reading.cells
        cells["kafka_client"] = cell
    (build,) = [one for one in exposition.families(sample) if one.name == "wsadapter_build_info"]
    assert [found.labels["kafka_client"] for found in build.samples] == [said]
