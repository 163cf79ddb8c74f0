/* Messages to events with nothing between, in C: the fast half of wsadapter/exchanges/by_key.py.
 *
 * Nothing here knows a venue. wsadapter/exchanges/scanner.py tells of each Struct which values it may have, of each
 * event what its fields are made of, of each stream which numbers go on. A message is read once, where it lies; when all
 * of it is usual (spelled so, next in its sequence, no hole lasts) its events are all there is to it, and only then does
 * anything change. Every other message is for `otherwise`, as if nobody had looked at it.
 *
 * What every message passes is in headers, so that the compiler has its whole way before it: apart it costs 5 %.
 */
#include "parts.h"
#include "scanner_read.h"
#include "scanner_records.h"

/* 1 = it is a new one, kept in `making`; 0 = the element has come before; -1 = not usual. */
static int
note_identity(const Table *table, Making *making, const Value *value)
{
    PyObject *known = PyDict_GetItemWithError(table->known, making->stream->name);
    PyObject *identity = known == NULL || !PyDict_CheckExact(known) ? NULL : same_object(making, value);
    if (identity == NULL)
        return -1;
    int found = PyDict_Contains(known, identity);
    if (found == 0) {
        if (making->identities == NULL && (making->identities = PyList_New(0)) == NULL)
            found = -1;
        else if (PySequence_Contains(making->identities, identity) != 0)
            found = -1; /* twice in a message */
        else
            found = PyList_Append(making->identities, identity);
        found = found < 0 ? -1 : 2;
    }
    Py_DECREF(identity);
    return found < 0 ? -1 : found == 2;
}

static int
keep_identities(const Table *table, const Making *making)
{
    PyObject *known;
    if (making->identities == NULL)
        return 0;
    known = PyDict_GetItemWithError(table->known, making->stream->name);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(making->identities); i++) {
        if (PyDict_SetItem(known, PyList_GET_ITEM(making->identities, i), Py_None) < 0)
            return -1;
        if (PyDict_GET_SIZE(known) > table->most + table->most / 8 && forget_oldest(known, table->most) < 0)
            return -1;
    }
    return 0;
}

/* Whether an element that says its symbol is of the stream's, and of the feed. */
static int
is_of_stream(const Scanner *self, const Making *making)
{
    const Table *table = making->stream->table;
    if (table->named >= 0) {
        const Value *symbol = value_at(self, making, table->named);
        if (symbol->kind != STRING_VALUE || symbol->length != making->stream->symbol_length ||
            memcmp(symbol->at, making->stream->symbol, symbol->length) != 0)
            return 0;
    }
    if (table->guard >= 0) {
        const Value *guard = value_at(self, making, table->guard);
        return guard->kind == WHOLE_VALUE && guard->number != table->unwanted;
    }
    return 1;
}

/* The events of elements that are whole. */
static int
make_all(Scanner *self, Making *making, PyObject *items, Position *positions)
{
    const Table *table = self->stream->table;
    int done = 0;
    for (Py_ssize_t i = 0; done == 0 && i < self->elements; i++) {
        const Value *row = self->values + (table->backwards ? self->elements - 1 - i : i) * table->slots;
        making->row = row;
        if (!is_of_stream(self, making)) {
            done = -1;
            continue;
        }
        int is_new = table->identity < 0 ? 1 : note_identity(table, making, value_at(self, making, table->identity));
        if (is_new <= 0) {
            /* where elements have numbers, too, only some messages repeat */
            done = table->emit[0].rule == ANY ? is_new : -1;
            continue;
        }
        for (int each = 0; done == 0 && each < table->emits; each++)
            done = make_one(self, each, making, row + self->slots, items, &positions[each]);
        release_columns(making);
    }
    return done;
}

/* The events of what changed. `made`: the new values, by slot of the element, to be kept when all is well. */
static int
make_changed(Scanner *self, Making *making, PyObject *items, Position *positions, PyObject *state, PyObject **made)
{
    const Table *table = self->stream->table;
    Value *row = self->values + self->slots;
    uint64_t changed = 0;
    if (self->elements != 1 || is_text(&self->values[table->changing], table->everything))
        return -1;
    for (int slot = 0; slot < table->slots; slot++) {
        uint64_t bit = 1ULL << slot;
        Value *value = &row[slot];
        if (table->changes & bit && value->kind == STRING_VALUE) {
            const char *end = value->at + value->length;
            if (value->length && after_plain(value->at + (*value->at == '-'), end) != end)
                return -1;
            if ((made[slot] = value->object = text_of(value->at, value->length)) == NULL)
                return -1;
            changed |= bit;
        }
        else {
            PyObject *kept = *slot_of(state, table->offsets[slot]);
            if (kept == Py_None)
                value->kind = NULL_VALUE;
            else if (kept != NULL && PyUnicode_CheckExact(kept) && PyUnicode_IS_COMPACT_ASCII(kept)) {
                value->kind = STRING_VALUE;
                value->at = (const char *)PyUnicode_1BYTE_DATA(kept);
                value->length = PyUnicode_GET_LENGTH(kept);
                value->object = kept;
            }
            else
                return -1;
        }
    }
    making->row = self->values;
    for (int each = 0; each < table->emits; each++) {
        const Emit *emit = &table->emit[each];
        if (self->stream->series[each] == NULL || !(emit->on_change & changed) || !says_enough(emit, row, table->slots))
            continue;
        if (give(self, each, self->stream->series[each], making, items, &positions[each]) < 0)
            return -1;
    }
    return 0;
}

/* 1 = a hole lasts, or the stream has no answer yet; 0 = none and it has; -1 = an exception. */
static int
waits(Scanner *self)
{
    int is = *slot_of(self->outages, self->pending) != Py_False;
    if (is == 0 && PySet_GET_SIZE(self->unheard))
        is = PySet_Contains(self->unheard, self->stream->name);
    return is;
}

/* Whether the message is the next one of a connection that numbers them. */
static int
is_next(Scanner *self)
{
    PyObject *last = *slot_of(self->message, self->last);
    int overflow;
    return last != NULL && PyLong_CheckExact(last) && self->values[self->numbered].kind == WHOLE_VALUE &&
           PyLong_AsLongLongAndOverflow(last, &overflow) == self->values[self->numbered].number - 1 && !overflow;
}

static int
count_message(Scanner *self)
{
    PyObject *number = PyLong_FromLongLong(self->values[self->numbered].number);
    if (number == NULL)
        return -1;
    Py_XSETREF(*slot_of(self->message, self->last), number);
    return 0;
}

static int
move_series(Scanner *self, const Position *positions, PyObject *received)
{
    const Table *table = self->stream->table;
    for (int each = 0; each < table->emits; each++) {
        PyObject *series = self->stream->series[each], *next;
        if (positions[each].once != NULL &&
            PyDict_SetItem(table->emit[each].published, self->stream->symbol_object, positions[each].once) < 0)
            return -1;
        if (positions[each].candle != NULL &&
            PyDict_SetItem(self->states, self->stream->key, positions[each].candle) < 0)
            return -1;
        if (!positions[each].moved)
            continue;
        if ((next = PyLong_FromLongLong(positions[each].next)) == NULL)
            return -1;
        Py_XSETREF(*slot_of(series, positions[each].is_top ? self->top : self->next), next);
        if (table->emit[each].rule != RISING && !positions[each].is_top)
            Py_XSETREF(*slot_of(series, self->at_ns), Py_NewRef(received));
    }
    return 0;
}

/* What the message does but to give its events. */
static int
keep_all(Scanner *self, const Making *making, const Position *positions, PyObject *received)
{
    if (PyDict_SetItem(self->received, self->stream->name, received) < 0 ||
        (self->numbered >= 0 && count_message(self) < 0) || move_series(self, positions, received) < 0)
        return -1;
    return keep_identities(self->stream->table, making);
}

/* `recorded`: the events' records are written, and there are no items. */
static PyObject *
make_items(Scanner *self, PyObject *received, int recorded)
{
    const Table *table = self->stream->table;
    Position positions[MAX_EMITS];
    for (int each = 0; each < table->emits; each++)
        positions[each] = (Position){0};
    Making making = {.stream = self->stream, .envelope = self->values, .sides = {-1, -1}};
    PyObject *items, *state = NULL, *made[MAX_FIELDS];
    if (waits(self) != 0 || (self->numbered >= 0 && !is_next(self)))
        return NULL;
    if (table->changing >= 0 &&
        ((state = PyDict_GetItemWithError(self->states, self->stream->key)) == NULL || Py_TYPE(state) != table->wire))
        return NULL;
    if ((items = PyList_New(0)) == NULL)
        return NULL;
    if (state != NULL)
        memset(made, 0, (size_t)table->slots * sizeof *made);
    self->made = 0;
    self->records.size = 0;
    making.given[0] = received;
    making.given[1] = self->connection;
    making.recorded = recorded;
    making.received = recorded ? PyLong_AsLongLong(received) : 0;
    PyObject *events = recorded ? NULL : items;
    int done = PyErr_Occurred() ? -1
               : state == NULL ? make_all(self, &making, events, positions)
                             : make_changed(self, &making, events, positions, state, made);
    if (done == 0 && recorded && !has_room(self))
        done = -1;
    if (done == 0)
        done = keep_all(self, &making, positions, received);
    Py_XDECREF(making.identities);
    if (done == 0)
        done = recorded ? keep_ordinals(self->stream, positions) : count_events(self->stream, items, received);
    if (done == 0 && recorded)
        append_records(self, making.received);
    for (int slot = 0; slot < (state == NULL ? 0 : table->slots); slot++)
        if (made[slot] != NULL) {
            if (done == 0)
                Py_XSETREF(*slot_of(state, table->offsets[slot]), made[slot]);
            else
                Py_DECREF(made[slot]);
        }
    for (int each = 0; each < table->emits; each++) {
        Py_XDECREF(positions[each].once);
        Py_XDECREF(positions[each].time);
    }
    if (done < 0)
        Py_CLEAR(items);
    return items;
}

/* Which stream the message is of, and all of its values. 0, or -1: not usual. */
static int
read_message(Scanner *self, const char *at, const char *end)
{
    const char *begin = at;
    memcpy(self->values, self->before, (size_t)self->slots * sizeof(Value));
    self->elements = 0;
    self->sides.size = 0;
    self->stream = NULL;
    self->data = NULL;
    int read = self->naming ? read_naming(self, at, end) : read_struct(self, &at, end, self->envelope, 0);
    if (read == 0 && !self->naming && skip_space(at, end) != end)
        read = -1;
    if (read == 0 && self->stream == NULL) {
        read = -1;
        if (self->alone)
            self->data = begin;
        if (self->data != NULL && (self->stream = named(self, self->part, self->parts, self->values)) != NULL)
            read = self->alone ? read_element(self, &self->data, end) : read_elements(self, &self->data, end);
        if (self->naming && read == 0 && skip_space(self->data, end) != end)
            read = -1;
    }
    for (Py_ssize_t i = 0; read == 0 && self->stream->table->parts && i < self->elements; i++) {
        const Table *table = self->stream->table;
        Stream *stream = named(self, table->part, table->parts, self->values + i * table->slots);
        if (stream == NULL || stream->table != table || (i && stream != self->stream))
            read = -1;
        else
            self->stream = stream;
    }
    return read;
}

static int
is_published(const Scanner *self)
{
    const Publisher *publisher = self->publisher;
    return self->stream->table->recorded && publisher != NULL && publisher->counted && !publisher->held;
}

/* NULL: it is for `otherwise`, and no exception is set. */
static PyObject *
scan(Scanner *self, PyObject *payload, PyObject *received)
{
    Py_buffer view;
    PyObject *items = NULL;
    if (PyObject_GetBuffer(payload, &view, PyBUF_SIMPLE) < 0) {
        PyErr_Clear();
        return NULL;
    }
    const char *begin = view.buf, *end = begin + view.len;
    int read = read_message(self, begin, end), recorded = read == 0 && is_published(self);
    if (recorded && (items = make_items(self, received, 1)) == NULL) { /* its values may have changed */
        PyErr_Clear();
        read = read_message(self, begin, end);
    }
    if (read == 0 && items == NULL)
        items = make_items(self, received, 0);
    if (items == NULL)
        PyErr_Clear();
    PyBuffer_Release(&view);
    return items;
}

static PyObject *
scanner_call(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *names)
{
    Scanner *self = (Scanner *)callable;
    if (PyVectorcall_NARGS(nargsf) != 2 || names != NULL) {
        PyErr_SetString(PyExc_TypeError, "a scanner takes a message and its receive time");
        return NULL;
    }
    PyObject *items = scan(self, args[0], args[1]);
    return items != NULL ? items : PyObject_Vectorcall(self->otherwise, args, 2, NULL);
}

static PyObject *
scanner_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *tables, *otherwise, *connection, *received, *outages, *unheard, *states, *series, *candle, *book, *message, *member[12];
    if (!PyArg_ParseTuple(args, "O!OUO!OO!O!O!OOOOOOO!OOO!OOOOO", &PyTuple_Type, &tables, &otherwise, &connection, &PyDict_Type,
                          &received, &outages, &PySet_Type, &unheard, &PyDict_Type, &states, &PyType_Type, &series,
                          &member[0], &member[1], &member[2], &member[3], &member[4], &member[11], &PyType_Type, &candle, &member[5],
                          &member[6], &PyType_Type, &book, &member[7], &member[8], &member[9], &message, &member[10]))
        return NULL;
    Scanner *self = (Scanner *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->vectorcall = scanner_call;
    self->tables = Py_NewRef(tables);
    self->otherwise = Py_NewRef(otherwise);
    self->connection = Py_NewRef(connection);
    self->received = Py_NewRef(received);
    self->outages = Py_NewRef(outages);
    self->unheard = Py_NewRef(unheard);
    self->states = Py_NewRef(states);
    self->series = (PyTypeObject *)Py_NewRef(series);
    self->candle = (PyTypeObject *)Py_NewRef(candle);
    self->book = (PyTypeObject *)Py_NewRef(book);
    self->message = Py_NewRef(message);
    Py_ssize_t *const offsets[12] = {&self->next,    &self->at_ns,  &self->gap_ns, &self->grid,
                                     &self->waiting, &self->opened, &self->pending, &self->bids,
                                      &self->asks,    &self->levels, &self->last,  &self->top};
    int whole = 1;
    for (int i = 0; i < 12; i++)
        whole = whole && (*offsets[i] = offset_of(member[i])) >= 0;
    if (!whole || read_tables(self) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* `otherwise` is a method of the exchange that has this scanner: a cycle, which the collector takes. */
static int
scanner_traverse(Scanner *self, visitproc visit, void *arg)
{
    Py_VISIT(self->tables);
    Py_VISIT(self->otherwise);
    Py_VISIT(self->received);
    Py_VISIT(self->outages);
    Py_VISIT(self->unheard);
    Py_VISIT(self->states);
    Py_VISIT(self->handlers);
    Py_VISIT(self->publisher);
    return 0;
}

/* The tables stay: what is read from them does. */
static int
scanner_clear(Scanner *self)
{
    Py_CLEAR(self->otherwise);
    Py_CLEAR(self->handlers);
    Py_CLEAR(self->publisher);
    return 0;
}

static void
scanner_dealloc(Scanner *self)
{
    PyObject_GC_UnTrack(self);
    Py_XDECREF(self->tables);
    Py_XDECREF(self->otherwise);
    Py_XDECREF(self->connection);
    Py_XDECREF(self->received);
    Py_XDECREF(self->outages);
    Py_XDECREF(self->unheard);
    Py_XDECREF(self->states);
    Py_XDECREF(self->series);
    Py_XDECREF(self->candle);
    Py_XDECREF(self->book);
    Py_XDECREF(self->message);
    Py_XDECREF(self->handlers);
    Py_XDECREF(self->publisher);
    PyMem_Free(self->records.bytes);
    forget_fixed(self);
    for (int i = 0; i < self->owned_count; i++)
        PyMem_Free(self->owned[i]);
    PyMem_Free(self->owned);
    PyMem_Free(self->values);
    PyMem_Free(self->sides.bytes);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyGetSetDef scanner_attributes[] = {
    {"handlers", (getter)get_handlers, (setter)set_handlers,
     "Type of event -> who takes it: a Publisher gets records, and the message has no items then.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyTypeObject Scanner_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "wsadapter.native._native.Scanner",
    .tp_basicsize = sizeof(Scanner),
    .tp_dealloc = (destructor)scanner_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_HAVE_GC,
    .tp_traverse = (traverseproc)scanner_traverse,
    .tp_clear = (inquiry)scanner_clear,
    .tp_vectorcall_offset = offsetof(Scanner, vectorcall),
    .tp_call = PyVectorcall_Call,
    .tp_doc = "Scanner(tables, otherwise, connection, received, outages, unheard, states, series type, its members, candle "
              "type, its member, member of the outages, book type, its members, number of the last message, its member).",
    .tp_getset = scanner_attributes,
    .tp_new = scanner_new,
};

int
add_scanner(PyObject *module)
{
    if (PyType_Ready(&Scanner_Type) < 0)
        return -1;
    return PyModule_AddObjectRef(module, "Scanner", (PyObject *)&Scanner_Type);
}
