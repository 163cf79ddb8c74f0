/* The events of an element: whether it makes one, whether that is the next of its series, which ordinal it has.
 *
 * A book that a checksum proves is changed at once; of all else what would change is in `Position`, until the whole
 * message is known to be usual.
 */
#ifndef WSADAPTER_SCANNER_EVENTS_H
#define WSADAPTER_SCANNER_EVENTS_H
#include "book.h"
#include "scanner_values.h"

static int
position_of(Scanner *self, PyObject *series, Position *position)
{
    PyObject *next = *slot_of(series, self->next);
    int overflow = 1;
    if (next == NULL || !PyLong_Check(next))
        return -1;
    position->next = PyLong_AsLongLongAndOverflow(next, &overflow);
    position->known = 1;
    return overflow || position->next >= LLONG_MAX ? -1 : 0;
}

static int
change_side(PyObject *side, PyObject *prices, PyObject *quantities, Py_ssize_t levels)
{
    if (!Py_IS_TYPE(side, &BookSide_Type) || !Py_IS_TYPE(prices, &Levels_Type) || !Py_IS_TYPE(quantities, &Levels_Type))
        return -1;
    const Levels *price = (const Levels *)prices, *quantity = (const Levels *)quantities;
    LevelsCursor at = levels_begin(PyBytes_AS_STRING(price->side), 0);
    LevelsCursor of = levels_begin(PyBytes_AS_STRING(quantity->side), 1);
    for (Py_ssize_t i = 0; i < price->count; i++) {
        Py_ssize_t length, octets;
        const char *text = levels_next(&at, &length), *amount = levels_next(&of, &octets);
        if (book_change(side, text, length, amount, octets) < 0)
            return -1;
    }
    book_cut(side, levels);
    return 0;
}

enum { MOST_LEVELS = 5000 }; /* as in wsadapter/exchanges/books.py: a book of more is parted */

/* Whether a change of a book that has begun leads to its checksum. One that does not has changed the book all the same:
 * who looks at it again changes it into the same. */
static int
proves(Scanner *self, const Emit *emit, PyObject *series, const Making *making, PyObject *const *values)
{
    PyObject *book = PyDict_GetItemWithError(self->states, making->stream->key), *const *columns = values + emit->columns;
    if (book == NULL || Py_TYPE(book) != self->book || *slot_of(series, self->waiting) != Py_False ||
        values[emit->kind] != emit->delta || self->elements != 1)
        return 0;
    if (emit->best == 0)
        return Py_IS_TYPE(columns[0], &Levels_Type) && ((const Levels *)columns[0])->count <= MOST_LEVELS &&
               Py_IS_TYPE(columns[2], &Levels_Type) && ((const Levels *)columns[2])->count <= MOST_LEVELS;
    const Value *checksum = value_at(self, making, emit->checksum);
    PyObject *bids = *slot_of(book, self->bids), *asks = *slot_of(book, self->asks);
    Py_ssize_t levels = PyLong_AsSsize_t(*slot_of(book, self->levels));
    if (levels < 0 || (checksum->kind != WHOLE_VALUE && checksum->kind != NULL_VALUE) ||
        change_side(bids, columns[0], columns[1], levels) < 0 || change_side(asks, columns[2], columns[3], levels) < 0)
        return 0;
    return checksum->kind == NULL_VALUE ||
           checksum->number == (long long)book_digits_crc(bids, emit->best, book_digits_crc(asks, emit->best, 0));
}

/* What an event has under a number of its fields; NULL: nothing, or what is no object yet. */
static inline PyObject *
held_object(const FieldValue *value)
{
    return value->kind == BORROWED || value->kind == OWNED ? value->object : NULL;
}

/* Whether it is neither absent nor 0. */
static int
says_something(const FieldValue *value)
{
    PyObject *object = held_object(value);
    return object != NULL ? PyObject_IsTrue(object) != 0
                          : value->kind == NUMERAL ? value->number != 0 : value->kind != ABSENT;
}

/* Whether the event is the next one of its series; moves `position`. `values`: as objects, of rules that need some. */
static inline int
goes_on(Scanner *self, const Emit *emit, PyObject *series, const Making *making, const FieldValue *fields,
        PyObject *const *values, Position *position)
{
    if (emit->rule == ANY)
        return 1;
    if (emit->rule == OPEN_CANDLE) {
        PyObject *grid = *slot_of(series, self->grid);
        return values[emit->closed] == Py_False && grid != NULL && PyDict_Check(grid) &&
               PyDict_Contains(grid, values[emit->interval]) == 1;
    }
    if (emit->rule == CHECKED)
        return proves(self, emit, series, making, values);
    if (emit->limit >= 0 && says_something(&fields[emit->limit])) {
        /* no part of the chain: which state of the book they are is kept for a hand-over to another socket */
        const Value *top = value_at(self, making, emit->number);
        if (emit->rule != CHAINED || top->kind != WHOLE_VALUE)
            return 0;
        position->next = top->number;
        position->known = position->moved = position->is_top = 1;
        return 1;
    }
    if (!position->known && position_of(self, series, position) < 0)
        return 0;
    const Value *number = value_at(self, making, emit->number);
    if (number->kind != WHOLE_VALUE)
        return 0;
    long long value = number->number, before = value - 1;
    if (emit->previous >= 0) {
        const Value *previous = value_at(self, making, emit->previous);
        if (previous->kind != WHOLE_VALUE)
            return 0;
        before = previous->number - emit->back;
    }
    if (emit->counted >= 0) {
        const Value *counted = value_at(self, making, emit->counted);
        if (counted->kind != WHOLE_VALUE)
            return 0;
        before = value - counted->number;
    }
    switch (emit->rule) {
    case RISING:
        if (value <= position->next)
            return 0;
        position->next = value;
        break;
    case NEXT:
    case COUNTED:
        if (before + 1 != position->next)
            return 0;
        position->next = value + 1;
        break;
    case RENEWED:
        if (*slot_of(series, self->waiting) != Py_False || held_object(&fields[emit->kind]) != emit->delta ||
            position->next < 0 || value == before)
            return 0;
        /* fall through */
    case CHAINED:
        if (before != position->next)
            return 0;
        position->next = value;
    }
    position->moved = 1;
    return 1;
}

/* Whether the candle is the one that was told of last; the next one would close it. */
static int
is_latest(Scanner *self, const Emit *emit, const Making *making, PyObject *const *values)
{
    PyObject *before = PyDict_GetItemWithError(self->states, making->stream->key);
    if (before == NULL || Py_TYPE(before) != self->candle || *slot_of(before, self->opened) == NULL)
        return 0;
    return PyObject_RichCompareBool(*slot_of(before, self->opened), values[emit->opened], Py_EQ) == 1;
}

static PyObject *
make_event(Scanner *self, const Emit *emit, PyObject *series, Making *making, Position *position)
{
    FieldValue fields[MAX_STEPS];
    PyObject *values[MAX_STEPS + 1], *event = NULL;
    int made = 0;
    self->scratched = 0;
    if ((making->given[2] = *slot_of(series, self->gap_ns)) == NULL)
        return NULL;
    while (made < emit->count && make_value(self, making, &emit->steps[made], &fields[made]) == 0 &&
           (values[made + 1] = object_of(self, making, &fields[made])) != NULL)
        made++;
    if (made == emit->count && goes_on(self, emit, series, making, fields, values + 1, position) &&
        (emit->opened < 0 || is_latest(self, emit, making, values + 1)))
        event = PyObject_Vectorcall((PyObject *)emit->event, values + 1, (size_t)made | PY_VECTORCALL_ARGUMENTS_OFFSET,
                                    NULL);
    for (int i = 1; i <= made; i++)
        Py_DECREF(values[i]);
    if (emit->opened >= 0)
        position->candle = event;
    return event;
}

static void
release_columns(Making *making)
{
    for (int side = 0; side < 2; side++)
        for (int which = 0; which < 2; which++)
            Py_CLEAR(making->columns[side][which]);
    making->sides[0] = making->sides[1] = -1;
}

static int
says(const Value *value, int is_raw)
{
    switch (value->kind) {
    case NO_VALUE:
    case NULL_VALUE:
    case EMPTY_VALUE:
        return 0;
    case STRING_VALUE:
        return is_raw || value->length;
    case WHOLE_VALUE:
        return is_raw || value->number;
    default:
        return is_raw || value->kind != FALSE_VALUE;
    }
}

/* 1 = the element is this event's, 0 = it is none, -1 = it is refused. */
static int
is_wanted(const Emit *emit, const Value *row, int slots)
{
    if (emit->refuse >= 0 && is_text(&row[emit->refuse], emit->refused))
        return -1;
    if (emit->when == 1 || emit->when == 4)
        return is_text(&row[emit->word], emit->text) == (emit->when == 1);
    if (emit->when == 2) {
        const Value *value = &row[emit->word];
        Py_ssize_t length = PyBytes_GET_SIZE(emit->text);
        for (Py_ssize_t i = 0; value->kind == STRING_VALUE && i + length <= value->length; i++)
            if (memcmp(value->at + i, PyBytes_AS_STRING(emit->text), length) == 0)
                return 1;
        return value->kind == STRING_VALUE ? 0 : -1;
    }
    if (emit->when == 3) {
        for (int slot = 0; emit->offers >> slot && slot < slots; slot++)
            if (emit->offers >> slot & 1 && row[slot].kind == STRING_VALUE)
                return -1; /* nobody's spelling */
            else if (emit->offers >> slot & 1 && says(&row[slot], 1))
                for (Py_ssize_t i = 0; i < row[slot].length; i++)
                    if (row[slot].at[i] != '0' && row[slot].at[i] != '.')
                        return 1;
        return 0;
    }
    return 1;
}

/* A value of `published` as the session keeps it: octets of what is as it came, else the value. */
static PyObject *
kept_value(const Making *making, const Value *value, int is_raw)
{
    if (!is_raw)
        return same_object(making, value);
    int quoted = value->kind == STRING_VALUE;
    return PyBytes_FromStringAndSize(value->at - quoted, value->length + 2 * quoted);
}

/* The usual case of a value that is as it was, without making it. */
static int
is_as_kept(PyObject *kept, const Value *value)
{
    if (value->kind == STRING_VALUE && PyUnicode_CheckExact(kept) && PyUnicode_IS_COMPACT_ASCII(kept))
        return PyUnicode_GET_LENGTH(kept) == value->length &&
               memcmp(PyUnicode_1BYTE_DATA(kept), value->at, value->length) == 0;
    if (PyBytes_CheckExact(kept)) {
        int quoted = value->kind == STRING_VALUE;
        return PyBytes_GET_SIZE(kept) == value->length + 2 * quoted &&
               memcmp(PyBytes_AS_STRING(kept), value->at - quoted, value->length + 2 * quoted) == 0;
    }
    int overflow;
    return value->kind == WHOLE_VALUE && PyLong_CheckExact(kept) &&
           PyLong_AsLongLongAndOverflow(kept, &overflow) == value->number && !overflow;
}

/* 1 = they have changed, 0 = they have not, or do not all say something; -1 = not usual. */
static int
has_changed(const Emit *emit, const Making *making, const Value *row, Position *position)
{
    PyObject *before = position->once != NULL
                           ? position->once
                           : PyDict_GetItemWithError(emit->published, making->stream->symbol_object);
    int same_values = before != NULL && PyTuple_CheckExact(before) && PyTuple_GET_SIZE(before) == emit->once_count;
    for (int i = 0; i < emit->once_count; i++) {
        const Value *value = &row[emit->once[i]];
        if (!says(value, (int)(emit->raw >> emit->once[i] & 1)))
            return value->kind == NO_VALUE ? -1 : 0;
        same_values = same_values && is_as_kept(PyTuple_GET_ITEM(before, i), value);
    }
    PyObject *now = same_values ? NULL : PyTuple_New(emit->once_count);
    for (int i = 0; now != NULL && i < emit->once_count; i++) {
        PyObject *value = kept_value(making, &row[emit->once[i]], (int)(emit->raw >> emit->once[i] & 1));
        if (value == NULL)
            Py_CLEAR(now);
        else
            PyTuple_SET_ITEM(now, i, value);
    }
    if (now == NULL)
        return same_values ? 0 : -1;
    same_values = before == NULL ? 0 : PyObject_RichCompareBool(before, now, Py_EQ);
    if (same_values) {
        Py_DECREF(now);
        return same_values < 0 ? -1 : 0;
    }
    Py_XSETREF(position->once, now);
    return 1;
}

/* Whether the fields that the event needs are there, not null and not empty. */
static int
says_enough(const Emit *emit, const Value *row, int slots)
{
    for (int slot = 0; emit->needs >> slot && slot < slots; slot++)
        if (emit->needs >> slot & 1 &&
            (row[slot].kind <= EMPTY_VALUE || (row[slot].kind == STRING_VALUE && !row[slot].length && !(emit->raw >> slot & 1))))
            return 0;
    return 1;
}

/* Keeps so many. wsadapter/oldest.py: one at a time would pass all places of those that went before. */
static int
forget_oldest(PyObject *known, Py_ssize_t count)
{
    Py_ssize_t gone = PyDict_GET_SIZE(known) - count, at = 0;
    PyObject *oldest = PyList_New(gone), *key, *unused;
    int done = oldest == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; done == 0 && i < gone && PyDict_Next(known, &at, &key, &unused); i++)
        PyList_SET_ITEM(oldest, i, Py_NewRef(key));
    for (Py_ssize_t i = 0; done == 0 && i < gone; i++)
        done = PyDict_DelItem(known, PyList_GET_ITEM(oldest, i));
    Py_XDECREF(oldest);
    return done;
}

enum { REMEMBERED = 128 }; /* as in wsadapter/exchanges/ordinals.py */

/* Its index among the events of its series and time: the usual case of Ordinals. */
static int
count_event(const Emit *emit, PyObject *event, PyObject *key, PyObject *received)
{
    PyObject *at = *slot_of(event, emit->transaction_time), *times = PyDict_GetItemWithError(emit->times, key), *before;
    if (at == Py_None && (at = *slot_of(event, emit->event_time)) == Py_None)
        at = received;
    if (times != NULL && PyDict_CheckExact(times) && PyDict_GET_SIZE(times) < REMEMBERED &&
        PyLong_CheckExact(at) &&
        (emit->expected == Py_None || *slot_of(event, emit->update_type) == emit->expected)) {
        before = PyDict_GetItemWithError(times, at);
        long long next = before == NULL ? 0 : PyLong_AsLongLong(before) + 1;
        PyObject *ordinal = PyErr_Occurred() ? NULL : PyLong_FromLongLong(next);
        int done = ordinal == NULL ? -1 : PyDict_SetItem(times, at, ordinal);
        if (done == 0 && next)
            Py_XSETREF(*slot_of(event, emit->ordinal), Py_NewRef(ordinal));
        Py_XDECREF(ordinal);
        return done;
    }
    PyObject *done = PyErr_Occurred() ? NULL : PyObject_CallOneArg(emit->count_by, event);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static int
count_events(const Stream *stream, PyObject *items, PyObject *received)
{
    const Table *table = stream->table;
    for (int each = 0; each < table->emits; each++) {
        const Emit *emit = &table->emit[each];
        for (Py_ssize_t i = 0; emit->count_by != NULL && i < PyList_GET_SIZE(items); i++) {
            PyObject *event = PyList_GET_ITEM(items, i);
            if (Py_TYPE(event) == emit->event && count_event(emit, event, stream->counted[each], received) < 0)
                return -1;
        }
    }
    return 0;
}
#endif
