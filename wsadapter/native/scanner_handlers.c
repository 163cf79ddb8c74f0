/* Who takes a scanner's events: where all of a channel's go to one publisher in C, that is given their records. */
#include "scanner.h"

/* Whether the layout has the event's fields, in the order in which the steps give them. */
static int
is_laid_out(const Layout *layout, const Emit *emit)
{
    PyObject *names = PyObject_GetAttrString((PyObject *)emit->event, "__struct_fields__");
    int is = names == NULL ? -1 : PyTuple_Check(names) && PyTuple_GET_SIZE(names) == emit->count && layout->count == emit->count;
    for (int i = 0; is == 1 && i < emit->count; i++) {
        PyObject *member = PyObject_GetAttr((PyObject *)emit->event, PyTuple_GET_ITEM(names, i));
        Py_ssize_t offset = member == NULL ? -1 : offset_of(member);
        Py_XDECREF(member);
        is = offset < 0 ? -1 : offset == layout->fields[i].offset;
    }
    Py_XDECREF(names);
    return is;
}

static int
place_of(const Layout *layout, Py_ssize_t offset)
{
    for (int i = 0; i < layout->count; i++)
        if (layout->fields[i].offset == offset)
            return i;
    return -1;
}

/* The fields that are the stream's, whatever the message says: none where its key is not one of them. */
static uint64_t
fixed_fields(const Table *table, const Emit *emit)
{
    uint64_t fixed = 0;
    for (int i = 0; i < emit->count; i++) {
        const Step *step = &emit->steps[i];
        int is = step->op == CONSTANT || step->op == SUBSCRIBED || (step->op == GIVEN && step->place == 1) ||
                 (step->op == SAME && table->named >= 0 && step->slot == table->named); /* compared with the stream's */
        if (is && !(emit->count_by != NULL && i == emit->ordinal_at))
            fixed |= 1ULL << i;
    }
    return (fixed & 3) == 3 ? fixed : 0;
}

static uint64_t
consulted_fields(const Emit *emit)
{
    uint64_t consulted = (emit->kind < 0 ? 0 : 1ULL << emit->kind) | (emit->limit < 0 ? 0 : 1ULL << emit->limit);
    if (emit->count_by != NULL)
        consulted |= 1ULL << emit->transaction_time_at | 1ULL << emit->event_time_at | 1ULL << emit->update_type_at;
    return consulted;
}

void
forget_fixed(Scanner *self)
{
    for (int i = 0; i < self->count; i++)
        for (int each = 0; each < MAX_EMITS; each++)
            if (self->streams[i].fixed[each] != NULL) {
                PyMem_Free(self->streams[i].fixed[each]->octets.bytes);
                PyMem_Free(self->streams[i].fixed[each]);
                self->streams[i].fixed[each] = NULL;
            }
}

/* 1, 0, or -1 with an exception. */
static int
is_recorded(Scanner *self, const Table *table, Emit *emit, PyObject *handler)
{
    if (handler == NULL || !Py_IS_TYPE(handler, &Publisher_Type) || emit->rule == OPEN_CANDLE || emit->rule == CHECKED ||
        emit->opened >= 0 || (self->publisher != NULL && (PyObject *)self->publisher != handler))
        return 0;
    Publisher *publisher = (Publisher *)handler;
    for (emit->index = 0; emit->index < publisher->encoder->count; emit->index++)
        if (publisher->encoder->layouts[emit->index].type == emit->event)
            break;
    if (emit->index == publisher->encoder->count || publisher->flags[emit->index] >= 0)
        return 0;
    emit->layout = &publisher->encoder->layouts[emit->index];
    int is = is_laid_out(emit->layout, emit);
    if (is != 1)
        return is;
    if (emit->count_by != NULL) {
        emit->transaction_time_at = place_of(emit->layout, emit->transaction_time);
        emit->event_time_at = place_of(emit->layout, emit->event_time);
        emit->ordinal_at = place_of(emit->layout, emit->ordinal);
        emit->update_type_at = emit->expected == Py_None ? 0 : place_of(emit->layout, emit->update_type);
        if (emit->transaction_time_at < 0 || emit->event_time_at < 0 || emit->ordinal_at < 0 || emit->update_type_at < 0)
            return 0;
    }
    emit->fixed = fixed_fields(table, emit);
    emit->consulted = consulted_fields(emit);
    if (self->publisher == NULL)
        self->publisher = (Publisher *)Py_NewRef(handler);
    return 1;
}

static int
bind_table(Scanner *self, Table *table, PyObject *handlers)
{
    table->recorded = 0;
    for (int each = 0; each < table->emits; each++) {
        Emit *emit = &table->emit[each];
        PyObject *handler = PyDict_GetItemWithError(handlers, (PyObject *)emit->event);
        int is = PyErr_Occurred() ? -1 : is_recorded(self, table, emit, handler);
        for (int other = 0; is == 1 && other < each; other++) /* they would be counted together */
            is = emit->count_by == NULL || table->emit[other].event != emit->event;
        if (is != 1)
            return is;
    }
    table->recorded = 1;
    return 0;
}

PyObject *
get_handlers(Scanner *self, void *unused)
{
    return Py_NewRef(self->handlers != NULL ? self->handlers : Py_None);
}

int
set_handlers(Scanner *self, PyObject *handlers, void *unused)
{
    if (handlers == NULL || !PyDict_Check(handlers)) {
        PyErr_SetString(PyExc_TypeError, "handlers are a dict");
        return -1;
    }
    forget_fixed(self);
    Py_CLEAR(self->publisher);
    Py_XSETREF(self->handlers, Py_NewRef(handlers));
    for (int i = 0; i < self->table_count; i++)
        self->table[i].recorded = 0;
    for (int i = 0; i < self->table_count; i++)
        if (bind_table(self, &self->table[i], handlers) < 0)
            return -1;
    return 0;
}
