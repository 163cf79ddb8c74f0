/* What wsadapter/exchanges/scanner.py tells, as the scanner has it. Each place and number is checked here, once, so that
 * nobody has to while messages come.
 */
#include "scanner.h"

static void *
owned(Scanner *self, size_t count, size_t size)
{
    void **all = PyMem_Realloc(self->owned, sizeof(void *) * (size_t)(self->owned_count + 1));
    void *made = all == NULL ? NULL : PyMem_Calloc(count ? count : 1, size);
    if (all != NULL)
        self->owned = all;
    if (made == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    self->owned[self->owned_count++] = made;
    return made;
}

static int
wrong(const char *what)
{
    PyErr_SetString(PyExc_ValueError, what);
    return -1;
}

static int
read_spelling(PyObject *told, Spelling *spelling)
{
    const char *price, *quantity;
    Py_ssize_t price_length, quantity_length;
    if (!PyArg_ParseTuple(told, "iiiiy#y#y#y#y#", &spelling->price_at, &spelling->quantity_at, &spelling->places,
                          &spelling->numbers, &price, &price_length, &quantity, &quantity_length, &spelling->side.text,
                          &spelling->side.length, &spelling->words[0].text, &spelling->words[0].length,
                          &spelling->words[1].text, &spelling->words[1].length))
        return -1;
    if (price_length > (Py_ssize_t)sizeof spelling->price || quantity_length > (Py_ssize_t)sizeof spelling->quantity)
        return wrong("too long a name of a price or quantity");
    memcpy(spelling->price, price, price_length);
    memcpy(spelling->quantity, quantity, quantity_length);
    spelling->price_length = (int)price_length;
    spelling->quantity_length = (int)quantity_length;
    return 0;
}

/* `slots`: behind the highest one that may be used. */
static Shape *
read_shape(Scanner *self, PyObject *told, int slots)
{
    Shape *shape = owned(self, 1, sizeof(Shape));
    PyObject *fields;
    if (shape == NULL || !PyArg_ParseTuple(told, "iO!", &shape->is_list, &PyTuple_Type, &fields))
        return NULL;
    if (PyTuple_GET_SIZE(fields) > MAX_FIELDS) {
        wrong("too many fields");
        return NULL;
    }
    if ((shape->fields = owned(self, (size_t)PyTuple_GET_SIZE(fields), sizeof(Field))) == NULL)
        return NULL;
    for (; shape->count < PyTuple_GET_SIZE(fields); shape->count++) {
        Field *field = &shape->fields[shape->count];
        PyObject *more;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(fields, shape->count), "y#iiiLLO", &field->name, &field->length,
                              &field->type, &field->flags, &field->slot, &field->low, &field->high, &more))
            return NULL;
        if (field->type < 0 || field->type >= TYPES || field->slot < 0 ||
            (field->slot >= slots && field->type != DATA && field->type != INNER && field->type != TAG) ||
            (field->type == TAG && !PyBytes_Check(more)) ||
            (field->type == TEXT && more != Py_None && !PyTuple_Check(more)) || field->length < 1) {
            wrong("no such field");
            return NULL;
        }
        if (field->flags & REQUIRED)
            shape->required |= 1ULL << shape->count;
        if (field->type == INNER && (field->inner = read_shape(self, more, slots)) == NULL)
            return NULL;
        field->tag = more;
        if (field->type == LEVELS && read_spelling(more, &field->spelling) < 0)
            return NULL;
        if (field->type == LEVELS && field->spelling.side.length && field->slot + 1 >= slots) {
            wrong("no place for the other side");
            return NULL;
        }
    }
    return shape;
}

static Value *
read_row(Scanner *self, PyObject *kinds)
{
    Value *row = owned(self, (size_t)PyTuple_GET_SIZE(kinds), sizeof(Value));
    for (Py_ssize_t i = 0; row != NULL && i < PyTuple_GET_SIZE(kinds); i++) {
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(kinds, i), "iLy#", &row[i].kind, &row[i].number, &row[i].at,
                              &row[i].length))
            return NULL;
    }
    return PyErr_Occurred() ? NULL : row;
}

static int
read_step(Scanner *self, PyObject *told, int slots, Step *step)
{
    PyObject *then, *other;
    if (!PyArg_ParseTuple(told, "iiiLOOO", &step->op, &step->slot, &step->place, &step->factor, &step->constant, &then,
                          &other))
        return -1;
    int most = step->op == GIVEN ? 3 : step->op == FIRST || step->op == OFFERED || step->op == ONE ? slots : step->op == COLUMN || step->op == TOP ? 2 : MAX_STEPS;
    if (step->op < 0 || step->op >= STEPS || step->slot < 0 || step->slot >= slots || step->place < 0 ||
        step->place >= most || ((step->op == MS || step->op == CLOSES) && step->factor < 1) || (step->op == TIME && step->factor < 0))
        return wrong("no such step");
    if (((step->op == MAPPED || step->op == ONE) && !PyTuple_Check(step->constant)) || (step->op == EITHER && step->constant != Py_None && !PyBytes_Check(step->constant)) )
        return wrong("no such table");
    if (step->op != EITHER && step->op != SIGN)
        return 0;
    if ((step->then = owned(self, 2, sizeof(Step))) == NULL)
        return -1;
    step->other = step->then + 1;
    return read_step(self, then, slots, step->then) < 0 ? -1 : read_step(self, other, slots, step->other);
}

Py_ssize_t
offset_of(PyObject *member)
{
    if (Py_IS_TYPE(member, &PyMemberDescr_Type) && ((PyMemberDescrObject *)member)->d_member->type == T_OBJECT_EX)
        return ((PyMemberDescrObject *)member)->d_member->offset;
    PyErr_SetString(PyExc_TypeError, "a field is no member of its type");
    return -1;
}

static int
read_counting(PyObject *told, Emit *emit)
{
    PyObject *transaction_time, *event_time, *update_type, *ordinal;
    if (!PyArg_ParseTuple(told, "OO!OOOOO", &emit->count_by, &PyDict_Type, &emit->times, &transaction_time, &event_time,
                          &update_type, &emit->expected, &ordinal))
        return -1;
    if ((emit->ordinal = offset_of(ordinal)) < 0)
        return -1;
    if ((emit->transaction_time = offset_of(transaction_time)) < 0 || (emit->event_time = offset_of(event_time)) < 0 ||
        (emit->expected != Py_None && (emit->update_type = offset_of(update_type)) < 0))
        return -1;
    return 0;
}

/* `own`: how many slots an element has. */
static int
read_conditions(PyObject *told, int own, Emit *emit)
{
    PyObject *published, *once;
    unsigned long long offers;
    if (!PyArg_ParseTuple(told, "iiOKiOOO!i", &emit->when, &emit->word, &emit->text, &offers, &emit->refuse, &emit->refused,
                          &published, &PyTuple_Type, &once, &emit->apart))
        return -1;
    emit->offers = offers;
    emit->once_count = (int)PyTuple_GET_SIZE(once);
    emit->published = published == Py_None ? NULL : published;
    if (emit->once_count > MAX_ONCE || emit->word >= own || emit->refuse >= own ||
        ((emit->when == 1 || emit->when == 2 || emit->when == 4) && (emit->word < 0 || !PyBytes_Check(emit->text))) ||
        (emit->refuse >= 0 && !PyBytes_Check(emit->refused)) || (emit->published != NULL && !PyDict_Check(published)))
        return wrong("no such condition");
    for (int i = 0; i < emit->once_count; i++) {
        emit->once[i] = (int)PyLong_AsLong(PyTuple_GET_ITEM(once, i));
        if (emit->once[i] < 0 || emit->once[i] >= own)
            return PyErr_Occurred() ? -1 : wrong("no such field");
    }
    return 0;
}

static int
read_emit(Scanner *self, PyObject *told, int slots, int own, Emit *emit)
{
    PyObject *event, *steps, *counting, *conditions;
    unsigned long long on_change, needs, raw;
    if (!PyArg_ParseTuple(told, "O!O!iiiiiiiiiiiiiOKKKOO", &PyType_Type, &event, &PyTuple_Type, &steps, &emit->rule,
                          &emit->number, &emit->previous, &emit->back, &emit->counted, &emit->kind, &emit->limit,
                          &emit->interval, &emit->closed, &emit->opened, &emit->checksum, &emit->best, &emit->columns,
                          &emit->delta, &on_change, &needs, &raw,
                          &counting, &conditions))
        return -1;
    if (counting != Py_None && read_counting(counting, emit) < 0)
        return -1;
    if (read_conditions(conditions, own, emit) < 0)
        return -1;
    int count = (int)PyTuple_GET_SIZE(steps);
    const int fields[] = {emit->kind, emit->limit, emit->interval, emit->closed, emit->opened};
    const int numbers[] = {emit->number, emit->previous, emit->counted};
    for (int i = 0; i < 5; i++)
        if (fields[i] >= count)
            return wrong("no such field of the event");
    for (int i = 0; i < 3; i++)
        if (numbers[i] >= slots)
            return wrong("no such number");
    if (emit->rule < 0 || emit->rule >= RULES || count > MAX_STEPS ||
        (emit->rule >= NEXT && emit->rule <= RENEWED && emit->number < 0) || ((emit->rule == RENEWED || emit->rule == CHECKED) && emit->kind < 0) ||
        (emit->rule == CHECKED && (emit->checksum >= slots || (emit->best && emit->checksum < 0) || emit->best < 0 || emit->columns < 0 ||
                                   emit->columns + 4 > count)) ||
        (emit->rule == OPEN_CANDLE && (emit->closed < 0 || emit->interval < 0)))
        return wrong("no such rule, or too many steps");
    emit->event = (PyTypeObject *)event;
    emit->on_change = on_change;
    emit->needs = needs;
    emit->raw = raw;
    if ((emit->steps = owned(self, (size_t)count, sizeof(Step))) == NULL)
        return -1;
    for (; emit->count < count; emit->count++)
        if (read_step(self, PyTuple_GET_ITEM(steps, emit->count), slots, &emit->steps[emit->count]) < 0)
            return -1;
    return 0;
}

static int
read_changing(Scanner *self, PyObject *told, Table *table)
{
    PyObject *members, *wire;
    unsigned long long changes;
    if (!PyArg_ParseTuple(told, "iO!O!O!K", &table->changing, &PyBytes_Type, &table->everything, &PyType_Type, &wire,
                          &PyTuple_Type, &members, &changes))
        return -1;
    if (PyTuple_GET_SIZE(members) != table->slots || table->slots > MAX_FIELDS || table->changing >= self->slots)
        return wrong("a state has a member for each slot");
    table->wire = (PyTypeObject *)wire;
    table->changes = changes;
    if ((table->offsets = owned(self, (size_t)table->slots, sizeof(Py_ssize_t))) == NULL)
        return -1;
    for (int slot = 0; slot < table->slots; slot++)
        if ((table->offsets[slot] = offset_of(PyTuple_GET_ITEM(members, slot))) < 0)
            return -1;
    return 0;
}

static int
read_parts(PyObject *told, Part *parts, int slots)
{
    if (PyTuple_GET_SIZE(told) > MAX_PARTS)
        return wrong("too many parts of a name");
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(told); i++) {
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(told, i), "y#i", &parts[i].text, &parts[i].length, &parts[i].slot))
            return -1;
        if (parts[i].slot >= slots)
            return wrong("no such part");
    }
    return (int)PyTuple_GET_SIZE(told);
}

static int
read_table(Scanner *self, PyObject *told, Table *table)
{
    PyObject *shape, *kinds, *emits, *changing, *parts;
    if (!PyArg_ParseTuple(told, "OO!iiiiOiiLO!OO!", &shape, &PyTuple_Type, &kinds, &table->many, &table->backwards,
                          &table->identity, &table->most, &table->known, &table->named, &table->guard,
                          &table->unwanted, &PyTuple_Type, &emits, &changing, &PyTuple_Type, &parts))
        return -1;
    table->slots = (int)PyTuple_GET_SIZE(kinds);
    table->changing = -1;
    int slots = self->slots + table->slots, count = (int)PyTuple_GET_SIZE(emits);
    if (count > MAX_EMITS || table->slots > MAX_FIELDS)
        return wrong("too many events or fields");
    if (table->named >= slots || table->guard >= slots || table->identity >= slots || (table->identity >= 0 && !PyDict_Check(table->known)))
        return wrong("no such identity");
    if ((table->parts = read_parts(parts, table->part, slots)) < 0)
        return -1;
    if ((table->shape = read_shape(self, shape, slots)) == NULL || (table->row = read_row(self, kinds)) == NULL ||
        (table->emit = owned(self, (size_t)count, sizeof(Emit))) == NULL)
        return -1;
    for (; table->emits < count; table->emits++)
        if (read_emit(self, PyTuple_GET_ITEM(emits, table->emits), slots, table->slots, &table->emit[table->emits]) < 0)
            return -1;
    return changing == Py_None ? 0 : read_changing(self, changing, table);
}

static int
read_stream(Scanner *self, PyObject *told, Table *tables, int count, Stream *stream)
{
    PyObject *series;
    int table;
    PyObject *spoken, *counted;
    if (!PyArg_ParseTuple(told, "UUO!OUiO!O!", &spoken, &stream->name, &PyTuple_Type, &stream->said, &stream->key,
                          &stream->symbol_object, &table, &PyTuple_Type, &series, &PyTuple_Type, &counted))
        return -1;
    if (table < 0 || table >= count || PyTuple_GET_SIZE(series) != tables[table].emits ||
        PyTuple_GET_SIZE(counted) != tables[table].emits)
        return wrong("no such table, or not as many series");
    stream->table = &tables[table];
    for (int each = 0; each < stream->table->emits; each++) {
        PyObject *one = PyTuple_GET_ITEM(series, each);
        if (one != Py_None && Py_TYPE(one) != self->series)
            return wrong("no series");
        stream->series[each] = one == Py_None ? NULL : one;
        stream->counted[each] = PyTuple_GET_ITEM(counted, each);
    }
    if ((stream->text = PyUnicode_AsUTF8AndSize(spoken, &stream->length)) == NULL ||
        (stream->symbol = PyUnicode_AsUTF8AndSize(stream->symbol_object, &stream->symbol_length)) == NULL)
        return -1;
    stream->hash = hash_of(stream->text, stream->length);
    return 0;
}

static int
read_streams(Scanner *self, PyObject *told, Table *tables, int count)
{
    Py_ssize_t most = PyTuple_GET_SIZE(told);
    int places = 8;
    while (places < 2 * most)
        places *= 2;
    self->mask = places - 1;
    if ((self->streams = owned(self, (size_t)most, sizeof(Stream))) == NULL ||
        (self->places = owned(self, (size_t)places, sizeof(int))) == NULL)
        return -1;
    for (int i = 0; i < places; i++)
        self->places[i] = -1;
    for (; self->count < most; self->count++) {
        Stream *stream = &self->streams[self->count];
        if (read_stream(self, PyTuple_GET_ITEM(told, self->count), tables, count, stream) < 0)
            return -1;
        int at = (int)(stream->hash & (uint32_t)self->mask);
        while (self->places[at] >= 0)
            at = (at + 1) & self->mask;
        self->places[at] = self->count;
    }
    return 0;
}

/* Which fields of the envelope make the stream's name. */
static uint64_t
naming_of(const Scanner *self)
{
    uint64_t naming = 0;
    for (int part = 0; part < self->parts; part++)
        for (int i = 0; i < self->envelope->count; i++)
            if (self->envelope->fields[i].slot == self->part[part].slot && self->envelope->fields[i].type == TEXT)
                naming |= 1ULL << i;
    return naming;
}

int
read_tables(Scanner *self)
{
    PyObject *shape, *kinds, *parts, *told, *streams;
    if (!PyArg_ParseTuple(self->tables, "OO!O!O!O!ii", &shape, &PyTuple_Type, &kinds, &PyTuple_Type, &parts,
                          &PyTuple_Type, &told, &PyTuple_Type, &streams, &self->alone, &self->numbered))
        return -1;
    int count = (int)PyTuple_GET_SIZE(told), widest = 0;
    self->slots = (int)PyTuple_GET_SIZE(kinds);
    if (self->numbered >= self->slots)
        return wrong("no such number of a message");
    Table *tables = owned(self, (size_t)count, sizeof(Table));
    if (tables == NULL || (self->envelope = read_shape(self, shape, self->slots)) == NULL ||
        (self->before = read_row(self, kinds)) == NULL)
        return -1;
    for (int i = 0; i < count; i++) {
        if (read_table(self, PyTuple_GET_ITEM(told, i), &tables[i]) < 0)
            return -1;
        widest = tables[i].slots > widest ? tables[i].slots : widest;
    }
    self->table = tables;
    self->table_count = count;
    self->capacity = self->slots + widest;
    if ((self->values = PyMem_Calloc((size_t)self->capacity + 1, sizeof(Value))) == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if ((self->parts = read_parts(parts, self->part, self->slots)) < 0)
        return -1;
    if (self->alone == 2)
        self->naming = naming_of(self);
    return read_streams(self, streams, tables, count);
}
