"""Binance on the wire: one Struct per event type, fields named as the venue names them.

The docstring of each is the payload that it was written from. msgspec checks types, ranges of ids and times, and
lengths while it decodes; the mappings of `tables` and `futures` check decimals. Fields that are not named here are not
looked at: the venue adds some every few months. ``st`` is the family of a futures contract.
"""

from typing import Final, Literal

from msgspec import Raw, Struct

from wsadapter.exchanges.values import Id, IdOrNone, Text, Time

USD_M: Final = 1
COIN_M: Final = 2
"""``st`` of a contract; arrays of all markets hold both."""

Code = Literal["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"]

Optional = Text | None
"""Absent, null or empty: all three mean that the venue does not say."""


class AggTradeWire(Struct, tag="aggTrade", tag_field="e", gc=False):
    """{"e":"aggTrade","E":1626992742869,"s":"CTKUSDT","a":16599293,"p":"1.01100","q":"10","nq":"10","f":23961323,
    "l":23961323,"T":1626992742715,"m":false,"st":1}"""

    E: Time
    s: Text
    a: Id
    p: Text
    q: Text
    f: IdOrNone
    l: IdOrNone  # noqa: E741
    T: Time
    m: bool
    st: int = 0


class TradeWire(Struct, tag="trade", tag_field="e", gc=False):
    """{"e":"trade","E":1723161256322,"T":1723161256322,"s":"BTCUSDT","t":5266583935,"p":"61800.30","q":"0.006",
    "X":"MARKET","m":false}"""

    E: Time
    s: Text
    t: Id
    p: Text
    q: Text
    T: Time
    m: bool
    X: Optional = None
    st: int = 0


class BookTickerWire(Struct, tag="bookTicker", tag_field="e", gc=False):
    """{"e":"bookTicker","u":400900217,"s":"BNBUSDT","ps":"BNBUSDT","b":"25.35190000","B":"31.21000000",
    "a":"25.36520000","A":"40.66000000","T":1568014460891,"E":1568014460893,"st":1}"""

    u: Id
    s: Text
    b: Text
    B: Text
    a: Text
    A: Text
    T: Time
    E: Time
    st: int = 0


class DepthWire(Struct, tag="depthUpdate", tag_field="e", gc=False):
    """{"e":"depthUpdate","E":123456789,"T":123456788,"s":"BTCUSDT","ps":"BTCUSDT","st":1,"U":157,"u":160,"pu":149,
    "b":[["0.0024","10"]],"a":[["0.0026","100"]]}; the same for partial books and diffs: the stream name tells."""

    E: Time
    T: Time
    s: Text
    U: Id
    u: Id
    pu: IdOrNone
    b: Raw
    a: Raw
    st: int = 0


class CandleWire(Struct, gc=False):
    """The ``k`` of a kline frame."""

    t: Time
    T: Time
    i: Code
    f: IdOrNone
    L: IdOrNone
    o: Text
    c: Text
    h: Text
    l: Text  # noqa: E741
    v: Text
    n: Id
    x: bool
    q: Optional = None
    V: Optional = None
    Q: Optional = None


class KlineWire(Struct, tag="kline", tag_field="e", gc=False):
    """{"e":"kline","E":1638747660000,"s":"BTCUSDT","k":{"t":1638747660000,"T":1638747719999,"s":"BTCUSDT","i":"1m",
    "f":100,"L":200,"o":"0.0010","c":"0.0020","h":"0.0025","l":"0.0015","v":"1000","n":100,"x":false,"q":"1.0000",
    "V":"500","Q":"0.500","B":"123456"}}"""

    E: Time
    s: Text
    k: CandleWire
    st: int = 0


class TickerWire(Struct, tag="24hrTicker", tag_field="e", gc=False):
    """{"e":"24hrTicker","E":123456789,"s":"BTCUSDT","p":"-0.0015","P":"-250.00","w":"0.0018","c":"0.0025","Q":"10",
    "o":"0.0010","h":"0.0025","l":"0.0010","v":"10000","q":"18","O":0,"C":86400000,"F":0,"L":18150,"n":18151}"""

    E: Time
    s: Text
    c: Text
    p: Optional = None
    P: Optional = None
    w: Optional = None
    Q: Optional = None
    o: Optional = None
    h: Optional = None
    l: Optional = None  # noqa: E741
    v: Optional = None
    q: Optional = None
    O: Time | None = None  # noqa: E741
    C: Time | None = None
    F: IdOrNone = -1
    L: IdOrNone = -1
    n: Id | None = None
    st: int = 0


class MarkPriceWire(Struct, tag="markPriceUpdate", tag_field="e", gc=False):
    """{"e":"markPriceUpdate","E":1562305380000,"s":"BTCUSDT","p":"11794.15000000","ap":"11794.15","i":"11784.62659091",
    "P":"11784.25641265","r":"0.00038167","T":1562306400000,"st":1}; quarterly contracts: r "" or 0 and T 0."""

    E: Time
    s: Text
    p: Text
    i: Optional = None
    P: Optional = None
    r: Optional = None
    T: Time = 0
    st: int = 0


class OrderWire(Struct, gc=False):
    """The ``o`` of a forceOrder frame."""

    s: Text
    S: Literal["BUY", "SELL"]
    q: Text
    p: Text
    T: Time
    o: Optional = None
    ap: Optional = None
    X: Optional = None
    z: Optional = None


class ForceOrderWire(Struct, tag="forceOrder", tag_field="e", gc=False):
    """{"e":"forceOrder","E":1568014460893,"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.014","p":"9910",
    "ap":"9910","X":"FILLED","l":"0.014","z":"0.014","T":1568014460893}}"""

    E: Time
    o: OrderWire
    st: int = 0

    @property
    def s(self) -> str:
        return self.o.s


Wire = (
    AggTradeWire
    | TradeWire
    | BookTickerWire
    | DepthWire
    | KlineWire
    | TickerWire
    | MarkPriceWire
    | ForceOrderWire
)  # fmt: skip


class Frame(Struct, gc=False):
    """The combined envelope. A bare element fails here and takes the slow way."""

    data: Wire | list[Wire]
    stream: str = ""


class AnswerWire(Struct):
    """{"result":null,"id":1}, {"error":{"code":2,"msg":"Invalid request"},"id":1}, {"code":2,"msg":"..."}"""

    id: Raw = Raw()
    result: Raw = Raw()
    error: Raw = Raw()
    code: Raw = Raw()
    msg: Raw = Raw()


UNWANTED: Final = frozenset(
    (
        *("24hrMiniTicker", "contractInfo", "assetIndexUpdate", "compositeIndex", "continuous_kline", "EquityUpdate"),
        *(
            "CommodityUpdate",
            "KR_EquityUpdate",
            "IndexUpdate",
            "indexPriceUpdate",
            "indexPrice_kline",
            "markPrice_kline",
        ),
    )
)
"""Known types that hold nothing of our stream types: no events and no errors."""
SHUTDOWN: Final = "serverShutdown"
"""Spot announces with it that a server goes; futures do not say that they do, and may yet."""
