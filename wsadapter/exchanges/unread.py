"""Fields that venues are known to send and that nothing here reads, by exchange: what recorded and documented frames
have beyond the wire Structs (`wsadapter.exchanges.drift`). Data only; a field that turns up here has been looked at.
"""

from collections.abc import Mapping
from typing import Final

_BITGET: Final = (
    "L ask1Price ask1Size askPr askSz bid1Price bid1Size bidPr bidSz change24h changeUtc24h checksum "
    "deliveryPrice deliveryStartTime deliveryStatus deliveryTime isRPI maxdepth pseq openUtc price24hPcnt "
    "symbolType"
)
_BYBIT: Final = (
    "BT L RPI basis basisRate basisRateYear cs curPreListingPhase deliveryFeeRate deliveryTime fundingCap "
    "fundingIntervalHour interval preOpenPrice preQty predictedDeliveryPrice prevPrice1h price24hPcnt s seq "
    "singleOpenInterest singleOpenInterestValue symbol tickDirection timestamp usdIndexPrice"
)
_FIELDS: Final[Mapping[str, str]] = {
    "binance": "nq ps",
    "binance_coinm": "ps",
    "binance_spot": "A B M a b e i s x",
    "bitget": _BITGET,
    "bitget_spot": _BITGET,
    "bybit": _BYBIT,
    "bybit_inverse": _BYBIT,
    "bybit_spot": _BYBIT,
    "coinbase": "candles type event_time maker_order_id sequence side taker_order_id volume_30d",
    "deribit":
        "ask_iv best_ask_amount best_ask_price best_bid_amount best_bid_price bid_iv combo_id combo_trade_id "
        "contracts delta funding_8h gamma greeks index_price instrument_name interest_rate interest_value iv "
        "jsonrpc legs mark_iv mark_price max_price method min_price rho settlement_price starbase_match_id "
        "starbase_timestamp state theta tick_direction underlying_index underlying_price vega volume_usd",
    "hyperliquid": "dayBaseVlm dayNtlVlm hash impactPxs midPx n premium prevDayPx users",
    "gate":
        "change_from create_time error funding_interval funding_offset funding_rate_indicative id is_internal l "
        "price_type quanto_base_rate time volume_24h_base volume_24h_btc volume_24h_settle volume_24h_usd",
    "kraken": "ord_type vwap",
    "kraken_futures":
        "dtm funding_rate funding_rate_prediction leverage maturityTime pair post_only premium "
        "relative_funding_rate_prediction suspended tag tickSize",
    "okx":
        "askPx askSz bidPx bidSz bkLoss ccy checksum formulaType id impactValue instFamily interestRate "
        "maxFundingRate method minFundingRate nextFundingRate nextFundingTime oiCcy posSide premium "
        "prevFundingTime seqId settFundingRate settState sodUtc0 sodUtc8 source uly",
}  # fmt: skip
FIELDS: Final[Mapping[str, frozenset[str]]] = {word: frozenset(names.split()) for word, names in _FIELDS.items()}
