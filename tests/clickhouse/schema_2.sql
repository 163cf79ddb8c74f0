CREATE DATABASE IF NOT EXISTS `market`;

CREATE TABLE IF NOT EXISTS `market`.`kline`
(
    `epoch` Nullable(UInt64) CODEC(ZSTD(1)),
    `position` Nullable(UInt64) CODEC(Delta, ZSTD(1)),
    `exchange` LowCardinality(String) CODEC(ZSTD(1)),
    `symbol` LowCardinality(String) CODEC(ZSTD(1)),
    `event_time` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `transaction_time` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `receive_time` DateTime64(9,'UTC') CODEC(T64, ZSTD(1)),
    `source` LowCardinality(String) CODEC(ZSTD(1)),
    `connection` LowCardinality(String) CODEC(ZSTD(1)),
    `last_gap` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `interval` LowCardinality(String) CODEC(ZSTD(1)),
    `open_time` DateTime64(9,'UTC') CODEC(Delta, ZSTD(1)),
    `close_time` DateTime64(9,'UTC') CODEC(Delta, ZSTD(1)),
    `open` Decimal(38,12) CODEC(GCD, ZSTD(1)),
    `high` Decimal(38,12) CODEC(GCD, ZSTD(1)),
    `low` Decimal(38,12) CODEC(GCD, ZSTD(1)),
    `close` Decimal(38,12) CODEC(GCD, ZSTD(1)),
    `volume` Decimal(38,12) CODEC(GCD, ZSTD(1)),
    `quote_volume` Nullable(Decimal(38,12)) CODEC(GCD, ZSTD(1)),
    `trade_count` Nullable(Int64) CODEC(ZSTD(1)),
    `taker_buy_volume` Nullable(Decimal(38,12)) CODEC(GCD, ZSTD(1)),
    `taker_buy_quote_volume` Nullable(Decimal(38,12)) CODEC(GCD, ZSTD(1)),
    `closed` Bool CODEC(ZSTD(1)),
    `first_trade_id` Nullable(Int64) CODEC(DoubleDelta, ZSTD(1)),
    `last_trade_id` Nullable(Int64) CODEC(DoubleDelta, ZSTD(1)),
    `time` DateTime64(9,'UTC') CODEC(Delta, ZSTD(1)),
    `version` UInt64 CODEC(T64, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(`open_time`)
ORDER BY (`exchange`, `symbol`, `interval`, `open_time`)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `market`.`kline_in`
(
    `epoch` Nullable(UInt64),
    `position` Nullable(UInt64),
    `exchange` LowCardinality(String),
    `symbol` LowCardinality(String),
    `event_time_ns` Nullable(Int64),
    `transaction_time_ns` Nullable(Int64),
    `receive_time_ns` Int64,
    `source` Int32,
    `connection` LowCardinality(String),
    `last_gap_ns` Nullable(Int64),
    `interval` LowCardinality(String),
    `open_time_ns` Int64,
    `close_time_ns` Int64,
    `open` String,
    `high` String,
    `low` String,
    `close` String,
    `volume` String,
    `quote_volume` Nullable(String),
    `trade_count` Nullable(Int64),
    `taker_buy_volume` Nullable(String),
    `taker_buy_quote_volume` Nullable(String),
    `closed` Bool,
    `first_trade_id` Nullable(Int64),
    `last_trade_id` Nullable(Int64)
)
ENGINE = Null;

CREATE TABLE IF NOT EXISTS `market`.`ticker`
(
    `epoch` Nullable(UInt64) CODEC(ZSTD(1)),
    `position` Nullable(UInt64) CODEC(Delta, ZSTD(1)),
    `exchange` LowCardinality(String) CODEC(ZSTD(1)),
    `symbol` LowCardinality(String) CODEC(ZSTD(1)),
    `event_time` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `transaction_time` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `receive_time` DateTime64(9,'UTC') CODEC(T64, ZSTD(1)),
    `source` LowCardinality(String) CODEC(ZSTD(1)),
    `connection` LowCardinality(String) CODEC(ZSTD(1)),
    `last_gap` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `price_change` Nullable(Decimal(38,12)) CODEC(GCD, ZSTD(1)),
    `price_change_percent` Nullable(Decimal(38,18)) CODEC(GCD, ZSTD(1)),
    `weighted_average_price` Nullable(Decimal(38,12)) CODEC(GCD, ZSTD(1)),
    `last_price` Decimal(38,12) CODEC(GCD, ZSTD(1)),
    `last_quantity` Nullable(Decimal(38,12)) CODEC(GCD, ZSTD(1)),
    `open` Nullable(Decimal(38,12)) CODEC(GCD, ZSTD(1)),
    `high` Nullable(Decimal(38,12)) CODEC(GCD, ZSTD(1)),
    `low` Nullable(Decimal(38,12)) CODEC(GCD, ZSTD(1)),
    `volume` Nullable(Decimal(38,12)) CODEC(GCD, ZSTD(1)),
    `quote_volume` Nullable(Decimal(38,12)) CODEC(GCD, ZSTD(1)),
    `open_time` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `close_time` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `first_trade_id` Nullable(Int64) CODEC(DoubleDelta, ZSTD(1)),
    `last_trade_id` Nullable(Int64) CODEC(DoubleDelta, ZSTD(1)),
    `trade_count` Nullable(Int64) CODEC(ZSTD(1)),
    `ordinal` Int32 CODEC(ZSTD(1)),
    `time` DateTime64(9,'UTC') CODEC(Delta, ZSTD(1)),
    `version` UInt64 CODEC(T64, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(`time`)
ORDER BY (`exchange`, `symbol`, `time`, `ordinal`)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `market`.`ticker_in`
(
    `epoch` Nullable(UInt64),
    `position` Nullable(UInt64),
    `exchange` LowCardinality(String),
    `symbol` LowCardinality(String),
    `event_time_ns` Nullable(Int64),
    `transaction_time_ns` Nullable(Int64),
    `receive_time_ns` Int64,
    `source` Int32,
    `connection` LowCardinality(String),
    `last_gap_ns` Nullable(Int64),
    `price_change` Nullable(String),
    `price_change_percent` Nullable(String),
    `weighted_average_price` Nullable(String),
    `last_price` String,
    `last_quantity` Nullable(String),
    `open` Nullable(String),
    `high` Nullable(String),
    `low` Nullable(String),
    `volume` Nullable(String),
    `quote_volume` Nullable(String),
    `open_time_ns` Nullable(Int64),
    `close_time_ns` Nullable(Int64),
    `first_trade_id` Nullable(Int64),
    `last_trade_id` Nullable(Int64),
    `trade_count` Nullable(Int64),
    `ordinal` Int32
)
ENGINE = Null;

CREATE TABLE IF NOT EXISTS `market`.`depth`
(
    `epoch` Nullable(UInt64) CODEC(ZSTD(1)),
    `position` Nullable(UInt64) CODEC(Delta, ZSTD(1)),
    `exchange` LowCardinality(String) CODEC(ZSTD(1)),
    `symbol` LowCardinality(String) CODEC(ZSTD(1)),
    `event_time` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `transaction_time` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `receive_time` DateTime64(9,'UTC') CODEC(T64, ZSTD(1)),
    `source` LowCardinality(String) CODEC(ZSTD(1)),
    `connection` LowCardinality(String) CODEC(ZSTD(1)),
    `last_gap` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `update_type` LowCardinality(String) CODEC(ZSTD(1)),
    `level_limit` Int64 CODEC(ZSTD(1)),
    `first_update_id` Nullable(Int64) CODEC(DoubleDelta, ZSTD(1)),
    `last_update_id` Nullable(Int64) CODEC(DoubleDelta, ZSTD(1)),
    `previous_update_id` Nullable(Int64) CODEC(DoubleDelta, ZSTD(1)),
    `bid_price` Array(Decimal(38,12)) CODEC(ZSTD(1)),
    `bid_quantity` Array(Decimal(38,12)) CODEC(ZSTD(1)),
    `ask_price` Array(Decimal(38,12)) CODEC(ZSTD(1)),
    `ask_quantity` Array(Decimal(38,12)) CODEC(ZSTD(1)),
    `ordinal` Int32 CODEC(ZSTD(1)),
    `time` DateTime64(9,'UTC') CODEC(Delta, ZSTD(1)),
    `version` UInt64 CODEC(T64, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(`time`)
ORDER BY (`exchange`, `symbol`, `update_type`, `level_limit`, `time`, ifNull(last_update_id, 0), `ordinal`)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `market`.`depth_in`
(
    `epoch` Nullable(UInt64),
    `position` Nullable(UInt64),
    `exchange` LowCardinality(String),
    `symbol` LowCardinality(String),
    `event_time_ns` Nullable(Int64),
    `transaction_time_ns` Nullable(Int64),
    `receive_time_ns` Int64,
    `source` Int32,
    `connection` LowCardinality(String),
    `last_gap_ns` Nullable(Int64),
    `update_type` Int32,
    `level_limit` Int64,
    `first_update_id` Nullable(Int64),
    `last_update_id` Nullable(Int64),
    `previous_update_id` Nullable(Int64),
    `bid_price` Array(String),
    `bid_quantity` Array(String),
    `ask_price` Array(String),
    `ask_quantity` Array(String),
    `ordinal` Int32
)
ENGINE = Null;

CREATE TABLE IF NOT EXISTS `market`.`trade`
(
    `epoch` Nullable(UInt64) CODEC(ZSTD(1)),
    `position` Nullable(UInt64) CODEC(Delta, ZSTD(1)),
    `exchange` LowCardinality(String) CODEC(ZSTD(1)),
    `symbol` LowCardinality(String) CODEC(ZSTD(1)),
    `event_time` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `transaction_time` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `receive_time` DateTime64(9,'UTC') CODEC(T64, ZSTD(1)),
    `source` LowCardinality(String) CODEC(ZSTD(1)),
    `connection` LowCardinality(String) CODEC(ZSTD(1)),
    `last_gap` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `trade_id` String CODEC(ZSTD(1)),
    `trade_number` Nullable(Int64) CODEC(DoubleDelta, ZSTD(1)),
    `price` Decimal(38,12) CODEC(GCD, ZSTD(1)),
    `quantity` Decimal(38,12) CODEC(GCD, ZSTD(1)),
    `buyer_is_maker` Bool CODEC(ZSTD(1)),
    `first_trade_id` Nullable(Int64) CODEC(DoubleDelta, ZSTD(1)),
    `last_trade_id` Nullable(Int64) CODEC(DoubleDelta, ZSTD(1)),
    `aggregated` Bool CODEC(ZSTD(1)),
    `time` DateTime64(9,'UTC') CODEC(Delta, ZSTD(1)),
    `version` UInt64 CODEC(T64, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(`time`)
ORDER BY (`exchange`, `symbol`, `aggregated`, `time`, `trade_id`)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `market`.`trade_in`
(
    `epoch` Nullable(UInt64),
    `position` Nullable(UInt64),
    `exchange` LowCardinality(String),
    `symbol` LowCardinality(String),
    `event_time_ns` Nullable(Int64),
    `transaction_time_ns` Nullable(Int64),
    `receive_time_ns` Int64,
    `source` Int32,
    `connection` LowCardinality(String),
    `last_gap_ns` Nullable(Int64),
    `trade_id` String,
    `trade_number` Nullable(Int64),
    `price` String,
    `quantity` String,
    `buyer_is_maker` Bool,
    `first_trade_id` Nullable(Int64),
    `last_trade_id` Nullable(Int64),
    `aggregated` Bool
)
ENGINE = Null;

CREATE TABLE IF NOT EXISTS `market`.`funding_rate`
(
    `epoch` Nullable(UInt64) CODEC(ZSTD(1)),
    `position` Nullable(UInt64) CODEC(Delta, ZSTD(1)),
    `exchange` LowCardinality(String) CODEC(ZSTD(1)),
    `symbol` LowCardinality(String) CODEC(ZSTD(1)),
    `event_time` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `transaction_time` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `receive_time` DateTime64(9,'UTC') CODEC(T64, ZSTD(1)),
    `source` LowCardinality(String) CODEC(ZSTD(1)),
    `connection` LowCardinality(String) CODEC(ZSTD(1)),
    `last_gap` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `funding_rate` Decimal(38,18) CODEC(GCD, ZSTD(1)),
    `next_funding_time` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `mark_price` Nullable(Decimal(38,12)) CODEC(GCD, ZSTD(1)),
    `settled` Bool CODEC(ZSTD(1)),
    `ordinal` Int32 CODEC(ZSTD(1)),
    `time` DateTime64(9,'UTC') CODEC(Delta, ZSTD(1)),
    `version` UInt64 CODEC(T64, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(`time`)
ORDER BY (`exchange`, `symbol`, `time`, `settled`, `ordinal`)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `market`.`funding_rate_in`
(
    `epoch` Nullable(UInt64),
    `position` Nullable(UInt64),
    `exchange` LowCardinality(String),
    `symbol` LowCardinality(String),
    `event_time_ns` Nullable(Int64),
    `transaction_time_ns` Nullable(Int64),
    `receive_time_ns` Int64,
    `source` Int32,
    `connection` LowCardinality(String),
    `last_gap_ns` Nullable(Int64),
    `funding_rate` String,
    `next_funding_time_ns` Nullable(Int64),
    `mark_price` Nullable(String),
    `settled` Bool,
    `ordinal` Int32
)
ENGINE = Null;

CREATE TABLE IF NOT EXISTS `market`.`mark_price`
(
    `epoch` Nullable(UInt64) CODEC(ZSTD(1)),
    `position` Nullable(UInt64) CODEC(Delta, ZSTD(1)),
    `exchange` LowCardinality(String) CODEC(ZSTD(1)),
    `symbol` LowCardinality(String) CODEC(ZSTD(1)),
    `event_time` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `transaction_time` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `receive_time` DateTime64(9,'UTC') CODEC(T64, ZSTD(1)),
    `source` LowCardinality(String) CODEC(ZSTD(1)),
    `connection` LowCardinality(String) CODEC(ZSTD(1)),
    `last_gap` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `mark_price` Decimal(38,12) CODEC(GCD, ZSTD(1)),
    `index_price` Nullable(Decimal(38,12)) CODEC(GCD, ZSTD(1)),
    `estimated_settle_price` Nullable(Decimal(38,12)) CODEC(GCD, ZSTD(1)),
    `funding_rate` Nullable(Decimal(38,18)) CODEC(GCD, ZSTD(1)),
    `next_funding_time` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `ordinal` Int32 CODEC(ZSTD(1)),
    `time` DateTime64(9,'UTC') CODEC(Delta, ZSTD(1)),
    `version` UInt64 CODEC(T64, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(`time`)
ORDER BY (`exchange`, `symbol`, `time`, `ordinal`)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `market`.`mark_price_in`
(
    `epoch` Nullable(UInt64),
    `position` Nullable(UInt64),
    `exchange` LowCardinality(String),
    `symbol` LowCardinality(String),
    `event_time_ns` Nullable(Int64),
    `transaction_time_ns` Nullable(Int64),
    `receive_time_ns` Int64,
    `source` Int32,
    `connection` LowCardinality(String),
    `last_gap_ns` Nullable(Int64),
    `mark_price` String,
    `index_price` Nullable(String),
    `estimated_settle_price` Nullable(String),
    `funding_rate` Nullable(String),
    `next_funding_time_ns` Nullable(Int64),
    `ordinal` Int32
)
ENGINE = Null;

CREATE TABLE IF NOT EXISTS `market`.`liquidation`
(
    `epoch` Nullable(UInt64) CODEC(ZSTD(1)),
    `position` Nullable(UInt64) CODEC(Delta, ZSTD(1)),
    `exchange` LowCardinality(String) CODEC(ZSTD(1)),
    `symbol` LowCardinality(String) CODEC(ZSTD(1)),
    `event_time` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `transaction_time` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `receive_time` DateTime64(9,'UTC') CODEC(T64, ZSTD(1)),
    `source` LowCardinality(String) CODEC(ZSTD(1)),
    `connection` LowCardinality(String) CODEC(ZSTD(1)),
    `last_gap` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `side` LowCardinality(String) CODEC(ZSTD(1)),
    `order_type` Nullable(String) CODEC(ZSTD(1)),
    `price` Decimal(38,12) CODEC(GCD, ZSTD(1)),
    `average_price` Nullable(Decimal(38,12)) CODEC(GCD, ZSTD(1)),
    `quantity` Decimal(38,12) CODEC(GCD, ZSTD(1)),
    `filled_quantity` Nullable(Decimal(38,12)) CODEC(GCD, ZSTD(1)),
    `status` Nullable(String) CODEC(ZSTD(1)),
    `ordinal` Int64 CODEC(ZSTD(1)),
    `time` DateTime64(9,'UTC') CODEC(Delta, ZSTD(1)),
    `version` UInt64 CODEC(T64, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(`time`)
ORDER BY (`exchange`, `symbol`, `time`, `side`, `price`, `quantity`, `ordinal`)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `market`.`liquidation_in`
(
    `epoch` Nullable(UInt64),
    `position` Nullable(UInt64),
    `exchange` LowCardinality(String),
    `symbol` LowCardinality(String),
    `event_time_ns` Nullable(Int64),
    `transaction_time_ns` Nullable(Int64),
    `receive_time_ns` Int64,
    `source` Int32,
    `connection` LowCardinality(String),
    `last_gap_ns` Nullable(Int64),
    `side` Int32,
    `order_type` Nullable(String),
    `price` String,
    `average_price` Nullable(String),
    `quantity` String,
    `filled_quantity` Nullable(String),
    `status` Nullable(String),
    `ordinal` Int64
)
ENGINE = Null;

CREATE TABLE IF NOT EXISTS `market`.`book_ticker`
(
    `epoch` Nullable(UInt64) CODEC(ZSTD(1)),
    `position` Nullable(UInt64) CODEC(Delta, ZSTD(1)),
    `exchange` LowCardinality(String) CODEC(ZSTD(1)),
    `symbol` LowCardinality(String) CODEC(ZSTD(1)),
    `event_time` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `transaction_time` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `receive_time` DateTime64(9,'UTC') CODEC(T64, ZSTD(1)),
    `source` LowCardinality(String) CODEC(ZSTD(1)),
    `connection` LowCardinality(String) CODEC(ZSTD(1)),
    `last_gap` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `update_id` Nullable(Int64) CODEC(DoubleDelta, ZSTD(1)),
    `bid_price` Nullable(Decimal(38,12)) CODEC(GCD, ZSTD(1)),
    `bid_quantity` Nullable(Decimal(38,12)) CODEC(GCD, ZSTD(1)),
    `ask_price` Nullable(Decimal(38,12)) CODEC(GCD, ZSTD(1)),
    `ask_quantity` Nullable(Decimal(38,12)) CODEC(GCD, ZSTD(1)),
    `ordinal` Int32 CODEC(ZSTD(1)),
    `time` DateTime64(9,'UTC') CODEC(Delta, ZSTD(1)),
    `version` UInt64 CODEC(T64, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(`time`)
ORDER BY (`exchange`, `symbol`, `time`, ifNull(update_id, 0), `ordinal`)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `market`.`book_ticker_in`
(
    `epoch` Nullable(UInt64),
    `position` Nullable(UInt64),
    `exchange` LowCardinality(String),
    `symbol` LowCardinality(String),
    `event_time_ns` Nullable(Int64),
    `transaction_time_ns` Nullable(Int64),
    `receive_time_ns` Int64,
    `source` Int32,
    `connection` LowCardinality(String),
    `last_gap_ns` Nullable(Int64),
    `update_id` Nullable(Int64),
    `bid_price` Nullable(String),
    `bid_quantity` Nullable(String),
    `ask_price` Nullable(String),
    `ask_quantity` Nullable(String),
    `ordinal` Int32
)
ENGINE = Null;

CREATE TABLE IF NOT EXISTS `market`.`open_interest`
(
    `epoch` Nullable(UInt64) CODEC(ZSTD(1)),
    `position` Nullable(UInt64) CODEC(Delta, ZSTD(1)),
    `exchange` LowCardinality(String) CODEC(ZSTD(1)),
    `symbol` LowCardinality(String) CODEC(ZSTD(1)),
    `event_time` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `transaction_time` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `receive_time` DateTime64(9,'UTC') CODEC(T64, ZSTD(1)),
    `source` LowCardinality(String) CODEC(ZSTD(1)),
    `connection` LowCardinality(String) CODEC(ZSTD(1)),
    `last_gap` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `open_interest` Decimal(38,18) CODEC(GCD, ZSTD(1)),
    `open_interest_value` Nullable(Decimal(38,18)) CODEC(GCD, ZSTD(1)),
    `ordinal` Int32 CODEC(ZSTD(1)),
    `time` DateTime64(9,'UTC') CODEC(Delta, ZSTD(1)),
    `version` UInt64 CODEC(T64, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(`time`)
ORDER BY (`exchange`, `symbol`, `time`, `ordinal`)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `market`.`open_interest_in`
(
    `epoch` Nullable(UInt64),
    `position` Nullable(UInt64),
    `exchange` LowCardinality(String),
    `symbol` LowCardinality(String),
    `event_time_ns` Nullable(Int64),
    `transaction_time_ns` Nullable(Int64),
    `receive_time_ns` Int64,
    `source` Int32,
    `connection` LowCardinality(String),
    `last_gap_ns` Nullable(Int64),
    `open_interest` String,
    `open_interest_value` Nullable(String),
    `ordinal` Int32
)
ENGINE = Null;

CREATE TABLE IF NOT EXISTS `market`.`gap`
(
    `epoch` Nullable(UInt64) CODEC(ZSTD(1)),
    `position` Nullable(UInt64) CODEC(Delta, ZSTD(1)),
    `exchange` LowCardinality(String) CODEC(ZSTD(1)),
    `symbol` LowCardinality(String) CODEC(ZSTD(1)),
    `event_time` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `transaction_time` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `receive_time` DateTime64(9,'UTC') CODEC(T64, ZSTD(1)),
    `source` LowCardinality(String) CODEC(ZSTD(1)),
    `connection` LowCardinality(String) CODEC(ZSTD(1)),
    `last_gap` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `gap_id` String CODEC(ZSTD(1)),
    `version` UInt64 CODEC(ZSTD(1)),
    `stream` LowCardinality(String) CODEC(ZSTD(1)),
    `interval` LowCardinality(String) CODEC(ZSTD(1)),
    `cause` LowCardinality(String) CODEC(ZSTD(1)),
    `started` DateTime64(9,'UTC') CODEC(Delta, ZSTD(1)),
    `ended` Nullable(DateTime64(9,'UTC')) CODEC(Delta, ZSTD(1)),
    `first_missing` Nullable(Int64) CODEC(ZSTD(1)),
    `last_missing` Nullable(Int64) CODEC(ZSTD(1)),
    `missing_count` Nullable(Int64) CODEC(ZSTD(1)),
    `repair_state` LowCardinality(String) CODEC(ZSTD(1)),
    `time` DateTime64(9,'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(`time`)
ORDER BY (`exchange`, `symbol`, `stream`, `interval`, `gap_id`)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `market`.`gap_in`
(
    `epoch` Nullable(UInt64),
    `position` Nullable(UInt64),
    `exchange` LowCardinality(String),
    `symbol` LowCardinality(String),
    `event_time_ns` Nullable(Int64),
    `transaction_time_ns` Nullable(Int64),
    `receive_time_ns` Int64,
    `source` Int32,
    `connection` LowCardinality(String),
    `last_gap_ns` Nullable(Int64),
    `gap_id` String,
    `version` Int64,
    `stream` LowCardinality(String),
    `interval` LowCardinality(String),
    `cause` LowCardinality(String),
    `started_ns` Int64,
    `ended_ns` Nullable(Int64),
    `first_missing` Nullable(Int64),
    `last_missing` Nullable(Int64),
    `missing_count` Nullable(Int64),
    `repair_state` LowCardinality(String)
)
ENGINE = Null;

CREATE TABLE IF NOT EXISTS `market`.`rejected`
(
    `time` DateTime64(9,'UTC') CODEC(Delta, ZSTD(1)),
    `stream` LowCardinality(String) CODEC(ZSTD(1)),
    `exchange` LowCardinality(String) CODEC(ZSTD(1)),
    `symbol` LowCardinality(String) CODEC(ZSTD(1)),
    `connection` LowCardinality(String) CODEC(ZSTD(1)),
    `epoch` Nullable(UInt64) CODEC(ZSTD(1)),
    `position` Nullable(UInt64) CODEC(ZSTD(1)),
    `receive_time` DateTime64(9,'UTC') CODEC(Delta, ZSTD(1)),
    `reason` String CODEC(ZSTD(1)),
    `record` String CODEC(ZSTD(1)),
    `batch` LowCardinality(String) CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
ORDER BY (`stream`, `exchange`, `symbol`, `receive_time`, sipHash64(record))
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `market`.`instrument`
(
    `exchange` LowCardinality(String) CODEC(ZSTD(1)),
    `symbol` LowCardinality(String) CODEC(ZSTD(1)),
    `status` LowCardinality(String) CODEC(ZSTD(1)),
    `base_currency` LowCardinality(String) CODEC(ZSTD(1)),
    `quote_currency` LowCardinality(String) CODEC(ZSTD(1)),
    `settle_currency` LowCardinality(String) CODEC(ZSTD(1)),
    `contract_size` Nullable(Decimal(38,12)) CODEC(ZSTD(1)),
    `contract_currency` LowCardinality(String) CODEC(ZSTD(1)),
    `tick_size` Nullable(Decimal(38,12)) CODEC(ZSTD(1)),
    `step_size` Nullable(Decimal(38,12)) CODEC(ZSTD(1)),
    `canonical` LowCardinality(String) CODEC(ZSTD(1)),
    `kind` LowCardinality(String) CODEC(ZSTD(1)),
    `multiplier` Nullable(Decimal(38,12)) CODEC(ZSTD(1)),
    `funding_interval` Nullable(Int64) CODEC(ZSTD(1)),
    `open_interest_sides` Nullable(UInt8) CODEC(ZSTD(1)),
    `time` DateTime64(9,'UTC') CODEC(ZSTD(1)),
    `version` UInt64 CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (`exchange`, `symbol`)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `market`.`schema_version`
(
    `version` UInt32 CODEC(ZSTD(1)),
    `applied` DateTime64(9,'UTC') CODEC(ZSTD(1)),
    `what` String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
ORDER BY (`version`, `what`)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS `market`.`kline_mv` TO `market`.`kline`
AS SELECT
    raw.`epoch` AS `epoch`,
    raw.`position` AS `position`,
    raw.`exchange` AS `exchange`,
    raw.`symbol` AS `symbol`,
    fromUnixTimestamp64Nano(raw.`event_time_ns`, 'UTC') AS `event_time`,
    fromUnixTimestamp64Nano(raw.`transaction_time_ns`, 'UTC') AS `transaction_time`,
    fromUnixTimestamp64Nano(raw.`receive_time_ns`, 'UTC') AS `receive_time`,
    transform(raw.`source`, [1, 2, 3], ['WEBSOCKET', 'REST', 'ARCHIVE'], '') AS `source`,
    raw.`connection` AS `connection`,
    fromUnixTimestamp64Nano(raw.`last_gap_ns`, 'UTC') AS `last_gap`,
    raw.`interval` AS `interval`,
    fromUnixTimestamp64Nano(raw.`open_time_ns`, 'UTC') AS `open_time`,
    fromUnixTimestamp64Nano(raw.`close_time_ns`, 'UTC') AS `close_time`,
    toDecimal128(raw.`open`, 12) AS `open`,
    toDecimal128(raw.`high`, 12) AS `high`,
    toDecimal128(raw.`low`, 12) AS `low`,
    toDecimal128(raw.`close`, 12) AS `close`,
    toDecimal128(raw.`volume`, 12) AS `volume`,
    toDecimal128(raw.`quote_volume`, 12) AS `quote_volume`,
    raw.`trade_count` AS `trade_count`,
    toDecimal128(raw.`taker_buy_volume`, 12) AS `taker_buy_volume`,
    toDecimal128(raw.`taker_buy_quote_volume`, 12) AS `taker_buy_quote_volume`,
    raw.`closed` AS `closed`,
    raw.`first_trade_id` AS `first_trade_id`,
    raw.`last_trade_id` AS `last_trade_id`,
    fromUnixTimestamp64Nano(coalesce(raw.`transaction_time_ns`, raw.`event_time_ns`, raw.`receive_time_ns`), 'UTC') AS `time`,
    bitShiftLeft(toUInt64(multiIf(source IN ('REST', 'ARCHIVE'), 2, closed, 1, 0)), 61) + toUInt64(toUnixTimestamp64Nano(receive_time)) AS `version`
FROM `market`.`kline_in` AS raw
WHERE (raw.`source` IN (1, 2, 3))
    AND (match(raw.`open`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'))
    AND (match(raw.`high`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'))
    AND (match(raw.`low`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'))
    AND (match(raw.`close`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'))
    AND (match(raw.`volume`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'))
    AND (ifNull(match(raw.`quote_volume`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true))
    AND (ifNull(match(raw.`taker_buy_volume`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true))
    AND (ifNull(match(raw.`taker_buy_quote_volume`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true))
    AND raw.`closed`
COMMENT 'wsadapter 4812ca6756c96424';

CREATE MATERIALIZED VIEW IF NOT EXISTS `market`.`kline_rejected_mv` TO `market`.`rejected`
AS SELECT
    fromUnixTimestamp64Nano(coalesce(raw.`transaction_time_ns`, raw.`event_time_ns`, raw.`receive_time_ns`), 'UTC') AS `time`,
    'kline' AS `stream`,
    raw.`exchange` AS `exchange`,
    raw.`symbol` AS `symbol`,
    raw.`connection` AS `connection`,
    raw.`epoch` AS `epoch`,
    raw.`position` AS `position`,
    fromUnixTimestamp64Nano(raw.`receive_time_ns`, 'UTC') AS `receive_time`,
    multiIf(
        NOT (raw.`source` IN (1, 2, 3)), concat('source: cannot be kept exactly: ', substring(ifNull(toString(raw.`source`), ''), 1, 100)),
        NOT (match(raw.`open`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$')), concat('open: cannot be kept exactly: ', substring(ifNull(toString(raw.`open`), ''), 1, 100)),
        NOT (match(raw.`high`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$')), concat('high: cannot be kept exactly: ', substring(ifNull(toString(raw.`high`), ''), 1, 100)),
        NOT (match(raw.`low`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$')), concat('low: cannot be kept exactly: ', substring(ifNull(toString(raw.`low`), ''), 1, 100)),
        NOT (match(raw.`close`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$')), concat('close: cannot be kept exactly: ', substring(ifNull(toString(raw.`close`), ''), 1, 100)),
        NOT (match(raw.`volume`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$')), concat('volume: cannot be kept exactly: ', substring(ifNull(toString(raw.`volume`), ''), 1, 100)),
        NOT (ifNull(match(raw.`quote_volume`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)), concat('quote_volume: cannot be kept exactly: ', substring(ifNull(toString(raw.`quote_volume`), ''), 1, 100)),
        NOT (ifNull(match(raw.`taker_buy_volume`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)), concat('taker_buy_volume: cannot be kept exactly: ', substring(ifNull(toString(raw.`taker_buy_volume`), ''), 1, 100)),
        NOT (ifNull(match(raw.`taker_buy_quote_volume`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)), concat('taker_buy_quote_volume: cannot be kept exactly: ', substring(ifNull(toString(raw.`taker_buy_quote_volume`), ''), 1, 100)),
        '') AS `reason`,
    toJSONString(CAST(tuple(raw.`epoch`, raw.`position`, raw.`exchange`, raw.`symbol`, raw.`event_time_ns`, raw.`transaction_time_ns`, raw.`receive_time_ns`, raw.`source`, raw.`connection`, raw.`last_gap_ns`, raw.`interval`, raw.`open_time_ns`, raw.`close_time_ns`, raw.`open`, raw.`high`, raw.`low`, raw.`close`, raw.`volume`, raw.`quote_volume`, raw.`trade_count`, raw.`taker_buy_volume`, raw.`taker_buy_quote_volume`, raw.`closed`, raw.`first_trade_id`, raw.`last_trade_id`), 'Tuple(epoch Nullable(UInt64), position Nullable(UInt64), exchange String, symbol String, event_time_ns Nullable(Int64), transaction_time_ns Nullable(Int64), receive_time_ns Int64, source Int32, connection String, last_gap_ns Nullable(Int64), interval String, open_time_ns Int64, close_time_ns Int64, open String, high String, low String, close String, volume String, quote_volume Nullable(String), trade_count Nullable(Int64), taker_buy_volume Nullable(String), taker_buy_quote_volume Nullable(String), closed Bool, first_trade_id Nullable(Int64), last_trade_id Nullable(Int64))')) AS `record`,
    getSetting('log_comment') AS `batch`
FROM `market`.`kline_in` AS raw
WHERE NOT ((raw.`source` IN (1, 2, 3)) AND (match(raw.`open`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$')) AND (match(raw.`high`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$')) AND (match(raw.`low`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$')) AND (match(raw.`close`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$')) AND (match(raw.`volume`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$')) AND (ifNull(match(raw.`quote_volume`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)) AND (ifNull(match(raw.`taker_buy_volume`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)) AND (ifNull(match(raw.`taker_buy_quote_volume`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)))
    AND raw.`closed`
COMMENT 'wsadapter 1b584859b413cf28';

CREATE MATERIALIZED VIEW IF NOT EXISTS `market`.`ticker_mv` TO `market`.`ticker`
AS SELECT
    raw.`epoch` AS `epoch`,
    raw.`position` AS `position`,
    raw.`exchange` AS `exchange`,
    raw.`symbol` AS `symbol`,
    fromUnixTimestamp64Nano(raw.`event_time_ns`, 'UTC') AS `event_time`,
    fromUnixTimestamp64Nano(raw.`transaction_time_ns`, 'UTC') AS `transaction_time`,
    fromUnixTimestamp64Nano(raw.`receive_time_ns`, 'UTC') AS `receive_time`,
    transform(raw.`source`, [1, 2, 3], ['WEBSOCKET', 'REST', 'ARCHIVE'], '') AS `source`,
    raw.`connection` AS `connection`,
    fromUnixTimestamp64Nano(raw.`last_gap_ns`, 'UTC') AS `last_gap`,
    toDecimal128(raw.`price_change`, 12) AS `price_change`,
    toDecimal128(raw.`price_change_percent`, 18) AS `price_change_percent`,
    toDecimal128(raw.`weighted_average_price`, 12) AS `weighted_average_price`,
    toDecimal128(raw.`last_price`, 12) AS `last_price`,
    toDecimal128(raw.`last_quantity`, 12) AS `last_quantity`,
    toDecimal128(raw.`open`, 12) AS `open`,
    toDecimal128(raw.`high`, 12) AS `high`,
    toDecimal128(raw.`low`, 12) AS `low`,
    toDecimal128(raw.`volume`, 12) AS `volume`,
    toDecimal128(raw.`quote_volume`, 12) AS `quote_volume`,
    fromUnixTimestamp64Nano(raw.`open_time_ns`, 'UTC') AS `open_time`,
    fromUnixTimestamp64Nano(raw.`close_time_ns`, 'UTC') AS `close_time`,
    raw.`first_trade_id` AS `first_trade_id`,
    raw.`last_trade_id` AS `last_trade_id`,
    raw.`trade_count` AS `trade_count`,
    raw.`ordinal` AS `ordinal`,
    fromUnixTimestamp64Nano(coalesce(raw.`transaction_time_ns`, raw.`event_time_ns`, raw.`receive_time_ns`), 'UTC') AS `time`,
    toUnixTimestamp64Nano(receive_time) AS `version`
FROM `market`.`ticker_in` AS raw
WHERE (raw.`source` IN (1, 2, 3))
    AND (ifNull(match(raw.`price_change`, '^-?([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true))
    AND (ifNull(match(raw.`price_change_percent`, '^-?([0-9]{1,20}(\\.[0-9]{0,18}0*)?|\\.[0-9]{1,18}0*)$'), true))
    AND (ifNull(match(raw.`weighted_average_price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true))
    AND (match(raw.`last_price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'))
    AND (ifNull(match(raw.`last_quantity`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true))
    AND (ifNull(match(raw.`open`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true))
    AND (ifNull(match(raw.`high`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true))
    AND (ifNull(match(raw.`low`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true))
    AND (ifNull(match(raw.`volume`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true))
    AND (ifNull(match(raw.`quote_volume`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true))
COMMENT 'wsadapter db1caff5a5b7ca53';

CREATE MATERIALIZED VIEW IF NOT EXISTS `market`.`ticker_rejected_mv` TO `market`.`rejected`
AS SELECT
    fromUnixTimestamp64Nano(coalesce(raw.`transaction_time_ns`, raw.`event_time_ns`, raw.`receive_time_ns`), 'UTC') AS `time`,
    'ticker' AS `stream`,
    raw.`exchange` AS `exchange`,
    raw.`symbol` AS `symbol`,
    raw.`connection` AS `connection`,
    raw.`epoch` AS `epoch`,
    raw.`position` AS `position`,
    fromUnixTimestamp64Nano(raw.`receive_time_ns`, 'UTC') AS `receive_time`,
    multiIf(
        NOT (raw.`source` IN (1, 2, 3)), concat('source: cannot be kept exactly: ', substring(ifNull(toString(raw.`source`), ''), 1, 100)),
        NOT (ifNull(match(raw.`price_change`, '^-?([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)), concat('price_change: cannot be kept exactly: ', substring(ifNull(toString(raw.`price_change`), ''), 1, 100)),
        NOT (ifNull(match(raw.`price_change_percent`, '^-?([0-9]{1,20}(\\.[0-9]{0,18}0*)?|\\.[0-9]{1,18}0*)$'), true)), concat('price_change_percent: cannot be kept exactly: ', substring(ifNull(toString(raw.`price_change_percent`), ''), 1, 100)),
        NOT (ifNull(match(raw.`weighted_average_price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)), concat('weighted_average_price: cannot be kept exactly: ', substring(ifNull(toString(raw.`weighted_average_price`), ''), 1, 100)),
        NOT (match(raw.`last_price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$')), concat('last_price: cannot be kept exactly: ', substring(ifNull(toString(raw.`last_price`), ''), 1, 100)),
        NOT (ifNull(match(raw.`last_quantity`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)), concat('last_quantity: cannot be kept exactly: ', substring(ifNull(toString(raw.`last_quantity`), ''), 1, 100)),
        NOT (ifNull(match(raw.`open`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)), concat('open: cannot be kept exactly: ', substring(ifNull(toString(raw.`open`), ''), 1, 100)),
        NOT (ifNull(match(raw.`high`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)), concat('high: cannot be kept exactly: ', substring(ifNull(toString(raw.`high`), ''), 1, 100)),
        NOT (ifNull(match(raw.`low`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)), concat('low: cannot be kept exactly: ', substring(ifNull(toString(raw.`low`), ''), 1, 100)),
        NOT (ifNull(match(raw.`volume`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)), concat('volume: cannot be kept exactly: ', substring(ifNull(toString(raw.`volume`), ''), 1, 100)),
        NOT (ifNull(match(raw.`quote_volume`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)), concat('quote_volume: cannot be kept exactly: ', substring(ifNull(toString(raw.`quote_volume`), ''), 1, 100)),
        '') AS `reason`,
    toJSONString(CAST(tuple(raw.`epoch`, raw.`position`, raw.`exchange`, raw.`symbol`, raw.`event_time_ns`, raw.`transaction_time_ns`, raw.`receive_time_ns`, raw.`source`, raw.`connection`, raw.`last_gap_ns`, raw.`price_change`, raw.`price_change_percent`, raw.`weighted_average_price`, raw.`last_price`, raw.`last_quantity`, raw.`open`, raw.`high`, raw.`low`, raw.`volume`, raw.`quote_volume`, raw.`open_time_ns`, raw.`close_time_ns`, raw.`first_trade_id`, raw.`last_trade_id`, raw.`trade_count`, raw.`ordinal`), 'Tuple(epoch Nullable(UInt64), position Nullable(UInt64), exchange String, symbol String, event_time_ns Nullable(Int64), transaction_time_ns Nullable(Int64), receive_time_ns Int64, source Int32, connection String, last_gap_ns Nullable(Int64), price_change Nullable(String), price_change_percent Nullable(String), weighted_average_price Nullable(String), last_price String, last_quantity Nullable(String), open Nullable(String), high Nullable(String), low Nullable(String), volume Nullable(String), quote_volume Nullable(String), open_time_ns Nullable(Int64), close_time_ns Nullable(Int64), first_trade_id Nullable(Int64), last_trade_id Nullable(Int64), trade_count Nullable(Int64), ordinal Int32)')) AS `record`,
    getSetting('log_comment') AS `batch`
FROM `market`.`ticker_in` AS raw
WHERE NOT ((raw.`source` IN (1, 2, 3)) AND (ifNull(match(raw.`price_change`, '^-?([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)) AND (ifNull(match(raw.`price_change_percent`, '^-?([0-9]{1,20}(\\.[0-9]{0,18}0*)?|\\.[0-9]{1,18}0*)$'), true)) AND (ifNull(match(raw.`weighted_average_price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)) AND (match(raw.`last_price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$')) AND (ifNull(match(raw.`last_quantity`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)) AND (ifNull(match(raw.`open`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)) AND (ifNull(match(raw.`high`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)) AND (ifNull(match(raw.`low`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)) AND (ifNull(match(raw.`volume`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)) AND (ifNull(match(raw.`quote_volume`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)))
COMMENT 'wsadapter 9896656242fe0119';

CREATE MATERIALIZED VIEW IF NOT EXISTS `market`.`depth_mv` TO `market`.`depth`
AS SELECT
    raw.`epoch` AS `epoch`,
    raw.`position` AS `position`,
    raw.`exchange` AS `exchange`,
    raw.`symbol` AS `symbol`,
    fromUnixTimestamp64Nano(raw.`event_time_ns`, 'UTC') AS `event_time`,
    fromUnixTimestamp64Nano(raw.`transaction_time_ns`, 'UTC') AS `transaction_time`,
    fromUnixTimestamp64Nano(raw.`receive_time_ns`, 'UTC') AS `receive_time`,
    transform(raw.`source`, [1, 2, 3], ['WEBSOCKET', 'REST', 'ARCHIVE'], '') AS `source`,
    raw.`connection` AS `connection`,
    fromUnixTimestamp64Nano(raw.`last_gap_ns`, 'UTC') AS `last_gap`,
    transform(raw.`update_type`, [1, 2], ['SNAPSHOT', 'DELTA'], '') AS `update_type`,
    raw.`level_limit` AS `level_limit`,
    raw.`first_update_id` AS `first_update_id`,
    raw.`last_update_id` AS `last_update_id`,
    raw.`previous_update_id` AS `previous_update_id`,
    arrayMap(x -> toDecimal128(x, 12), raw.`bid_price`) AS `bid_price`,
    arrayMap(x -> toDecimal128(x, 12), raw.`bid_quantity`) AS `bid_quantity`,
    arrayMap(x -> toDecimal128(x, 12), raw.`ask_price`) AS `ask_price`,
    arrayMap(x -> toDecimal128(x, 12), raw.`ask_quantity`) AS `ask_quantity`,
    raw.`ordinal` AS `ordinal`,
    fromUnixTimestamp64Nano(coalesce(raw.`transaction_time_ns`, raw.`event_time_ns`, raw.`receive_time_ns`), 'UTC') AS `time`,
    toUnixTimestamp64Nano(receive_time) AS `version`
FROM `market`.`depth_in` AS raw
WHERE (raw.`source` IN (1, 2, 3))
    AND (raw.`update_type` IN (1, 2))
    AND (arrayAll(x -> match(x, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), raw.`bid_price`))
    AND (arrayAll(x -> match(x, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), raw.`bid_quantity`))
    AND (arrayAll(x -> match(x, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), raw.`ask_price`))
    AND (arrayAll(x -> match(x, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), raw.`ask_quantity`))
COMMENT 'wsadapter d3ad9af81adf0e48';

CREATE MATERIALIZED VIEW IF NOT EXISTS `market`.`depth_rejected_mv` TO `market`.`rejected`
AS SELECT
    fromUnixTimestamp64Nano(coalesce(raw.`transaction_time_ns`, raw.`event_time_ns`, raw.`receive_time_ns`), 'UTC') AS `time`,
    'depth' AS `stream`,
    raw.`exchange` AS `exchange`,
    raw.`symbol` AS `symbol`,
    raw.`connection` AS `connection`,
    raw.`epoch` AS `epoch`,
    raw.`position` AS `position`,
    fromUnixTimestamp64Nano(raw.`receive_time_ns`, 'UTC') AS `receive_time`,
    multiIf(
        NOT (raw.`source` IN (1, 2, 3)), concat('source: cannot be kept exactly: ', substring(ifNull(toString(raw.`source`), ''), 1, 100)),
        NOT (raw.`update_type` IN (1, 2)), concat('update_type: cannot be kept exactly: ', substring(ifNull(toString(raw.`update_type`), ''), 1, 100)),
        NOT (arrayAll(x -> match(x, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), raw.`bid_price`)), concat('bid_price: cannot be kept exactly: ', substring(ifNull(toString(raw.`bid_price`), ''), 1, 100)),
        NOT (arrayAll(x -> match(x, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), raw.`bid_quantity`)), concat('bid_quantity: cannot be kept exactly: ', substring(ifNull(toString(raw.`bid_quantity`), ''), 1, 100)),
        NOT (arrayAll(x -> match(x, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), raw.`ask_price`)), concat('ask_price: cannot be kept exactly: ', substring(ifNull(toString(raw.`ask_price`), ''), 1, 100)),
        NOT (arrayAll(x -> match(x, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), raw.`ask_quantity`)), concat('ask_quantity: cannot be kept exactly: ', substring(ifNull(toString(raw.`ask_quantity`), ''), 1, 100)),
        '') AS `reason`,
    toJSONString(CAST(tuple(raw.`epoch`, raw.`position`, raw.`exchange`, raw.`symbol`, raw.`event_time_ns`, raw.`transaction_time_ns`, raw.`receive_time_ns`, raw.`source`, raw.`connection`, raw.`last_gap_ns`, raw.`update_type`, raw.`level_limit`, raw.`first_update_id`, raw.`last_update_id`, raw.`previous_update_id`, raw.`bid_price`, raw.`bid_quantity`, raw.`ask_price`, raw.`ask_quantity`, raw.`ordinal`), 'Tuple(epoch Nullable(UInt64), position Nullable(UInt64), exchange String, symbol String, event_time_ns Nullable(Int64), transaction_time_ns Nullable(Int64), receive_time_ns Int64, source Int32, connection String, last_gap_ns Nullable(Int64), update_type Int32, level_limit Int64, first_update_id Nullable(Int64), last_update_id Nullable(Int64), previous_update_id Nullable(Int64), bid_price Array(String), bid_quantity Array(String), ask_price Array(String), ask_quantity Array(String), ordinal Int32)')) AS `record`,
    getSetting('log_comment') AS `batch`
FROM `market`.`depth_in` AS raw
WHERE NOT ((raw.`source` IN (1, 2, 3)) AND (raw.`update_type` IN (1, 2)) AND (arrayAll(x -> match(x, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), raw.`bid_price`)) AND (arrayAll(x -> match(x, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), raw.`bid_quantity`)) AND (arrayAll(x -> match(x, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), raw.`ask_price`)) AND (arrayAll(x -> match(x, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), raw.`ask_quantity`)))
COMMENT 'wsadapter ae76c53d24443120';

CREATE MATERIALIZED VIEW IF NOT EXISTS `market`.`trade_mv` TO `market`.`trade`
AS SELECT
    raw.`epoch` AS `epoch`,
    raw.`position` AS `position`,
    raw.`exchange` AS `exchange`,
    raw.`symbol` AS `symbol`,
    fromUnixTimestamp64Nano(raw.`event_time_ns`, 'UTC') AS `event_time`,
    fromUnixTimestamp64Nano(raw.`transaction_time_ns`, 'UTC') AS `transaction_time`,
    fromUnixTimestamp64Nano(raw.`receive_time_ns`, 'UTC') AS `receive_time`,
    transform(raw.`source`, [1, 2, 3], ['WEBSOCKET', 'REST', 'ARCHIVE'], '') AS `source`,
    raw.`connection` AS `connection`,
    fromUnixTimestamp64Nano(raw.`last_gap_ns`, 'UTC') AS `last_gap`,
    raw.`trade_id` AS `trade_id`,
    raw.`trade_number` AS `trade_number`,
    toDecimal128(raw.`price`, 12) AS `price`,
    toDecimal128(raw.`quantity`, 12) AS `quantity`,
    raw.`buyer_is_maker` AS `buyer_is_maker`,
    raw.`first_trade_id` AS `first_trade_id`,
    raw.`last_trade_id` AS `last_trade_id`,
    raw.`aggregated` AS `aggregated`,
    fromUnixTimestamp64Nano(coalesce(raw.`transaction_time_ns`, raw.`event_time_ns`, raw.`receive_time_ns`), 'UTC') AS `time`,
    toUnixTimestamp64Nano(receive_time) AS `version`
FROM `market`.`trade_in` AS raw
WHERE (raw.`source` IN (1, 2, 3))
    AND (match(raw.`price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'))
    AND (match(raw.`quantity`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'))
COMMENT 'wsadapter 23185e36149e5734';

CREATE MATERIALIZED VIEW IF NOT EXISTS `market`.`trade_rejected_mv` TO `market`.`rejected`
AS SELECT
    fromUnixTimestamp64Nano(coalesce(raw.`transaction_time_ns`, raw.`event_time_ns`, raw.`receive_time_ns`), 'UTC') AS `time`,
    'trade' AS `stream`,
    raw.`exchange` AS `exchange`,
    raw.`symbol` AS `symbol`,
    raw.`connection` AS `connection`,
    raw.`epoch` AS `epoch`,
    raw.`position` AS `position`,
    fromUnixTimestamp64Nano(raw.`receive_time_ns`, 'UTC') AS `receive_time`,
    multiIf(
        NOT (raw.`source` IN (1, 2, 3)), concat('source: cannot be kept exactly: ', substring(ifNull(toString(raw.`source`), ''), 1, 100)),
        NOT (match(raw.`price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$')), concat('price: cannot be kept exactly: ', substring(ifNull(toString(raw.`price`), ''), 1, 100)),
        NOT (match(raw.`quantity`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$')), concat('quantity: cannot be kept exactly: ', substring(ifNull(toString(raw.`quantity`), ''), 1, 100)),
        '') AS `reason`,
    toJSONString(CAST(tuple(raw.`epoch`, raw.`position`, raw.`exchange`, raw.`symbol`, raw.`event_time_ns`, raw.`transaction_time_ns`, raw.`receive_time_ns`, raw.`source`, raw.`connection`, raw.`last_gap_ns`, raw.`trade_id`, raw.`trade_number`, raw.`price`, raw.`quantity`, raw.`buyer_is_maker`, raw.`first_trade_id`, raw.`last_trade_id`, raw.`aggregated`), 'Tuple(epoch Nullable(UInt64), position Nullable(UInt64), exchange String, symbol String, event_time_ns Nullable(Int64), transaction_time_ns Nullable(Int64), receive_time_ns Int64, source Int32, connection String, last_gap_ns Nullable(Int64), trade_id String, trade_number Nullable(Int64), price String, quantity String, buyer_is_maker Bool, first_trade_id Nullable(Int64), last_trade_id Nullable(Int64), aggregated Bool)')) AS `record`,
    getSetting('log_comment') AS `batch`
FROM `market`.`trade_in` AS raw
WHERE NOT ((raw.`source` IN (1, 2, 3)) AND (match(raw.`price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$')) AND (match(raw.`quantity`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$')))
COMMENT 'wsadapter 7abbe57b5bc11b8b';

CREATE MATERIALIZED VIEW IF NOT EXISTS `market`.`funding_rate_mv` TO `market`.`funding_rate`
AS SELECT
    raw.`epoch` AS `epoch`,
    raw.`position` AS `position`,
    raw.`exchange` AS `exchange`,
    raw.`symbol` AS `symbol`,
    fromUnixTimestamp64Nano(raw.`event_time_ns`, 'UTC') AS `event_time`,
    fromUnixTimestamp64Nano(raw.`transaction_time_ns`, 'UTC') AS `transaction_time`,
    fromUnixTimestamp64Nano(raw.`receive_time_ns`, 'UTC') AS `receive_time`,
    transform(raw.`source`, [1, 2, 3], ['WEBSOCKET', 'REST', 'ARCHIVE'], '') AS `source`,
    raw.`connection` AS `connection`,
    fromUnixTimestamp64Nano(raw.`last_gap_ns`, 'UTC') AS `last_gap`,
    toDecimal128(raw.`funding_rate`, 18) AS `funding_rate`,
    fromUnixTimestamp64Nano(raw.`next_funding_time_ns`, 'UTC') AS `next_funding_time`,
    toDecimal128(raw.`mark_price`, 12) AS `mark_price`,
    raw.`settled` AS `settled`,
    raw.`ordinal` AS `ordinal`,
    fromUnixTimestamp64Nano(coalesce(raw.`transaction_time_ns`, raw.`event_time_ns`, raw.`receive_time_ns`), 'UTC') AS `time`,
    toUnixTimestamp64Nano(receive_time) AS `version`
FROM `market`.`funding_rate_in` AS raw
WHERE (raw.`source` IN (1, 2, 3))
    AND (match(raw.`funding_rate`, '^-?([0-9]{1,20}(\\.[0-9]{0,18}0*)?|\\.[0-9]{1,18}0*)$'))
    AND (ifNull(match(raw.`mark_price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true))
COMMENT 'wsadapter bf174a932e185898';

CREATE MATERIALIZED VIEW IF NOT EXISTS `market`.`funding_rate_rejected_mv` TO `market`.`rejected`
AS SELECT
    fromUnixTimestamp64Nano(coalesce(raw.`transaction_time_ns`, raw.`event_time_ns`, raw.`receive_time_ns`), 'UTC') AS `time`,
    'funding_rate' AS `stream`,
    raw.`exchange` AS `exchange`,
    raw.`symbol` AS `symbol`,
    raw.`connection` AS `connection`,
    raw.`epoch` AS `epoch`,
    raw.`position` AS `position`,
    fromUnixTimestamp64Nano(raw.`receive_time_ns`, 'UTC') AS `receive_time`,
    multiIf(
        NOT (raw.`source` IN (1, 2, 3)), concat('source: cannot be kept exactly: ', substring(ifNull(toString(raw.`source`), ''), 1, 100)),
        NOT (match(raw.`funding_rate`, '^-?([0-9]{1,20}(\\.[0-9]{0,18}0*)?|\\.[0-9]{1,18}0*)$')), concat('funding_rate: cannot be kept exactly: ', substring(ifNull(toString(raw.`funding_rate`), ''), 1, 100)),
        NOT (ifNull(match(raw.`mark_price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)), concat('mark_price: cannot be kept exactly: ', substring(ifNull(toString(raw.`mark_price`), ''), 1, 100)),
        '') AS `reason`,
    toJSONString(CAST(tuple(raw.`epoch`, raw.`position`, raw.`exchange`, raw.`symbol`, raw.`event_time_ns`, raw.`transaction_time_ns`, raw.`receive_time_ns`, raw.`source`, raw.`connection`, raw.`last_gap_ns`, raw.`funding_rate`, raw.`next_funding_time_ns`, raw.`mark_price`, raw.`settled`, raw.`ordinal`), 'Tuple(epoch Nullable(UInt64), position Nullable(UInt64), exchange String, symbol String, event_time_ns Nullable(Int64), transaction_time_ns Nullable(Int64), receive_time_ns Int64, source Int32, connection String, last_gap_ns Nullable(Int64), funding_rate String, next_funding_time_ns Nullable(Int64), mark_price Nullable(String), settled Bool, ordinal Int32)')) AS `record`,
    getSetting('log_comment') AS `batch`
FROM `market`.`funding_rate_in` AS raw
WHERE NOT ((raw.`source` IN (1, 2, 3)) AND (match(raw.`funding_rate`, '^-?([0-9]{1,20}(\\.[0-9]{0,18}0*)?|\\.[0-9]{1,18}0*)$')) AND (ifNull(match(raw.`mark_price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)))
COMMENT 'wsadapter 29f52e0cb86a13fe';

CREATE MATERIALIZED VIEW IF NOT EXISTS `market`.`mark_price_mv` TO `market`.`mark_price`
AS SELECT
    raw.`epoch` AS `epoch`,
    raw.`position` AS `position`,
    raw.`exchange` AS `exchange`,
    raw.`symbol` AS `symbol`,
    fromUnixTimestamp64Nano(raw.`event_time_ns`, 'UTC') AS `event_time`,
    fromUnixTimestamp64Nano(raw.`transaction_time_ns`, 'UTC') AS `transaction_time`,
    fromUnixTimestamp64Nano(raw.`receive_time_ns`, 'UTC') AS `receive_time`,
    transform(raw.`source`, [1, 2, 3], ['WEBSOCKET', 'REST', 'ARCHIVE'], '') AS `source`,
    raw.`connection` AS `connection`,
    fromUnixTimestamp64Nano(raw.`last_gap_ns`, 'UTC') AS `last_gap`,
    toDecimal128(raw.`mark_price`, 12) AS `mark_price`,
    toDecimal128(raw.`index_price`, 12) AS `index_price`,
    toDecimal128(raw.`estimated_settle_price`, 12) AS `estimated_settle_price`,
    toDecimal128(raw.`funding_rate`, 18) AS `funding_rate`,
    fromUnixTimestamp64Nano(raw.`next_funding_time_ns`, 'UTC') AS `next_funding_time`,
    raw.`ordinal` AS `ordinal`,
    fromUnixTimestamp64Nano(coalesce(raw.`transaction_time_ns`, raw.`event_time_ns`, raw.`receive_time_ns`), 'UTC') AS `time`,
    toUnixTimestamp64Nano(receive_time) AS `version`
FROM `market`.`mark_price_in` AS raw
WHERE (raw.`source` IN (1, 2, 3))
    AND (match(raw.`mark_price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'))
    AND (ifNull(match(raw.`index_price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true))
    AND (ifNull(match(raw.`estimated_settle_price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true))
    AND (ifNull(match(raw.`funding_rate`, '^-?([0-9]{1,20}(\\.[0-9]{0,18}0*)?|\\.[0-9]{1,18}0*)$'), true))
COMMENT 'wsadapter c35454c34cae8ea5';

CREATE MATERIALIZED VIEW IF NOT EXISTS `market`.`mark_price_rejected_mv` TO `market`.`rejected`
AS SELECT
    fromUnixTimestamp64Nano(coalesce(raw.`transaction_time_ns`, raw.`event_time_ns`, raw.`receive_time_ns`), 'UTC') AS `time`,
    'mark_price' AS `stream`,
    raw.`exchange` AS `exchange`,
    raw.`symbol` AS `symbol`,
    raw.`connection` AS `connection`,
    raw.`epoch` AS `epoch`,
    raw.`position` AS `position`,
    fromUnixTimestamp64Nano(raw.`receive_time_ns`, 'UTC') AS `receive_time`,
    multiIf(
        NOT (raw.`source` IN (1, 2, 3)), concat('source: cannot be kept exactly: ', substring(ifNull(toString(raw.`source`), ''), 1, 100)),
        NOT (match(raw.`mark_price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$')), concat('mark_price: cannot be kept exactly: ', substring(ifNull(toString(raw.`mark_price`), ''), 1, 100)),
        NOT (ifNull(match(raw.`index_price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)), concat('index_price: cannot be kept exactly: ', substring(ifNull(toString(raw.`index_price`), ''), 1, 100)),
        NOT (ifNull(match(raw.`estimated_settle_price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)), concat('estimated_settle_price: cannot be kept exactly: ', substring(ifNull(toString(raw.`estimated_settle_price`), ''), 1, 100)),
        NOT (ifNull(match(raw.`funding_rate`, '^-?([0-9]{1,20}(\\.[0-9]{0,18}0*)?|\\.[0-9]{1,18}0*)$'), true)), concat('funding_rate: cannot be kept exactly: ', substring(ifNull(toString(raw.`funding_rate`), ''), 1, 100)),
        '') AS `reason`,
    toJSONString(CAST(tuple(raw.`epoch`, raw.`position`, raw.`exchange`, raw.`symbol`, raw.`event_time_ns`, raw.`transaction_time_ns`, raw.`receive_time_ns`, raw.`source`, raw.`connection`, raw.`last_gap_ns`, raw.`mark_price`, raw.`index_price`, raw.`estimated_settle_price`, raw.`funding_rate`, raw.`next_funding_time_ns`, raw.`ordinal`), 'Tuple(epoch Nullable(UInt64), position Nullable(UInt64), exchange String, symbol String, event_time_ns Nullable(Int64), transaction_time_ns Nullable(Int64), receive_time_ns Int64, source Int32, connection String, last_gap_ns Nullable(Int64), mark_price String, index_price Nullable(String), estimated_settle_price Nullable(String), funding_rate Nullable(String), next_funding_time_ns Nullable(Int64), ordinal Int32)')) AS `record`,
    getSetting('log_comment') AS `batch`
FROM `market`.`mark_price_in` AS raw
WHERE NOT ((raw.`source` IN (1, 2, 3)) AND (match(raw.`mark_price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$')) AND (ifNull(match(raw.`index_price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)) AND (ifNull(match(raw.`estimated_settle_price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)) AND (ifNull(match(raw.`funding_rate`, '^-?([0-9]{1,20}(\\.[0-9]{0,18}0*)?|\\.[0-9]{1,18}0*)$'), true)))
COMMENT 'wsadapter 3dff26ee625fcbee';

CREATE MATERIALIZED VIEW IF NOT EXISTS `market`.`liquidation_mv` TO `market`.`liquidation`
AS SELECT
    raw.`epoch` AS `epoch`,
    raw.`position` AS `position`,
    raw.`exchange` AS `exchange`,
    raw.`symbol` AS `symbol`,
    fromUnixTimestamp64Nano(raw.`event_time_ns`, 'UTC') AS `event_time`,
    fromUnixTimestamp64Nano(raw.`transaction_time_ns`, 'UTC') AS `transaction_time`,
    fromUnixTimestamp64Nano(raw.`receive_time_ns`, 'UTC') AS `receive_time`,
    transform(raw.`source`, [1, 2, 3], ['WEBSOCKET', 'REST', 'ARCHIVE'], '') AS `source`,
    raw.`connection` AS `connection`,
    fromUnixTimestamp64Nano(raw.`last_gap_ns`, 'UTC') AS `last_gap`,
    transform(raw.`side`, [1, 2], ['BUY', 'SELL'], '') AS `side`,
    raw.`order_type` AS `order_type`,
    toDecimal128(raw.`price`, 12) AS `price`,
    toDecimal128(raw.`average_price`, 12) AS `average_price`,
    toDecimal128(raw.`quantity`, 12) AS `quantity`,
    toDecimal128(raw.`filled_quantity`, 12) AS `filled_quantity`,
    raw.`status` AS `status`,
    raw.`ordinal` AS `ordinal`,
    fromUnixTimestamp64Nano(coalesce(raw.`transaction_time_ns`, raw.`event_time_ns`, raw.`receive_time_ns`), 'UTC') AS `time`,
    toUnixTimestamp64Nano(receive_time) AS `version`
FROM `market`.`liquidation_in` AS raw
WHERE (raw.`source` IN (1, 2, 3))
    AND (raw.`side` IN (1, 2))
    AND (match(raw.`price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'))
    AND (ifNull(match(raw.`average_price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true))
    AND (match(raw.`quantity`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'))
    AND (ifNull(match(raw.`filled_quantity`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true))
COMMENT 'wsadapter 5d049c9a3f5c9bfe';

CREATE MATERIALIZED VIEW IF NOT EXISTS `market`.`liquidation_rejected_mv` TO `market`.`rejected`
AS SELECT
    fromUnixTimestamp64Nano(coalesce(raw.`transaction_time_ns`, raw.`event_time_ns`, raw.`receive_time_ns`), 'UTC') AS `time`,
    'liquidation' AS `stream`,
    raw.`exchange` AS `exchange`,
    raw.`symbol` AS `symbol`,
    raw.`connection` AS `connection`,
    raw.`epoch` AS `epoch`,
    raw.`position` AS `position`,
    fromUnixTimestamp64Nano(raw.`receive_time_ns`, 'UTC') AS `receive_time`,
    multiIf(
        NOT (raw.`source` IN (1, 2, 3)), concat('source: cannot be kept exactly: ', substring(ifNull(toString(raw.`source`), ''), 1, 100)),
        NOT (raw.`side` IN (1, 2)), concat('side: cannot be kept exactly: ', substring(ifNull(toString(raw.`side`), ''), 1, 100)),
        NOT (match(raw.`price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$')), concat('price: cannot be kept exactly: ', substring(ifNull(toString(raw.`price`), ''), 1, 100)),
        NOT (ifNull(match(raw.`average_price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)), concat('average_price: cannot be kept exactly: ', substring(ifNull(toString(raw.`average_price`), ''), 1, 100)),
        NOT (match(raw.`quantity`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$')), concat('quantity: cannot be kept exactly: ', substring(ifNull(toString(raw.`quantity`), ''), 1, 100)),
        NOT (ifNull(match(raw.`filled_quantity`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)), concat('filled_quantity: cannot be kept exactly: ', substring(ifNull(toString(raw.`filled_quantity`), ''), 1, 100)),
        '') AS `reason`,
    toJSONString(CAST(tuple(raw.`epoch`, raw.`position`, raw.`exchange`, raw.`symbol`, raw.`event_time_ns`, raw.`transaction_time_ns`, raw.`receive_time_ns`, raw.`source`, raw.`connection`, raw.`last_gap_ns`, raw.`side`, raw.`order_type`, raw.`price`, raw.`average_price`, raw.`quantity`, raw.`filled_quantity`, raw.`status`, raw.`ordinal`), 'Tuple(epoch Nullable(UInt64), position Nullable(UInt64), exchange String, symbol String, event_time_ns Nullable(Int64), transaction_time_ns Nullable(Int64), receive_time_ns Int64, source Int32, connection String, last_gap_ns Nullable(Int64), side Int32, order_type Nullable(String), price String, average_price Nullable(String), quantity String, filled_quantity Nullable(String), status Nullable(String), ordinal Int64)')) AS `record`,
    getSetting('log_comment') AS `batch`
FROM `market`.`liquidation_in` AS raw
WHERE NOT ((raw.`source` IN (1, 2, 3)) AND (raw.`side` IN (1, 2)) AND (match(raw.`price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$')) AND (ifNull(match(raw.`average_price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)) AND (match(raw.`quantity`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$')) AND (ifNull(match(raw.`filled_quantity`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)))
COMMENT 'wsadapter ab5f60f0b98ccd86';

CREATE MATERIALIZED VIEW IF NOT EXISTS `market`.`book_ticker_mv` TO `market`.`book_ticker`
AS SELECT
    raw.`epoch` AS `epoch`,
    raw.`position` AS `position`,
    raw.`exchange` AS `exchange`,
    raw.`symbol` AS `symbol`,
    fromUnixTimestamp64Nano(raw.`event_time_ns`, 'UTC') AS `event_time`,
    fromUnixTimestamp64Nano(raw.`transaction_time_ns`, 'UTC') AS `transaction_time`,
    fromUnixTimestamp64Nano(raw.`receive_time_ns`, 'UTC') AS `receive_time`,
    transform(raw.`source`, [1, 2, 3], ['WEBSOCKET', 'REST', 'ARCHIVE'], '') AS `source`,
    raw.`connection` AS `connection`,
    fromUnixTimestamp64Nano(raw.`last_gap_ns`, 'UTC') AS `last_gap`,
    raw.`update_id` AS `update_id`,
    toDecimal128(raw.`bid_price`, 12) AS `bid_price`,
    toDecimal128(raw.`bid_quantity`, 12) AS `bid_quantity`,
    toDecimal128(raw.`ask_price`, 12) AS `ask_price`,
    toDecimal128(raw.`ask_quantity`, 12) AS `ask_quantity`,
    raw.`ordinal` AS `ordinal`,
    fromUnixTimestamp64Nano(coalesce(raw.`transaction_time_ns`, raw.`event_time_ns`, raw.`receive_time_ns`), 'UTC') AS `time`,
    toUnixTimestamp64Nano(receive_time) AS `version`
FROM `market`.`book_ticker_in` AS raw
WHERE (raw.`source` IN (1, 2, 3))
    AND (ifNull(match(raw.`bid_price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true))
    AND (ifNull(match(raw.`bid_quantity`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true))
    AND (ifNull(match(raw.`ask_price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true))
    AND (ifNull(match(raw.`ask_quantity`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true))
COMMENT 'wsadapter d03fa6689557b733';

CREATE MATERIALIZED VIEW IF NOT EXISTS `market`.`book_ticker_rejected_mv` TO `market`.`rejected`
AS SELECT
    fromUnixTimestamp64Nano(coalesce(raw.`transaction_time_ns`, raw.`event_time_ns`, raw.`receive_time_ns`), 'UTC') AS `time`,
    'book_ticker' AS `stream`,
    raw.`exchange` AS `exchange`,
    raw.`symbol` AS `symbol`,
    raw.`connection` AS `connection`,
    raw.`epoch` AS `epoch`,
    raw.`position` AS `position`,
    fromUnixTimestamp64Nano(raw.`receive_time_ns`, 'UTC') AS `receive_time`,
    multiIf(
        NOT (raw.`source` IN (1, 2, 3)), concat('source: cannot be kept exactly: ', substring(ifNull(toString(raw.`source`), ''), 1, 100)),
        NOT (ifNull(match(raw.`bid_price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)), concat('bid_price: cannot be kept exactly: ', substring(ifNull(toString(raw.`bid_price`), ''), 1, 100)),
        NOT (ifNull(match(raw.`bid_quantity`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)), concat('bid_quantity: cannot be kept exactly: ', substring(ifNull(toString(raw.`bid_quantity`), ''), 1, 100)),
        NOT (ifNull(match(raw.`ask_price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)), concat('ask_price: cannot be kept exactly: ', substring(ifNull(toString(raw.`ask_price`), ''), 1, 100)),
        NOT (ifNull(match(raw.`ask_quantity`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)), concat('ask_quantity: cannot be kept exactly: ', substring(ifNull(toString(raw.`ask_quantity`), ''), 1, 100)),
        '') AS `reason`,
    toJSONString(CAST(tuple(raw.`epoch`, raw.`position`, raw.`exchange`, raw.`symbol`, raw.`event_time_ns`, raw.`transaction_time_ns`, raw.`receive_time_ns`, raw.`source`, raw.`connection`, raw.`last_gap_ns`, raw.`update_id`, raw.`bid_price`, raw.`bid_quantity`, raw.`ask_price`, raw.`ask_quantity`, raw.`ordinal`), 'Tuple(epoch Nullable(UInt64), position Nullable(UInt64), exchange String, symbol String, event_time_ns Nullable(Int64), transaction_time_ns Nullable(Int64), receive_time_ns Int64, source Int32, connection String, last_gap_ns Nullable(Int64), update_id Nullable(Int64), bid_price Nullable(String), bid_quantity Nullable(String), ask_price Nullable(String), ask_quantity Nullable(String), ordinal Int32)')) AS `record`,
    getSetting('log_comment') AS `batch`
FROM `market`.`book_ticker_in` AS raw
WHERE NOT ((raw.`source` IN (1, 2, 3)) AND (ifNull(match(raw.`bid_price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)) AND (ifNull(match(raw.`bid_quantity`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)) AND (ifNull(match(raw.`ask_price`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)) AND (ifNull(match(raw.`ask_quantity`, '^([0-9]{1,26}(\\.[0-9]{0,12}0*)?|\\.[0-9]{1,12}0*)$'), true)))
COMMENT 'wsadapter 003abcc38878a23e';

CREATE MATERIALIZED VIEW IF NOT EXISTS `market`.`open_interest_mv` TO `market`.`open_interest`
AS SELECT
    raw.`epoch` AS `epoch`,
    raw.`position` AS `position`,
    raw.`exchange` AS `exchange`,
    raw.`symbol` AS `symbol`,
    fromUnixTimestamp64Nano(raw.`event_time_ns`, 'UTC') AS `event_time`,
    fromUnixTimestamp64Nano(raw.`transaction_time_ns`, 'UTC') AS `transaction_time`,
    fromUnixTimestamp64Nano(raw.`receive_time_ns`, 'UTC') AS `receive_time`,
    transform(raw.`source`, [1, 2, 3], ['WEBSOCKET', 'REST', 'ARCHIVE'], '') AS `source`,
    raw.`connection` AS `connection`,
    fromUnixTimestamp64Nano(raw.`last_gap_ns`, 'UTC') AS `last_gap`,
    toDecimal128(raw.`open_interest`, 18) AS `open_interest`,
    toDecimal128(raw.`open_interest_value`, 18) AS `open_interest_value`,
    raw.`ordinal` AS `ordinal`,
    fromUnixTimestamp64Nano(coalesce(raw.`transaction_time_ns`, raw.`event_time_ns`, raw.`receive_time_ns`), 'UTC') AS `time`,
    toUnixTimestamp64Nano(receive_time) AS `version`
FROM `market`.`open_interest_in` AS raw
WHERE (raw.`source` IN (1, 2, 3))
    AND (match(raw.`open_interest`, '^([0-9]{1,20}(\\.[0-9]{0,18}0*)?|\\.[0-9]{1,18}0*)$'))
    AND (ifNull(match(raw.`open_interest_value`, '^([0-9]{1,20}(\\.[0-9]{0,18}0*)?|\\.[0-9]{1,18}0*)$'), true))
COMMENT 'wsadapter d31c1d3f4d4da5f4';

CREATE MATERIALIZED VIEW IF NOT EXISTS `market`.`open_interest_rejected_mv` TO `market`.`rejected`
AS SELECT
    fromUnixTimestamp64Nano(coalesce(raw.`transaction_time_ns`, raw.`event_time_ns`, raw.`receive_time_ns`), 'UTC') AS `time`,
    'open_interest' AS `stream`,
    raw.`exchange` AS `exchange`,
    raw.`symbol` AS `symbol`,
    raw.`connection` AS `connection`,
    raw.`epoch` AS `epoch`,
    raw.`position` AS `position`,
    fromUnixTimestamp64Nano(raw.`receive_time_ns`, 'UTC') AS `receive_time`,
    multiIf(
        NOT (raw.`source` IN (1, 2, 3)), concat('source: cannot be kept exactly: ', substring(ifNull(toString(raw.`source`), ''), 1, 100)),
        NOT (match(raw.`open_interest`, '^([0-9]{1,20}(\\.[0-9]{0,18}0*)?|\\.[0-9]{1,18}0*)$')), concat('open_interest: cannot be kept exactly: ', substring(ifNull(toString(raw.`open_interest`), ''), 1, 100)),
        NOT (ifNull(match(raw.`open_interest_value`, '^([0-9]{1,20}(\\.[0-9]{0,18}0*)?|\\.[0-9]{1,18}0*)$'), true)), concat('open_interest_value: cannot be kept exactly: ', substring(ifNull(toString(raw.`open_interest_value`), ''), 1, 100)),
        '') AS `reason`,
    toJSONString(CAST(tuple(raw.`epoch`, raw.`position`, raw.`exchange`, raw.`symbol`, raw.`event_time_ns`, raw.`transaction_time_ns`, raw.`receive_time_ns`, raw.`source`, raw.`connection`, raw.`last_gap_ns`, raw.`open_interest`, raw.`open_interest_value`, raw.`ordinal`), 'Tuple(epoch Nullable(UInt64), position Nullable(UInt64), exchange String, symbol String, event_time_ns Nullable(Int64), transaction_time_ns Nullable(Int64), receive_time_ns Int64, source Int32, connection String, last_gap_ns Nullable(Int64), open_interest String, open_interest_value Nullable(String), ordinal Int32)')) AS `record`,
    getSetting('log_comment') AS `batch`
FROM `market`.`open_interest_in` AS raw
WHERE NOT ((raw.`source` IN (1, 2, 3)) AND (match(raw.`open_interest`, '^([0-9]{1,20}(\\.[0-9]{0,18}0*)?|\\.[0-9]{1,18}0*)$')) AND (ifNull(match(raw.`open_interest_value`, '^([0-9]{1,20}(\\.[0-9]{0,18}0*)?|\\.[0-9]{1,18}0*)$'), true)))
COMMENT 'wsadapter 9f4e7124cca729d1';

CREATE MATERIALIZED VIEW IF NOT EXISTS `market`.`gap_mv` TO `market`.`gap`
AS SELECT
    raw.`epoch` AS `epoch`,
    raw.`position` AS `position`,
    raw.`exchange` AS `exchange`,
    raw.`symbol` AS `symbol`,
    fromUnixTimestamp64Nano(raw.`event_time_ns`, 'UTC') AS `event_time`,
    fromUnixTimestamp64Nano(raw.`transaction_time_ns`, 'UTC') AS `transaction_time`,
    fromUnixTimestamp64Nano(raw.`receive_time_ns`, 'UTC') AS `receive_time`,
    transform(raw.`source`, [1, 2, 3], ['WEBSOCKET', 'REST', 'ARCHIVE'], '') AS `source`,
    raw.`connection` AS `connection`,
    fromUnixTimestamp64Nano(raw.`last_gap_ns`, 'UTC') AS `last_gap`,
    raw.`gap_id` AS `gap_id`,
    toUInt64(raw.`version`) AS `version`,
    raw.`stream` AS `stream`,
    raw.`interval` AS `interval`,
    raw.`cause` AS `cause`,
    fromUnixTimestamp64Nano(raw.`started_ns`, 'UTC') AS `started`,
    fromUnixTimestamp64Nano(raw.`ended_ns`, 'UTC') AS `ended`,
    raw.`first_missing` AS `first_missing`,
    raw.`last_missing` AS `last_missing`,
    raw.`missing_count` AS `missing_count`,
    raw.`repair_state` AS `repair_state`,
    fromUnixTimestamp64Nano(coalesce(raw.`transaction_time_ns`, raw.`event_time_ns`, raw.`receive_time_ns`), 'UTC') AS `time`
FROM `market`.`gap_in` AS raw
WHERE (raw.`source` IN (1, 2, 3))
COMMENT 'wsadapter ba770edcbf91da84';

CREATE MATERIALIZED VIEW IF NOT EXISTS `market`.`gap_rejected_mv` TO `market`.`rejected`
AS SELECT
    fromUnixTimestamp64Nano(coalesce(raw.`transaction_time_ns`, raw.`event_time_ns`, raw.`receive_time_ns`), 'UTC') AS `time`,
    'gap' AS `stream`,
    raw.`exchange` AS `exchange`,
    raw.`symbol` AS `symbol`,
    raw.`connection` AS `connection`,
    raw.`epoch` AS `epoch`,
    raw.`position` AS `position`,
    fromUnixTimestamp64Nano(raw.`receive_time_ns`, 'UTC') AS `receive_time`,
    multiIf(
        NOT (raw.`source` IN (1, 2, 3)), concat('source: cannot be kept exactly: ', substring(ifNull(toString(raw.`source`), ''), 1, 100)),
        '') AS `reason`,
    toJSONString(CAST(tuple(raw.`epoch`, raw.`position`, raw.`exchange`, raw.`symbol`, raw.`event_time_ns`, raw.`transaction_time_ns`, raw.`receive_time_ns`, raw.`source`, raw.`connection`, raw.`last_gap_ns`, raw.`gap_id`, raw.`version`, raw.`stream`, raw.`interval`, raw.`cause`, raw.`started_ns`, raw.`ended_ns`, raw.`first_missing`, raw.`last_missing`, raw.`missing_count`, raw.`repair_state`), 'Tuple(epoch Nullable(UInt64), position Nullable(UInt64), exchange String, symbol String, event_time_ns Nullable(Int64), transaction_time_ns Nullable(Int64), receive_time_ns Int64, source Int32, connection String, last_gap_ns Nullable(Int64), gap_id String, version Int64, stream String, interval String, cause String, started_ns Int64, ended_ns Nullable(Int64), first_missing Nullable(Int64), last_missing Nullable(Int64), missing_count Nullable(Int64), repair_state String)')) AS `record`,
    getSetting('log_comment') AS `batch`
FROM `market`.`gap_in` AS raw
WHERE NOT ((raw.`source` IN (1, 2, 3)))
COMMENT 'wsadapter 6fcfa9dda4f72e22';

CREATE VIEW IF NOT EXISTS `market`.`trade_base`
AS SELECT
    t.`epoch` AS `epoch`,
    t.`position` AS `position`,
    t.`exchange` AS `exchange`,
    t.`symbol` AS `symbol`,
    t.`event_time` AS `event_time`,
    t.`transaction_time` AS `transaction_time`,
    t.`receive_time` AS `receive_time`,
    t.`source` AS `source`,
    t.`connection` AS `connection`,
    t.`last_gap` AS `last_gap`,
    t.`trade_id` AS `trade_id`,
    t.`trade_number` AS `trade_number`,
    t.`price` AS `price`,
    t.`quantity` AS `quantity`,
    t.`buyer_is_maker` AS `buyer_is_maker`,
    t.`first_trade_id` AS `first_trade_id`,
    t.`last_trade_id` AS `last_trade_id`,
    t.`aggregated` AS `aggregated`,
    t.`time` AS `time`,
    i.canonical AS `canonical`,
    i.base_currency AS `base_currency`,
    toDecimal256(t.`quantity`, 12) * i.factor AS `base_quantity`
FROM `market`.`trade` AS t
LEFT JOIN (SELECT exchange, symbol, canonical, base_currency, open_interest_sides, if(base_currency != '' AND (kind = 'spot' OR contract_currency = base_currency), toDecimal256(contract_size, 12) * ifNull(toDecimal256(multiplier, 12), toDecimal256(1, 12)), NULL) AS factor FROM `market`.`instrument` FINAL) AS i ON t.exchange = i.exchange AND t.symbol = i.symbol
COMMENT 'wsadapter bd5271968944ddd8: table trade with quantities in units of base_currency (base_...), for spot and linear contracts; NULL for others and where table instrument says nothing. Like the table itself it may have rows that are not merged';

CREATE VIEW IF NOT EXISTS `market`.`depth_base`
AS SELECT
    t.`epoch` AS `epoch`,
    t.`position` AS `position`,
    t.`exchange` AS `exchange`,
    t.`symbol` AS `symbol`,
    t.`event_time` AS `event_time`,
    t.`transaction_time` AS `transaction_time`,
    t.`receive_time` AS `receive_time`,
    t.`source` AS `source`,
    t.`connection` AS `connection`,
    t.`last_gap` AS `last_gap`,
    t.`update_type` AS `update_type`,
    t.`level_limit` AS `level_limit`,
    t.`first_update_id` AS `first_update_id`,
    t.`last_update_id` AS `last_update_id`,
    t.`previous_update_id` AS `previous_update_id`,
    t.`bid_price` AS `bid_price`,
    t.`bid_quantity` AS `bid_quantity`,
    t.`ask_price` AS `ask_price`,
    t.`ask_quantity` AS `ask_quantity`,
    t.`ordinal` AS `ordinal`,
    t.`time` AS `time`,
    i.canonical AS `canonical`,
    i.base_currency AS `base_currency`,
    arrayMap(x -> toDecimal256(x, 12) * i.factor, t.`bid_quantity`) AS `base_bid_quantity`,
    arrayMap(x -> toDecimal256(x, 12) * i.factor, t.`ask_quantity`) AS `base_ask_quantity`
FROM `market`.`depth` AS t
LEFT JOIN (SELECT exchange, symbol, canonical, base_currency, open_interest_sides, if(base_currency != '' AND (kind = 'spot' OR contract_currency = base_currency), toDecimal256(contract_size, 12) * ifNull(toDecimal256(multiplier, 12), toDecimal256(1, 12)), NULL) AS factor FROM `market`.`instrument` FINAL) AS i ON t.exchange = i.exchange AND t.symbol = i.symbol
COMMENT 'wsadapter 5b80f3d831c95e16: table depth with quantities in units of base_currency (base_...), for spot and linear contracts; NULL for others and where table instrument says nothing. Like the table itself it may have rows that are not merged';

CREATE VIEW IF NOT EXISTS `market`.`book_ticker_base`
AS SELECT
    t.`epoch` AS `epoch`,
    t.`position` AS `position`,
    t.`exchange` AS `exchange`,
    t.`symbol` AS `symbol`,
    t.`event_time` AS `event_time`,
    t.`transaction_time` AS `transaction_time`,
    t.`receive_time` AS `receive_time`,
    t.`source` AS `source`,
    t.`connection` AS `connection`,
    t.`last_gap` AS `last_gap`,
    t.`update_id` AS `update_id`,
    t.`bid_price` AS `bid_price`,
    t.`bid_quantity` AS `bid_quantity`,
    t.`ask_price` AS `ask_price`,
    t.`ask_quantity` AS `ask_quantity`,
    t.`ordinal` AS `ordinal`,
    t.`time` AS `time`,
    i.canonical AS `canonical`,
    i.base_currency AS `base_currency`,
    toDecimal256(t.`bid_quantity`, 12) * i.factor AS `base_bid_quantity`,
    toDecimal256(t.`ask_quantity`, 12) * i.factor AS `base_ask_quantity`
FROM `market`.`book_ticker` AS t
LEFT JOIN (SELECT exchange, symbol, canonical, base_currency, open_interest_sides, if(base_currency != '' AND (kind = 'spot' OR contract_currency = base_currency), toDecimal256(contract_size, 12) * ifNull(toDecimal256(multiplier, 12), toDecimal256(1, 12)), NULL) AS factor FROM `market`.`instrument` FINAL) AS i ON t.exchange = i.exchange AND t.symbol = i.symbol
COMMENT 'wsadapter a50fd296757f92e8: table book_ticker with quantities in units of base_currency (base_...), for spot and linear contracts; NULL for others and where table instrument says nothing. Like the table itself it may have rows that are not merged';

CREATE VIEW IF NOT EXISTS `market`.`ticker_base`
AS SELECT
    t.`epoch` AS `epoch`,
    t.`position` AS `position`,
    t.`exchange` AS `exchange`,
    t.`symbol` AS `symbol`,
    t.`event_time` AS `event_time`,
    t.`transaction_time` AS `transaction_time`,
    t.`receive_time` AS `receive_time`,
    t.`source` AS `source`,
    t.`connection` AS `connection`,
    t.`last_gap` AS `last_gap`,
    t.`price_change` AS `price_change`,
    t.`price_change_percent` AS `price_change_percent`,
    t.`weighted_average_price` AS `weighted_average_price`,
    t.`last_price` AS `last_price`,
    t.`last_quantity` AS `last_quantity`,
    t.`open` AS `open`,
    t.`high` AS `high`,
    t.`low` AS `low`,
    t.`volume` AS `volume`,
    t.`quote_volume` AS `quote_volume`,
    t.`open_time` AS `open_time`,
    t.`close_time` AS `close_time`,
    t.`first_trade_id` AS `first_trade_id`,
    t.`last_trade_id` AS `last_trade_id`,
    t.`trade_count` AS `trade_count`,
    t.`ordinal` AS `ordinal`,
    t.`time` AS `time`,
    i.canonical AS `canonical`,
    i.base_currency AS `base_currency`,
    toDecimal256(t.`last_quantity`, 12) * i.factor AS `base_last_quantity`,
    toDecimal256(t.`volume`, 12) * i.factor AS `base_volume`
FROM `market`.`ticker` AS t
LEFT JOIN (SELECT exchange, symbol, canonical, base_currency, open_interest_sides, if(base_currency != '' AND (kind = 'spot' OR contract_currency = base_currency), toDecimal256(contract_size, 12) * ifNull(toDecimal256(multiplier, 12), toDecimal256(1, 12)), NULL) AS factor FROM `market`.`instrument` FINAL) AS i ON t.exchange = i.exchange AND t.symbol = i.symbol
COMMENT 'wsadapter 24b697f025f0c2eb: table ticker with quantities in units of base_currency (base_...), for spot and linear contracts; NULL for others and where table instrument says nothing. Like the table itself it may have rows that are not merged';

CREATE VIEW IF NOT EXISTS `market`.`kline_base`
AS SELECT
    t.`epoch` AS `epoch`,
    t.`position` AS `position`,
    t.`exchange` AS `exchange`,
    t.`symbol` AS `symbol`,
    t.`event_time` AS `event_time`,
    t.`transaction_time` AS `transaction_time`,
    t.`receive_time` AS `receive_time`,
    t.`source` AS `source`,
    t.`connection` AS `connection`,
    t.`last_gap` AS `last_gap`,
    t.`interval` AS `interval`,
    t.`open_time` AS `open_time`,
    t.`close_time` AS `close_time`,
    t.`open` AS `open`,
    t.`high` AS `high`,
    t.`low` AS `low`,
    t.`close` AS `close`,
    t.`volume` AS `volume`,
    t.`quote_volume` AS `quote_volume`,
    t.`trade_count` AS `trade_count`,
    t.`taker_buy_volume` AS `taker_buy_volume`,
    t.`taker_buy_quote_volume` AS `taker_buy_quote_volume`,
    t.`closed` AS `closed`,
    t.`first_trade_id` AS `first_trade_id`,
    t.`last_trade_id` AS `last_trade_id`,
    t.`time` AS `time`,
    i.canonical AS `canonical`,
    i.base_currency AS `base_currency`,
    toDecimal256(t.`volume`, 12) * i.factor AS `base_volume`,
    toDecimal256(t.`taker_buy_volume`, 12) * i.factor AS `base_taker_buy_volume`
FROM `market`.`kline` AS t
LEFT JOIN (SELECT exchange, symbol, canonical, base_currency, open_interest_sides, if(base_currency != '' AND (kind = 'spot' OR contract_currency = base_currency), toDecimal256(contract_size, 12) * ifNull(toDecimal256(multiplier, 12), toDecimal256(1, 12)), NULL) AS factor FROM `market`.`instrument` FINAL) AS i ON t.exchange = i.exchange AND t.symbol = i.symbol
COMMENT 'wsadapter 938e97df47d05332: table kline with quantities in units of base_currency (base_...), for spot and linear contracts; NULL for others and where table instrument says nothing. Like the table itself it may have rows that are not merged';

CREATE VIEW IF NOT EXISTS `market`.`open_interest_base`
AS SELECT
    t.`epoch` AS `epoch`,
    t.`position` AS `position`,
    t.`exchange` AS `exchange`,
    t.`symbol` AS `symbol`,
    t.`event_time` AS `event_time`,
    t.`transaction_time` AS `transaction_time`,
    t.`receive_time` AS `receive_time`,
    t.`source` AS `source`,
    t.`connection` AS `connection`,
    t.`last_gap` AS `last_gap`,
    t.`open_interest` AS `open_interest`,
    t.`open_interest_value` AS `open_interest_value`,
    t.`ordinal` AS `ordinal`,
    t.`time` AS `time`,
    i.canonical AS `canonical`,
    i.base_currency AS `base_currency`,
    toDecimal256(t.`open_interest`, 18) * i.factor AS `base_open_interest`,
    i.open_interest_sides AS `open_interest_sides`,
    base_open_interest / i.open_interest_sides AS `base_one_sided`
FROM `market`.`open_interest` AS t
LEFT JOIN (SELECT exchange, symbol, canonical, base_currency, open_interest_sides, if(base_currency != '' AND (kind = 'spot' OR contract_currency = base_currency), toDecimal256(contract_size, 12) * ifNull(toDecimal256(multiplier, 12), toDecimal256(1, 12)), NULL) AS factor FROM `market`.`instrument` FINAL) AS i ON t.exchange = i.exchange AND t.symbol = i.symbol
COMMENT 'wsadapter 7fb946abdba966cf: table open_interest with quantities in units of base_currency (base_...), for spot and linear contracts; NULL for others and where table instrument says nothing. Like the table itself it may have rows that are not merged';

