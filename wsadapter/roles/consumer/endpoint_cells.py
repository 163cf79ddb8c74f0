"""What an operator sees of the endpoints of ClickHouse: which one a consumer asks, and why not another one."""

from wsadapter.clickhouse import endpoints
from wsadapter.config.model import ClickHouseConfig
from wsadapter.errors import Reason
from wsadapter.metrics import host_label
from wsadapter.shm.stats_page import StatsPage


def publish(page: StatsPage, settings: ClickHouseConfig) -> None:
    several = endpoints.of(settings)
    for number, (url, state) in enumerate(zip(settings.url.split(","), several.states, strict=True)):
        labels = f'{{endpoint="{host_label(url)}"}}'
        page[f"clickhouse_endpoint_in_use{labels}"] = int(number == several.current)
        page[f"clickhouse_endpoint_up{labels}"] = int(state.reason is None)
        page[f"clickhouse_endpoint_reason{labels}"] = Reason.UNKNOWN if state.reason is None else state.reason
