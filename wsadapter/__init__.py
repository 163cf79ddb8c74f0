"""wsadapter: live market data of crypto exchanges, from WebSocket into Kafka and ClickHouse, without a silent hole."""

from typing import Final

__version__: Final = "0.1.0"
