"""The fields of a book that are made of its sides, for a venue's mapping (`wsadapter.exchanges.mapping`)."""

from collections.abc import Callable, Mapping

from msgspec import Raw, Struct

from wsadapter.events.decimals import NotPlain, are_plain, plain_number
from wsadapter.exchanges.mapping import Direct, Op, Step, either
from wsadapter.exchanges.values import Words


class Spelling(Struct, frozen=True):
    """How a side of a book spells its levels: lists with price and quantity at these places, or objects with these
    names. ``places``: of a list, exactly so many; 0: any number. ``numbers``: as JSON numbers or texts of such, else
    plain decimals as text. ``side``: of a list with both sides, the field that says which, by one of two ``words``."""

    price: str | int
    quantity: str | int
    places: int
    numbers: bool
    side: str = ""
    words: tuple[str, str] = ("", "")


def book(bids: str, asks: str) -> dict[str, Step]:
    """The four columns of a book whose sides are ``[["61800.20","2.909"],...]``, `Raw` in the wire Struct."""
    columns = "bid_price", "bid_quantity", "ask_price", "ask_quantity"
    setup = f"columns = split_book(d.{bids}, d.{asks})"
    usual = Spelling(0, 1, 2, False)
    return {
        name: Step(
            Op.GIVEN, expression=f"columns[{i}]", setup=setup,
            direct=Direct(Op.COLUMN, (bids, asks)[i // 2], table=usual, place=i % 2),
        )
        for i, name in enumerate(columns)
    }  # fmt: skip


def levels(
    bids: str, asks: str, price: str | int, quantity: str | int, quantity_of: Callable[[Raw], str] = plain_number
) -> dict[str, Step]:
    """The four columns of a book whose levels are spelled in another way: lists of Structs with fields of these names,
    or of lists with these places; prices and quantities are `Raw` numbers. ``quantity_of``: reads more quantities than
    those that are plain, which the session is left with."""
    columns = "bid_price", "bid_quantity", "ask_price", "ask_quantity"
    sides = (bids, price), (bids, quantity), (asks, price), (asks, quantity)
    read = {name: f"one.{name}" if isinstance(name, str) else f"one[{name}]" for name in (price, quantity)}
    spelling = Spelling(price, quantity, 0, True)
    return {
        column: Step(
            Op.GIVEN, value=quantity_of if name == quantity else plain_number,
            expression=f"[{{value}}({read[name]}) for one in d.{side}]",
            direct=Direct(Op.COLUMN, side, table=spelling, place=int(name == quantity)),
        )
        for column, (side, name) in zip(columns, sides, strict=True)
    }  # fmt: skip


def text_levels(bids: str, asks: str, price: str | int, quantity: str | int) -> dict[str, Step]:
    """The same where prices and quantities are text, `str` in the wire Struct; those of a side are checked at once."""
    columns = "bid_price", "bid_quantity", "ask_price", "ask_quantity"
    sides = (bids, price), (bids, quantity), (asks, price), (asks, quantity)
    read = {name: f"one.{name}" if isinstance(name, str) else f"one[{name}]" for name in (price, quantity)}
    return {
        column: Step(
            Op.GIVEN, value=_all_plain, expression=f"{{value}}([{read[name]} for one in d.{side}])"
        )
        for column, (side, name) in zip(columns, sides, strict=True)
    }  # fmt: skip


def mixed_levels(path: str, side: str, words: tuple[str, str], price: str, quantity: str) -> dict[str, Step]:
    """The same where the levels of both sides are in one list, each with the word of its side: a bid's, an ask's. That
    there is no other word says the wire type."""
    spelling = Spelling(price, quantity, 0, False, side, words)
    return {
        f"{name}_{column}": Step(
            Op.GIVEN, value=_all_plain,
            expression=f"{{value}}([one.{field} for one in d.{path} if one.{side} == {word!r}])",
            direct=Direct(Op.COLUMN, f"{path}:{word}", table=spelling, place=int(field == quantity)),
        )
        for name, word in zip(("bid", "ask"), words, strict=True)
        for column, field in (("price", price), ("quantity", quantity))
    }  # fmt: skip


def _all_plain(texts: list[str]) -> list[str]:
    if texts and not are_plain(*texts):
        raise NotPlain("level")
    return texts


def top(bids: str, asks: str, price: str | int, quantity: str | int) -> dict[str, Step]:
    """The four fields of a best bid and ask, of sides as in `levels`; None where a side is empty."""
    sides = (bids, "bid_price", price), (bids, "bid_quantity", quantity), (asks, "ask_price", price), (
        asks, "ask_quantity", quantity,
    )  # fmt: skip
    read = {name: f".{name}" if isinstance(name, str) else f"[{name}]" for name in (price, quantity)}
    spelling = Spelling(price, quantity, 0, True)
    return {
        field: Step(
            Op.GIVEN, value=plain_number, expression=f"({{value}}(d.{side}[0]{read[name]}) if d.{side} else None)",
            direct=Direct(Op.TOP, side, table=spelling, place=int(name == quantity)),
        )
        for side, field, name in sides
    }  # fmt: skip


def level_or_levels(
    bids: str,
    asks: str,
    side: str,
    is_asks: Mapping[str, bool],
    price: str,
    quantity: str,
    quantity_of: Callable[[Raw], str] = plain_number,
) -> dict[str, Step]:
    """The four columns of a book that comes whole, as in `levels`, or as one level, whose fields are called alike:
    ``side`` is then not empty, and one of the words of ``is_asks``."""
    read = {"price": (price, plain_number), "quantity": (quantity, quantity_of)}
    return {
        name: either(side, "", step, _one_level(side, is_asks, name.startswith("ask"), *read[name.partition("_")[2]]))
        for name, step in levels(bids, asks, price, quantity, quantity_of).items()
    }


def _one_level(
    side: str, is_asks: Mapping[str, bool], wanted: bool, path: str, number_of: Callable[[Raw], str]
) -> Step:
    words = Words(is_asks)

    def one(word: str, number: Raw) -> list[str]:
        return [number_of(number)] if words[word] is wanted else []

    return Step(
        Op.GIVEN, value=one, expression=f"{{value}}(d.{side}, d.{path})",
        direct=Direct(Op.ONE, side, int(wanted), table=(is_asks, path)),
    )  # fmt: skip
