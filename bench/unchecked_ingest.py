"""The ingest role without the decimal checks: what they cost is the difference to
`wsadapter.roles.ingest`.

Only a benchmark starts it. A book's levels are still checked: they are taken apart by the same walk.
"""

from wsadapter.events import Event
from wsadapter.exchanges import conversion
from wsadapter.exchanges.mapping import Op, Step
from wsadapter.supervision.child import run_child

if __name__ == "__main__":
    checked = (Op.DECIMAL, Op.DECIMAL_OR_NONE, Op.SIGNED_OR_NONE)
    plain = conversion.all_steps

    def unchecked(exchange: str, event: type[Event], fields: dict[str, str | Step]) -> dict[str, Step]:
        steps = plain(exchange, event, fields)
        return {n: Step(Op.OR_NONE, s.path) if s.op in checked else s for n, s in steps.items()}

    conversion.all_steps = unchecked
    from wsadapter.roles.ingest import __main__ as ingest  # the exchange's conversions are made when it is imported

    run_child(ingest.main)
