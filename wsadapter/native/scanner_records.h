/* Ring records of a message's events, with no event between: the bytes that wsadapter/events/records.py makes of what
 * scanner_events.h makes.
 *
 * All records of a message are made before any is written, and before anything changes. What is not usual here is -1,
 * and the message's events are made then.
 */
#ifndef WSADAPTER_SCANNER_RECORDS_H
#define WSADAPTER_SCANNER_RECORDS_H
#include "scanner_events.h"

static int
put_levels(Output *output, const WireField *field, const FieldValue *value)
{
    LevelsCursor cursor = levels_begin(value->at, value->column);
    for (Py_ssize_t i = 0; i < value->length; i++) {
        Py_ssize_t length;
        const char *text = levels_next(&cursor, &length);
        if (put_text(output, field, text, length) < 0)
            return -1;
    }
    return 0;
}

static inline int
put_value(Output *output, const WireField *field, const FieldValue *value)
{
    switch (value->kind) {
    case ABSENT:
        return field->present ? 0 : -1;
    case ASCII:
    case UTF8:
        if (field->what != WIRE_TEXT)
            return -1;
        return value->length || field->present ? put_text(output, field, value->at, value->length) : 0;
    case NUMERAL:
        return field->what == WIRE_NUMBER ? put_int64(output, field, value->number) : -1;
    case LEVEL_TEXTS:
        return field->what == WIRE_TEXTS ? put_levels(output, field, value) : -1;
    default:
        return put_field(output, field, value->object);
    }
}

/* NULL where it is no text. */
static inline const char *
text_in(const FieldValue *value, Py_ssize_t *length)
{
    if (value->kind == ABSENT || value->kind == NUMERAL || value->kind == LEVEL_TEXTS)
        return NULL;
    if (value->kind == BORROWED || value->kind == OWNED)
        return utf8_of(value->object, length);
    *length = value->length;
    return value->at;
}

static int
put_key_of(Output *output, const FieldValue *fields)
{
    Py_ssize_t exchange_length, symbol_length;
    const char *exchange = text_in(&fields[0], &exchange_length), *symbol = text_in(&fields[1], &symbol_length);
    return exchange == NULL || symbol == NULL ? -1
                                              : put_key(output, exchange, exchange_length, symbol, symbol_length);
}

static int
make_fixed(Scanner *self, const Emit *emit, const Making *making, Fixed *fixed)
{
    FieldValue key[2];
    int done = 0;
    for (int i = 0; i < 2; i++) /* neither owns what it has */
        if (make_value(self, making, &emit->steps[i], &key[i]) < 0)
            return -1;
    done = put_key_of(&fixed->octets, key);
    for (int i = 0; done == 0 && i < emit->count; i++) {
        FieldValue value;
        if (!(emit->fixed >> i & 1))
            continue;
        if (i == 0 || !(emit->fixed >> (i - 1) & 1))
            fixed->run[fixed->runs++].first = i;
        done = make_value(self, making, &emit->steps[i], &value);
        if (done == 0)
            done = put_value(&fixed->octets, &emit->layout->fields[i], &value);
        fixed->run[fixed->runs - 1].behind = i + 1;
        fixed->run[fixed->runs - 1].end = fixed->octets.size;
    }
    return done;
}

/* NULL: there is nothing of it that is usual. */
static const Fixed *
fixed_of(Scanner *self, int each, const Emit *emit, const Making *making)
{
    Fixed *fixed = self->stream->fixed[each];
    if (fixed != NULL || (fixed = PyMem_Calloc(1, sizeof(Fixed))) == NULL)
        return fixed;
    if (make_fixed(self, emit, making, fixed) < 0) {
        PyMem_Free(fixed->octets.bytes);
        PyMem_Free(fixed);
        return NULL;
    }
    return self->stream->fixed[each] = fixed;
}

/* `fixed`: NULL, or what need not be made anew. */
static inline int
put_record(Scanner *self, const Emit *emit, const FieldValue *fields, const Fixed *fixed)
{
    Output *output = &self->records;
    size_t copied = 0;
    if (self->made == MOST_RECORDS || (fixed == NULL && put_key_of(output, fields) < 0))
        return -1;
    for (int i = 0, run = 0; i < emit->count;) {
        if (fixed != NULL && run < fixed->runs && fixed->run[run].first == i) {
            size_t length = fixed->run[run].end - copied;
            if (reserve(output, length) < 0)
                return -1;
            memcpy(output->bytes + output->size, fixed->octets.bytes + copied, length);
            output->size += length;
            copied += length;
            i = fixed->run[run++].behind;
        }
        else if (put_value(output, &emit->layout->fields[i], &fields[i]) < 0)
            return -1;
        else
            i++;
    }
    self->record[self->made].index = emit->index;
    self->record[self->made++].end = output->size;
    return 0;
}

/* The event's ordinal, as count_event gives it; kept in `position`. One of its kind in a message. */
static int
number_event(const Emit *emit, PyObject *key, PyObject *received, FieldValue *fields, Position *position)
{
    const FieldValue *at = &fields[emit->transaction_time_at];
    PyObject *times = PyDict_GetItemWithError(emit->times, key), *before;
    if (at->kind == ABSENT)
        at = &fields[emit->event_time_at];
    if (times == NULL || !PyDict_CheckExact(times) || position->time != NULL ||
        (emit->expected != Py_None && held_object(&fields[emit->update_type_at]) != emit->expected))
        return -1;
    PyObject *known = at->kind == ABSENT ? received : held_object(at);
    if (known == NULL && at->kind != NUMERAL)
        return -1;
    position->time = known != NULL ? Py_NewRef(known) : PyLong_FromLongLong(at->number);
    if (position->time == NULL || !PyLong_CheckExact(position->time))
        return -1;
    before = PyDict_GetItemWithError(times, position->time);
    position->ordinal = before == NULL ? 0 : PyLong_AsLongLong(before) + 1;
    numeral(&fields[emit->ordinal_at], position->ordinal);
    return PyErr_Occurred() ? -1 : 0;
}

static int
keep_ordinals(const Stream *stream, const Position *positions)
{
    for (int each = 0; each < stream->table->emits; each++) {
        if (positions[each].time == NULL)
            continue;
        PyObject *times = PyDict_GetItemWithError(stream->table->emit[each].times, stream->counted[each]);
        PyObject *ordinal = PyLong_FromLongLong(positions[each].ordinal);
        int done = times == NULL || ordinal == NULL ? -1 : 0;
        if (done == 0 && positions[each].ordinal == 0 && PyDict_GET_SIZE(times) >= REMEMBERED)
            done = forget_oldest(times, PyDict_GET_SIZE(times) - REMEMBERED / 2);
        if (done == 0)
            done = PyDict_SetItem(times, positions[each].time, ordinal);
        Py_XDECREF(ordinal);
        if (done < 0)
            return -1;
    }
    return 0;
}

/* All fields of an event but those `left_out`; how many there are, fewer where one is not usual. */
static inline int
make_fields(Scanner *self, const Emit *emit, PyObject *series, Making *making, FieldValue *fields, uint64_t left_out)
{
    int made = 0;
    self->scratched = 0;
    if ((making->given[2] = *slot_of(series, self->gap_ns)) == NULL)
        return 0;
    for (; made < emit->count; made++)
        if (left_out >> made & 1)
            fields[made].kind = ABSENT;
        else if (make_value(self, making, &emit->steps[made], &fields[made]) < 0)
            break;
    return made;
}

static int
record_event(Scanner *self, int each, PyObject *series, Making *making, Position *position)
{
    const Emit *emit = &self->stream->table->emit[each];
    FieldValue fields[MAX_STEPS];
    fields[0].kind = ABSENT;
    const Fixed *fixed = emit->fixed ? fixed_of(self, each, emit, making) : NULL;
    if (emit->fixed && fixed == NULL)
        return -1;
    int found = make_fields(self, emit, series, making, fields, emit->fixed & ~emit->consulted), done = -1;
    if (found == emit->count && goes_on(self, emit, series, making, fields, NULL, position) &&
        (emit->count_by == NULL ||
         number_event(emit, making->stream->counted[each], making->given[0], fields, position) == 0))
        done = put_record(self, emit, fields, fixed);
    for (int i = 0; i < found; i++)
        let_go(&fields[i]);
    return done;
}

/* An event for `items`; NULL: its record. */
static inline int
give(Scanner *self, int each, PyObject *series, Making *making, PyObject *items, Position *position)
{
    if (items == NULL)
        return record_event(self, each, series, making, position);
    return append(items, make_event(self, &self->stream->table->emit[each], series, making, position));
}

/* The event of an element, where it has one, or its record. */
static int
make_one(Scanner *self, int each, Making *making, const Value *row, PyObject *items, Position *position)
{
    const Emit *emit = &self->stream->table->emit[each];
    PyObject *series = self->stream->series[each];
    int slots = self->stream->table->slots;
    if (series == NULL || !says_enough(emit, row, slots))
        return 0;
    int wanted = is_wanted(emit, row, slots);
    if (wanted > 0 && emit->published != NULL)
        wanted = has_changed(emit, making, row, position);
    if (wanted <= 0)
        return wanted;
    if (emit->apart && position->made++)
        return -1;
    return give(self, each, series, making, items, position);
}

/* Whether all of them fit into the ring as it stands. */
static int
has_room(const Scanner *self)
{
    const Appender *ring = self->publisher->ring;
    long long at = ring->at;
    size_t begin = 0;
    for (int i = 0; i < self->made; i++) {
        long long length = (long long)(self->record[i].end - begin);
        begin = self->record[i].end;
        at += (length + 15) & -8;
        if (length > ring->max_payload || at > ring->stop)
            return 0;
    }
    return 1;
}

/* What a publisher does with each event; there is room. */
static void
append_records(Scanner *self, long long received)
{
    Publisher *publisher = self->publisher;
    volatile long long *cells = publisher->cells.buf;
    size_t begin = 0;
    for (int i = 0; i < self->made; i++) {
        int index = self->record[i].index;
        append_record(publisher->ring, publisher->kinds[index], self->records.bytes + begin,
                      (Py_ssize_t)(self->record[i].end - begin));
        begin = self->record[i].end;
        cells[publisher->counters[index]]++;
    }
    cells[publisher->decoded_cell] += self->made;
    if (self->made)
        cells[publisher->received_cell] = received;
}
#endif
