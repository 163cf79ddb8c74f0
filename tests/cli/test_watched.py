"""What watches an installation: alert rules with their runbook, the dashboard, the reference of the metrics."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from roles.monitor import exposition_sample

from wsadapter import metrics
from wsadapter.cli.dashboard import dashboard
from wsadapter.cli.generate import shipped
from wsadapter.cli.metrics_reference import reference
from wsadapter.roles.monitor.exposition import exposition

DOCS = Path(__file__).resolve().parents[2] / "docs"
ALERTS = shipped("alerts.yaml")
NAME = re.compile(r"\bwsadapter_[a-z_]+")
promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not there (Debian: package prometheus)"
)
CASES = """
rule_files: [alerts.yaml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'wsadapter_ring_dropped_total{connection="a",stream="trade"}', values: '0 0 5 5 5 5 5 5 5 5 5 5'}
      - {series: 'wsadapter_ready{instance="host:9464"}', values: '1 1 1 0 0 0 0 1'}
      - {series: 'wsadapter_ready{job="recorders",instance="b:9464"}', values: '1 1'}
      - {series: 'up{job="recorders",instance="b:9464"}', values: '1 1 0 0 0 0 0 0 0 0'}
      - {series: 'up{job="wsadapter",instance="never:9464"}', values: '0 0 0 0 0 0 0 0 0 0'}
      - {series: 'up{job="node",instance="other:9100"}', values: '0 0 0 0 0 0 0 0 0 0'}
      - {series: 'wsadapter_stream_state{exchange="x",symbol="A",stream="trade"}', values: '3x60'}
      - {series: 'wsadapter_stream_state{exchange="x",symbol="A",stream="depth"}', values: '3x60'}
      - {series: 'wsadapter_stream_state{exchange="x",symbol="B",stream="raw_trade"}', values: '4x60'}
    alert_rule_test:
      - eval_time: 1m
        alertname: WsadapterEventsLost
        exp_alerts: []
      - eval_time: 3m
        alertname: WsadapterEventsLost
        exp_alerts: [{exp_labels: {severity: page, connection: a, stream: trade}, exp_annotations: {
          summary: "Events are being lost: a ring is full, or the spool could not be read back.",
          runbook: "docs/runbook.md#wsadaptereventslost"}}]
      - eval_time: 4m
        alertname: WsadapterNotReady
        exp_alerts: []
      - eval_time: 5m
        alertname: WsadapterNotReady
        exp_alerts: [{exp_labels: {severity: page, instance: "host:9464"}, exp_annotations: {
          summary: "host:9464 does not work from end to end; /readyz says why.",
          runbook: "docs/runbook.md#wsadapternotready"}}]
      - eval_time: 7m
        alertname: WsadapterNotReady
        exp_alerts: []
      - eval_time: 5m
        alertname: WsadapterDown
        exp_alerts:
          - {exp_labels: {severity: page, job: wsadapter, instance: "never:9464"}, exp_annotations: {
            summary: "Nothing answers at never:9464: the recorder, its monitor or the machine is gone.",
            runbook: "docs/runbook.md#wsadapterdown"}}
          - {exp_labels: {severity: page, job: recorders, instance: "b:9464"}, exp_annotations: {
            summary: "Nothing answers at b:9464: the recorder, its monitor or the machine is gone.",
            runbook: "docs/runbook.md#wsadapterdown"}}
      - eval_time: 40m
        alertname: WsadapterStreamDead
        exp_alerts:
          - {exp_labels: {severity: page, exchange: x, symbol: A, stream: depth}, exp_annotations: {
            summary: "x A depth is refused, or silent on a live connection.",
            runbook: "docs/runbook.md#wsadapterstreamdead"}}
          - {exp_labels: {severity: page, exchange: x, symbol: B, stream: raw_trade}, exp_annotations: {
            summary: "x B raw_trade is refused, or silent on a live connection.",
            runbook: "docs/runbook.md#wsadapterstreamdead"}}
      - eval_time: 40m
        alertname: WsadapterStreamQuiet
        exp_alerts: [{exp_labels: {severity: warn, exchange: x, symbol: A, stream: trade}, exp_annotations: {
          summary: "x A trade is silent: dead, or its market is quiet.",
          runbook: "docs/runbook.md#wsadapterstreamquiet"}}]
"""


def exposed() -> set[str]:
    """Names of samples, of which a histogram has several."""
    names = {f"wsadapter_{metric.name}" for metric in metrics.METRICS.values() if not metric.histogram}
    histograms = [f"wsadapter_{metric.name}" for metric in metrics.METRICS.values() if metric.histogram]
    return names | {f"{name}{end}" for name in histograms for end in ("_bucket", "_sum", "_count")}


def test_each_alert_has_a_section_of_the_runbook_and_metrics_that_there_are() -> None:
    names = re.findall(r"- alert: (\w+)", ALERTS)
    sections = re.findall(r"^## (\w+)$", (DOCS / "runbook.md").read_text(), re.M)

    assert len(names) > 10
    assert names == sections
    assert re.findall(r'runbook: "docs/runbook.md#(\w+)"', ALERTS) == [name.lower() for name in names]
    assert set(NAME.findall(" ".join(re.findall(r"expr: (.*)", ALERTS)))) - exposed() == set()


def test_the_labels_that_an_alert_names_are_those_of_its_metrics() -> None:
    lines = exposition(exposition_sample.sample)().decode().splitlines()
    for rule in ALERTS.split("- alert: ")[1:]:
        (expression,) = re.findall(r"expr: (.*)", rule)
        used = set(re.findall(r"\$labels\.(\w+)", rule)) - {"instance"}
        for name in set(NAME.findall(expression)):
            series = [line for line in lines if line.startswith(f"{name}{{")]
            assert all(any(f'{label}="' in line for line in series) for label in used), (rule, name)


def test_the_dashboard_has_every_metric_and_no_other() -> None:
    made = json.loads(json.dumps(dashboard()))
    panels = [panel for outer in made["panels"] for panel in (outer, *outer.get("panels", ()))]
    queries = " ".join(target["expr"] for panel in panels for target in panel.get("targets", ()))

    assert set(NAME.findall(queries)) - exposed() == set()
    assert {metric.name for metric in metrics.METRICS.values()} <= {panel["title"] for panel in panels}
    ids = [panel["id"] for panel in panels]
    assert len(ids) == len(set(ids))


def test_the_reference_is_what_the_registry_says() -> None:
    assert (DOCS / "metrics.md").read_text() == reference(), (
        "stale: wsadapter-supervisor generate metrics > docs/metrics.md"
    )


@promtool
def test_promtool_takes_the_rules_and_they_fire_when_they_should(tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text(ALERTS)
    (tmp_path / "cases.yaml").write_text(CASES)
    for arguments in (["check", "rules", "alerts.yaml"], ["test", "rules", "cases.yaml"]):
        ran = subprocess.run(["promtool", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr


@promtool
def test_promtool_takes_every_query_of_the_dashboard(tmp_path: Path) -> None:
    panels = [panel for outer in dashboard()["panels"] for panel in (outer, *outer.get("panels", ()))]
    queries = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    rules = "".join(
        f"      - record: a:b{number}\n        expr: {json.dumps(query.replace('$__rate_interval', '1m'))}\n"
        for number, query in enumerate(queries)
    )
    (tmp_path / "queries.yaml").write_text(f"groups:\n  - name: dashboard\n    rules:\n{rules}")
    ran = subprocess.run(
        ["promtool", "check", "rules", "queries.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
