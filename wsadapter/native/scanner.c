/* Messages to events with nothing between, in C: the fast half of wsadapter/exchanges/by_key.py.
 *
 * Nothing here knows a venue. wsadapter/exchanges/scanner.py tells of each Struct which values it may have, of each
 * event what its fields are made of, of each stream which numbers go on. A message is read once, where it lies; when all
 * of it is usual (spelled so, next in its sequence, no hole lasts) its events are all there is to it, and only then does
 * anything change. Every other message is for `otherwise`, as if nobody had looked at it.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include "book.h"
#include "json.h"
#include "levels.h"
#include "parts.h"

enum { TEXT, INTEGER, FLAG, RAW, INNER, LEVELS, DATA, TAG, TYPES };
enum { REQUIRED = 1, NULLABLE = 2, LAX = 4 };
enum { CONSTANT, GIVEN, SAME, OR_NONE, MS, AS_TEXT, COUNT, DECIMAL, DECIMAL_OR_NONE, SIGNED_OR_NONE, SUBSCRIBED, TIME,
       PLAIN_NUMBER, NUMBER_OR_NONE, SIGNED_NUMBER_OR_NONE, ISO, MAPPED, EITHER, ADDED, COLUMN, APPLIED, CLOSES, FIRST,
       MS_TEXT, TOP, OFFERED, CLOSES_ISO, ONE, MAGNITUDE, SIGN, STEPS };
enum { ANY, NEXT, COUNTED, RISING, CHAINED, RENEWED, OPEN_CANDLE, CHECKED, RULES };
enum { MAX_FIELDS = 64, MAX_STEPS = 48, MAX_EMITS = 8, MAX_NAME = 160, MAX_PARTS = 8, MAX_SEEN = 32, MAX_ONCE = 4 };

typedef struct Shape Shape;

typedef struct {
    const char *name;
    Py_ssize_t length;
    int type, flags, slot;
    long long low, high; /* of an integer, of the length of a text */
    Shape *inner;
    Spelling spelling;
    PyObject *tag; /* the text that it must have; of a TEXT: those that it may have, or None */
} Field;

/* What the key at a place was in the last message: mostly it is so in the next. */
typedef struct {
    char name[15];
    unsigned char length;
    int field; /* -1: none of ours */
} Seen;

struct Shape {
    int count, is_list;
    uint64_t required;
    Field *fields;
    Seen seen[MAX_SEEN];
};

typedef struct Step Step;
struct Step {
    int op, slot, place; /* place: among what is given, what a subscription says, or the columns of a side */
    long long factor;    /* of a time, or what is added */
    PyObject *constant;  /* also: the pairs of a table; the text that decides between two steps */
    Step *then, *other;
};

typedef struct {
    PyTypeObject *event;
    int count;
    Step *steps;
    int rule, number, previous, counted; /* slots; -1: none */
    int kind, limit;                     /* fields of a book: the type of update, the levels; -1: none */
    int interval, closed, opened;        /* fields of a candle; opened -1: the venue says when one is closed */
    PyObject *delta;                     /* the type of update that goes on */
    int checksum, best;                  /* of a book that is kept: slot of its checksum, of so many levels; best 0: none */
    int columns;                         /* its first column, a field of the event */
    int when, word;                      /* 0 = always; only of elements with this text in slot `word` (1 is, 2 has, 4 is not),
                                            3 = one of the fields of `offers` is more than nothing */
    PyObject *text;
    uint64_t offers;
    int refuse; /* slot; -1: none. What has this text there is no event */
    PyObject *refused;
    PyObject *published; /* symbol -> values of the once fields that the last event had; NULL: every time */
    int once[MAX_ONCE], once_count;
    int apart;                           /* several in a message are told apart by the session */
    int back;                            /* how far before `previous` the number is that the event goes on from */
    PyObject *count_by, *times;            /* of events without ids: what gives the ordinal; series -> time -> ordinal */
    Py_ssize_t transaction_time, event_time, update_type, ordinal; /* fields of an event that is counted */
    PyObject *expected;                                            /* its type of update; None: it has none */
    uint64_t on_change, needs, raw;                                /* by slot of the element; raw: those of `needs` that only have to be there */
} Emit;

typedef struct {
    int slot; /* -1: no value behind this text */
    const char *text;
    Py_ssize_t length;
} Part;

typedef struct {
    Shape *shape;
    int slots, many, emits; /* many: a list of elements */
    int backwards;          /* the newest element comes first */
    int identity, most;     /* slot of what tells elements apart that may come again, so many are known; -1: none do */
    int named, guard;       /* slots of what must be the stream's symbol, and of what must not be `unwanted`; -1: none */
    long long unwanted;
    PyObject *known;        /* stream -> the identities that are */
    Value *row; /* as it is before anything is read */
    Emit *emit;
    PyTypeObject *wire;                  /* of a stream that sends what changed */
    Py_ssize_t *offsets;                 /* of its fields, by slot */
    Part part[MAX_PARTS];                /* of the name that an element's fields make, where they do */
    int parts;
    int changing;                        /* envelope slot that says whether it is all; -1: no such stream */
    PyObject *everything;                /* the text that says so */
    uint64_t changes;                    /* slots of the fields that are kept */
} Table;

typedef struct {
    PyObject *name, *said, *key; /* said: what the subscription says; key: of its state */
    const char *text, *symbol;   /* text: what its messages name */
    Py_ssize_t length, symbol_length;
    PyObject *symbol_object;
    Table *table;
    PyObject *series[MAX_EMITS];  /* NULL: this event is not wanted */
    PyObject *counted[MAX_EMITS]; /* what the times of its events are kept by */
    uint32_t hash;
} Stream;

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *tables, *otherwise, *connection, *received, *outages, *unheard, *states;
    Shape *envelope;
    Value *before; /* of the envelope */
    int slots, parts, count, mask, alone; /* alone: a message is its element */
    Part part[MAX_PARTS];
    Stream *streams;
    int *places; /* hash table: stream or -1 */
    PyTypeObject *series;
    Py_ssize_t next, at_ns, gap_ns, grid, waiting, pending;
    PyTypeObject *book; /* what is kept where a checksum proves it */
    Py_ssize_t bids, asks, levels;
    PyTypeObject *candle;
    Py_ssize_t opened;
    /* of the message at hand */
    Value *values; /* envelope, then elements */
    Py_ssize_t capacity, elements;
    const char *data;
    Stream *stream;
    Sides sides;
    void **owned;
    int owned_count;
} Scanner;

static inline PyObject **
slot_of(PyObject *owner, Py_ssize_t offset)
{
    return (PyObject **)((char *)owner + offset);
}

/* Reading. Whatever is not usual is -1. */

enum { NO_KEY = -2 };

static inline int
same_name(const char *one, const char *other, int length)
{
    for (; length >= 8; one += 8, other += 8, length -= 8) {
        uint64_t a, b;
        memcpy(&a, one, 8);
        memcpy(&b, other, 8);
        if (a != b)
            return 0;
    }
    while (length-- > 0)
        if (*one++ != *other++)
            return 0;
    return 1;
}

/* `base`: where the values of the table begin that the shape is of, less the envelope's; the array may move. */
static int read_struct(Scanner *self, const char **at, const char *end, Shape *shape, Py_ssize_t base);

static inline int
is_text(const Value *value, PyObject *text)
{
    return (value->kind == STRING_VALUE || value->kind == WHOLE_VALUE) && value->length == PyBytes_GET_SIZE(text) &&
           memcmp(value->at, PyBytes_AS_STRING(text), value->length) == 0;
}

static int
append_part(char *name, Py_ssize_t *length, const char *text, Py_ssize_t octets)
{
    if (*length + octets > MAX_NAME)
        return -1;
    memcpy(name + *length, text, octets);
    *length += octets;
    return 0;
}

static uint32_t
hash_of(const char *text, Py_ssize_t length)
{
    uint64_t hash = (uint64_t)length, word;
    for (; length > 0; text += 8, length -= 8) {
        word = 0;
        memcpy(&word, text, length < 8 ? (size_t)length : 8);
        hash = (hash ^ word) * 0x9E3779B97F4A7C15ULL;
        hash ^= hash >> 32;
    }
    return (uint32_t)hash;
}

static Stream *
stream_of(Scanner *self, const char *name, Py_ssize_t length)
{
    uint32_t hash = hash_of(name, length);
    for (int at = (int)(hash & (uint32_t)self->mask); self->places[at] >= 0; at = (at + 1) & self->mask) {
        Stream *stream = &self->streams[self->places[at]];
        if (stream->hash == hash && stream->length == length && memcmp(stream->text, name, length) == 0)
            return stream;
    }
    return NULL;
}

/* The stream whose name the parts make; NULL where one is missing, or there is none. */
static Stream *
named(Scanner *self, const Part *parts, int count, const Value *values)
{
    char name[MAX_NAME];
    Py_ssize_t length = 0;
    for (int i = 0; i < count; i++) {
        const Value *value = parts[i].slot < 0 ? NULL : &values[parts[i].slot];
        if (append_part(name, &length, parts[i].text, parts[i].length) < 0)
            return NULL;
        if (value == NULL)
            continue;
        if ((value->kind != STRING_VALUE && value->kind != WHOLE_VALUE) ||
            append_part(name, &length, value->at, value->length) < 0)
            return NULL;
    }
    return stream_of(self, name, length);
}

static int
read_element(Scanner *self, const char **at, const char *end)
{
    const Table *table = self->stream->table;
    Py_ssize_t needed = self->slots + (self->elements + 1) * table->slots;
    if (needed > self->capacity) {
        Value *values = PyMem_Realloc(self->values, (size_t)needed * 2 * sizeof(Value));
        if (values == NULL)
            return -1;
        self->values = values;
        self->capacity = needed * 2;
    }
    Py_ssize_t base = self->elements++ * table->slots; /* a row's slots are numbered behind the envelope's */
    memcpy(self->values + self->slots + base, table->row, (size_t)table->slots * sizeof(Value));
    return read_struct(self, at, end, table->shape, base);
}

static int
read_elements(Scanner *self, const char **at, const char *end)
{
    if (!self->stream->table->many)
        return read_element(self, at, end);
    if (!take(at, end, '['))
        return -1;
    for (;;) {
        if (read_element(self, at, end) < 0)
            return -1;
        if (take(at, end, ']'))
            return 0;
        if (!take(at, end, ','))
            return -1;
    }
}

static int
read_data(Scanner *self, const char **at, const char *end)
{
    Value passed_over;
    if ((self->stream = named(self, self->part, self->parts, self->values)) != NULL)
        return read_elements(self, at, end);
    self->data = *at; /* its name comes behind it */
    return read_value(at, end, &passed_over, 0);
}

static int
read_integer(const Field *field, Value *value)
{
    int is_text = value->kind == STRING_VALUE;
    if ((value->kind != WHOLE_VALUE && !(is_text && field->flags & LAX)) ||
        read_whole(value->at, value->length, &value->number) < 0)
        return -1;
    value->kind = WHOLE_VALUE;
    return value->number < field->low || value->number > field->high ? -1 : 0;
}

static int
read_levels(Scanner *self, const char **at, const char *end, const Field *field, Value *value)
{
    size_t start = self->sides.size;
    Py_ssize_t count = read_side(at, end, &field->spelling, &self->sides);
    value->kind = SIDE_VALUE;
    value->length = count;
    value->start = (Py_ssize_t)start;
    value->octets = (unsigned)(self->sides.size - start);
    return count < 0 || count < field->low || count > field->high ? -1 : 0;
}

static int
is_one_of(const Value *value, PyObject *words)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(words); i++)
        if (is_text(value, PyTuple_GET_ITEM(words, i)))
            return 1;
    return 0;
}

static int
read_field(Scanner *self, const char **at, const char *end, const Field *field, Py_ssize_t base)
{
    switch (field->type) {
    case INNER:
        return read_struct(self, at, end, field->inner, base);
    case DATA:
        return read_data(self, at, end);
    case TAG: {
        Value tag;
        return read_value(at, end, &tag, 0) == 0 && tag.kind == STRING_VALUE && is_text(&tag, field->tag) ? 0 : -1;
    }
    case LEVELS:
        return read_levels(self, at, end, field, &self->values[base + field->slot]);
    }
    Value *value = &self->values[base + field->slot];
    if (read_value(at, end, value, 0) < 0)
        return -1;
    if (field->type == RAW)
        return 0;
    if (value->kind == NULL_VALUE)
        return field->flags & NULLABLE ? 0 : -1;
    switch (field->type) {
    case TEXT:
        if (value->kind != STRING_VALUE || value->length < field->low || value->length > field->high)
            return -1;
        if (field->tag != Py_None && !is_one_of(value, field->tag))
            return -1;
        return field->flags & LAX && value->length == 4 && (*value->at | 32) == 'n' ? -1 : 0; /* "null" is None there */
    case INTEGER:
        return read_integer(field, value);
    default:
        if (field->flags & LAX && value->kind == STRING_VALUE && value->length == 1 && (*value->at | 1) == '1')
            value->kind = *value->at == '1' ? TRUE_VALUE : FALSE_VALUE;
        return value->kind == TRUE_VALUE || value->kind == FALSE_VALUE ? 0 : -1;
    }
}

/* A Struct whose fields have their places. */
static int
read_list(Scanner *self, const char **at, const char *end, Shape *shape, Py_ssize_t base)
{
    uint64_t seen = 0;
    if (!take(at, end, '['))
        return -1;
    for (int i = 0;; i++) {
        Value passed_over;
        if (i < shape->count ? read_field(self, at, end, &shape->fields[i], base)
                             : read_value(at, end, &passed_over, 0))
            return -1;
        if (i < shape->count)
            seen |= 1ULL << i;
        if (take(at, end, ']'))
            return shape->required & ~seen ? -1 : 0;
        if (!take(at, end, ','))
            return -1;
    }
}

/* Which field the key at `*at` is of, -1: none of ours; past it. NO_KEY: it is not usual. */
static int
field_at(const Shape *shape, Seen *seen, const char **at, const char *end)
{
    const char *key = *at;
    if (seen != NULL && end - key > (Py_ssize_t)sizeof seen->name && key[seen->length] == '"' && seen->length &&
        same_name(seen->name, key, seen->length)) {
        *at = key + seen->length + 1;
        return seen->field;
    }
    if ((*at = after_string(key, end)) == NULL)
        return NO_KEY;
    Py_ssize_t length = (*at)++ - key;
    int found = -1;
    for (int i = 0; found < 0 && i < shape->count; i++)
        if (shape->fields[i].length == length && memcmp(shape->fields[i].name, key, length) == 0)
            found = i;
    if (seen != NULL && length <= (Py_ssize_t)sizeof seen->name) {
        memcpy(seen->name, key, length);
        seen->length = (unsigned char)length;
        seen->field = found;
    }
    return found;
}

static int
read_struct(Scanner *self, const char **at, const char *end, Shape *shape, Py_ssize_t base)
{
    uint64_t seen = 0;
    if (shape->is_list)
        return read_list(self, at, end, shape, base);
    if (!take(at, end, '{'))
        return -1;
    if (take(at, end, '}'))
        return shape->required ? -1 : 0;
    for (int place = 0;; place++) {
        if (!take(at, end, '"'))
            return -1;
        int found = field_at(shape, place < MAX_SEEN ? &shape->seen[place] : NULL, at, end);
        if (found == NO_KEY || !take(at, end, ':'))
            return -1;
        if (found < 0) {
            Value passed_over;
            if (read_value(at, end, &passed_over, 0) < 0)
                return -1;
        }
        else {
            if (seen & (1ULL << found))
                return -1;
            seen |= 1ULL << found;
            if (read_field(self, at, end, &shape->fields[found], base) < 0)
                return -1;
        }
        if (take(at, end, '}'))
            return shape->required & ~seen ? -1 : 0;
        if (!take(at, end, ','))
            return -1;
    }
}

/* Making. NULL is: not usual, with or without an exception. */

static inline PyObject *
text_of(const char *at, Py_ssize_t length)
{
    PyObject *made = PyUnicode_New(length, 127);
    if (made != NULL)
        memcpy(PyUnicode_1BYTE_DATA(made), at, length);
    return made;
}

static PyObject *
plain_number(const Value *value, int is_signed)
{
    char plain[LONGEST_DECIMAL];
    if (value->kind != STRING_VALUE && value->kind != WHOLE_VALUE && value->kind != NUMBER_VALUE)
        return NULL;
    int length = plain_decimal(value->at, value->length, is_signed, plain);
    return length < 0 ? NULL : text_of(plain, length);
}

static int
digits_of(const char **at, const char *end, int count)
{
    int found = 0;
    for (int i = 0; i < count; i++, (*at)++) {
        if (*at >= end || (unsigned char)(**at - '0') > 9)
            return -1;
        found = found * 10 + (**at - '0');
    }
    return found;
}

/* 2026-10-06T08:04:56.153890Z in nanoseconds, -1: not usual. iso_ns in wsadapter/exchanges/mapping.py. */
static int
iso_ns(const Value *value, long long *ns)
{
    static const int lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    static const char marks[6] = "--T::";
    const char *at = value->at, *end = at + value->length;
    int part[6];
    if (value->kind != STRING_VALUE)
        return -1;
    for (int i = 0; i < 6; i++)
        if ((part[i] = digits_of(&at, end, i == 0 ? 4 : 2)) < 0 || (i < 5 && (at >= end || *at++ != marks[i])))
            return -1;
    long long year = part[0], month = part[1], day = part[2];
    int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (year < 1970 || year > 2100 || month < 1 || month > 12 || day < 1 ||
        day > lengths[month - 1] + (month == 2 && leap) || part[3] > 23 || part[4] > 59 || part[5] > 59)
        return -1;
    long long fraction = 0, unit = 1000000000;
    if (at < end && *at == '.') {
        at++;
        const char *first = at;
        for (; at < end && (unsigned char)(*at - '0') < 10 && unit > 1; at++, unit /= 10)
            fraction = fraction * 10 + (*at - '0');
        if (at == first)
            return -1;
    }
    if (!((end - at == 1 && *at == 'Z') || (end - at == 6 && memcmp(at, "+00:00", 6) == 0)))
        return -1;
    long long days = (year - 1970) * 365 + (year - 1969) / 4 - (year - 1901) / 100 + (year - 1601) / 400 + day - 1;
    for (int i = 0; i < month - 1; i++)
        days += lengths[i] + (i == 1 && leap);
    long long seconds = days * 86400 + part[3] * 3600 + part[4] * 60 + part[5];
    *ns = seconds * 1000000000 + fraction * unit;
    return 0;
}

static int
append(PyObject *items, PyObject *event)
{
    if (event == NULL)
        return -1;
    int done = PyList_Append(items, event);
    Py_DECREF(event);
    return done;
}

/* The values of an event that is being made. */
typedef struct {
    const Stream *stream;
    const Value *envelope, *row; /* row: numbered behind the envelope's slots */
    PyObject *given[3];          /* receive time, connection, time of the last gap */
    PyObject *columns[2][2];     /* of the sides in these slots */
    int sides[2];
    PyObject *identities; /* of elements that may come again */
} Making;

static inline const Value *
value_at(const Scanner *self, const Making *making, int slot)
{
    return (slot < self->slots ? making->envelope : making->row) + slot;
}

static PyObject *
column(Scanner *self, Making *making, const Step *step, const Value *value)
{
    int which = making->sides[0] < 0 || making->sides[0] == step->slot ? 0 : 1;
    if (value->kind != SIDE_VALUE || (making->sides[which] >= 0 && making->sides[which] != step->slot))
        return NULL;
    if (making->sides[which] < 0) {
        making->sides[which] = step->slot;
        if (make_columns(&self->sides, value->start, value->start + value->octets, value->length, making->columns[which]) < 0)
            return NULL;
    }
    return Py_XNewRef(making->columns[which][step->place]);
}

static PyObject *
same(const Making *making, const Value *value)
{
    switch (value->kind) {
    case STRING_VALUE: {
        if (value->object != NULL)
            return Py_NewRef(value->object);
        const Stream *stream = making->stream;
        if (value->length == stream->symbol_length && memcmp(value->at, stream->symbol, value->length) == 0)
            return Py_NewRef(stream->symbol_object);
        for (Py_ssize_t i = 0; i < value->length; i++)
            if (value->at[i] & 0x80)
                return PyUnicode_DecodeUTF8(value->at, value->length, NULL);
        return text_of(value->at, value->length);
    }
    case WHOLE_VALUE:
        return PyLong_FromLongLong(value->number);
    case TRUE_VALUE:
        return Py_NewRef(Py_True);
    case FALSE_VALUE:
        return Py_NewRef(Py_False);
    case NULL_VALUE:
        return Py_NewRef(Py_None);
    }
    return NULL;
}

static PyObject *
decimal(const Making *making, const Value *value, int op)
{
    if (value->kind == NULL_VALUE || (value->kind == STRING_VALUE && value->length == 0))
        return op == DECIMAL ? NULL : Py_NewRef(Py_None);
    if (value->kind != STRING_VALUE)
        return NULL;
    const char *end = value->at + value->length;
    if (after_plain(value->at + (op == SIGNED_OR_NONE && *value->at == '-'), end) != end)
        return NULL;
    return value->object != NULL ? Py_NewRef(value->object) : text_of(value->at, value->length);
}

static PyObject *
translated(const Step *step, const Value *value)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(step->constant); i++) {
        PyObject *pair = PyTuple_GET_ITEM(step->constant, i), *word = PyTuple_GET_ITEM(pair, 0);
        if (word == Py_True   ? value->kind == TRUE_VALUE
            : word == Py_False ? value->kind == FALSE_VALUE
                               : is_text(value, word))
            return Py_NewRef(PyTuple_GET_ITEM(pair, 1));
    }
    return NULL;
}

static PyObject *
make_value(Scanner *self, Making *making, const Step *step)
{
    const Value *value = value_at(self, making, step->slot);
    long long number;
    switch (step->op) {
    case CONSTANT:
        return Py_NewRef(step->constant);
    case GIVEN:
        return Py_NewRef(making->given[step->place]);
    case SUBSCRIBED:
        return Py_NewRef(PyTuple_GET_ITEM(making->stream->said, step->place));
    case SAME:
        return same(making, value);
    case OR_NONE:
        return value->kind == STRING_VALUE && value->length == 0 ? Py_NewRef(Py_None) : same(making, value);
    case DECIMAL:
    case DECIMAL_OR_NONE:
    case SIGNED_OR_NONE:
        return decimal(making, value, step->op);
    case PLAIN_NUMBER:
        return plain_number(value, 0);
    case MAGNITUDE: {
        Value bare = *value;
        if (bare.kind >= STRING_VALUE && bare.kind <= NUMBER_VALUE && bare.length && *bare.at == '-') {
            bare.at++;
            bare.length--;
        }
        return plain_number(&bare, 0);
    }
    case SIGN: /* without a sign it is `then` */
        if (value->kind < STRING_VALUE || value->kind > NUMBER_VALUE || !value->length)
            return NULL;
        return make_value(self, making, *value->at == '-' ? step->other : step->then);
    case NUMBER_OR_NONE:
    case SIGNED_NUMBER_OR_NONE:
        if (value->kind == NULL_VALUE || value->kind == EMPTY_VALUE)
            return Py_NewRef(Py_None);
        return plain_number(value, step->op == SIGNED_NUMBER_OR_NONE);
    case ISO:
        if (value->kind == NULL_VALUE)
            return Py_NewRef(Py_None);
        return iso_ns(value, &number) < 0 ? NULL : PyLong_FromLongLong(number);
    case CLOSES_ISO: {
        PyObject *length = PyTuple_GET_ITEM(making->stream->said, step->place);
        long long closes = PyLong_Check(length) ? PyLong_AsLongLong(length) : -1;
        if (closes < 0 || iso_ns(value, &number) < 0 || number % 1000000)
            return NULL;
        return PyLong_FromLongLong(number + closes);
    }
    case OFFERED: {
        const Value *amount = value_at(self, making, step->place);
        char plain[LONGEST_DECIMAL];
        if (amount->kind == NULL_VALUE || amount->kind == EMPTY_VALUE)
            return Py_NewRef(Py_None);
        if (amount->kind < STRING_VALUE || amount->kind > NUMBER_VALUE)
            return NULL;
        int digits = plain_decimal(amount->at, amount->length, 0, plain), nothing = digits < 0 ? -1 : 1;
        for (int i = 0; i < digits; i++)
            nothing &= plain[i] == '0' || plain[i] == '.';
        return nothing < 0 ? NULL : nothing ? Py_NewRef(Py_None) : plain_number(value, 0);
    }
    case ONE: {
        PyObject *list = PyList_New(0);
        PyObject *is_asks = list == NULL ? NULL : translated(step, value);
        if (is_asks == NULL || (is_asks == (step->factor ? Py_True : Py_False) &&
                                append(list, plain_number(value_at(self, making, step->place), 0)) < 0))
            Py_CLEAR(list);
        Py_XDECREF(is_asks);
        return list;
    }
    case MAPPED:
        return translated(step, value);
    case EITHER:
        if (value->kind == NO_VALUE)
            return NULL;
        return make_value(self, making, (step->constant == Py_None ? value->kind == NULL_VALUE
                                                                    : is_text(value, step->constant))
                                            ? step->then
                                            : step->other);
    case COLUMN:
        return column(self, making, step, value);
    case TOP: {
        if (value->kind != SIDE_VALUE || value->length == 0)
            return value->kind == SIDE_VALUE ? Py_NewRef(Py_None) : NULL;
        LevelsCursor cursor = levels_begin(self->sides.bytes + value->start, step->place);
        Py_ssize_t length;
        const char *text = levels_next(&cursor, &length);
        return text_of(text, length);
    }
    case MS_TEXT: {
        long long time;
        if (value->kind == NULL_VALUE || (value->kind == STRING_VALUE && value->length == 0))
            return Py_NewRef(Py_None);
        if (value->kind != STRING_VALUE || read_whole(value->at, value->length, &time) < 0 || time < 0 ||
            time > (1LL << 62) / 1000000)
            return NULL;
        return time ? PyLong_FromLongLong(time * 1000000) : Py_NewRef(Py_None);
    }
    case APPLIED: {
        PyObject *found = same(making, value), *made = found == NULL ? NULL : PyObject_CallOneArg(step->constant, found);
        Py_XDECREF(found);
        return made;
    }
    }
    if (value->kind == NULL_VALUE && (step->op == MS || step->op == TIME || step->op == COUNT))
        return Py_NewRef(Py_None);
    if (value->kind != WHOLE_VALUE)
        return NULL;
    switch (step->op) {
    case MS:
    case TIME:
        if (step->factor == 0) { /* milliseconds or microseconds, by their size */
            if (value->number > LLONG_MAX / 1000 || value->number < 0)
                return NULL;
            return PyLong_FromLongLong(value->number * (value->number <= (1LL << 62) / 1000000 ? 1000000 : 1000));
        }
        if (value->number > LLONG_MAX / step->factor || value->number < 0)
            return NULL;
        return PyLong_FromLongLong(value->number * step->factor);
    case CLOSES: {
        PyObject *length = PyTuple_GET_ITEM(making->stream->said, step->place);
        long long closes = PyLong_Check(length) ? PyLong_AsLongLong(length) : -1;
        if (closes < 0 || value->number < 0 || value->number > (LLONG_MAX - closes) / step->factor)
            return NULL;
        return PyLong_FromLongLong(value->number * step->factor + closes);
    }
    case FIRST: {
        const Value *count = value_at(self, making, step->place);
        long long first = value->number - (count->kind == WHOLE_VALUE ? count->number : LLONG_MAX) + 1;
        return first < 0 ? NULL : PyLong_FromLongLong(first);
    }
    case ADDED:
        return PyLong_FromLongLong(value->number + step->factor);
    case COUNT:
        return value->number < 0 ? Py_NewRef(Py_None) : PyLong_FromLongLong(value->number);
    default: { /* AS_TEXT */
        char digits[24], *at = digits + sizeof digits;
        unsigned long long left = value->number < 0 ? -(unsigned long long)value->number : (unsigned long long)value->number;
        do
            *--at = (char)('0' + left % 10);
        while (left /= 10);
        if (value->number < 0)
            *--at = '-';
        return text_of(at, digits + sizeof digits - at);
    }
    }
}

/* What the message's events do to a series. */
typedef struct {
    long long next;
    int known, moved;
    PyObject *candle; /* the last one, where the next one closes it; borrowed */
    PyObject *once;   /* what the last event has, of those that come when that changes */
    int made;
} Position;

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

/* Whether a change of a book that has begun leads to its checksum. One that does not has changed the book all the same:
 * who looks at it again changes it into the same. */
static int
proves(Scanner *self, const Emit *emit, PyObject *series, const Making *making, PyObject *const *values)
{
    PyObject *book = PyDict_GetItemWithError(self->states, making->stream->key);
    if (book == NULL || Py_TYPE(book) != self->book || *slot_of(series, self->waiting) != Py_False ||
        values[emit->kind] != emit->delta || self->elements != 1)
        return 0;
    if (emit->best == 0)
        return 1;
    const Value *checksum = value_at(self, making, emit->checksum);
    PyObject *bids = *slot_of(book, self->bids), *asks = *slot_of(book, self->asks);
    Py_ssize_t levels = PyLong_AsSsize_t(*slot_of(book, self->levels));
    PyObject *const *columns = values + emit->columns;
    if (levels < 0 || (checksum->kind != WHOLE_VALUE && checksum->kind != NULL_VALUE) ||
        change_side(bids, columns[0], columns[1], levels) < 0 || change_side(asks, columns[2], columns[3], levels) < 0)
        return 0;
    return checksum->kind == NULL_VALUE ||
           checksum->number == (long long)book_digits_crc(bids, emit->best, book_digits_crc(asks, emit->best, 0));
}

/* Whether the event is the next one of its series; moves `position`. */
static int
goes_on(Scanner *self, const Emit *emit, PyObject *series, const Making *making, PyObject *const *values,
        Position *position)
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
    if (emit->limit >= 0 && PyObject_IsTrue(values[emit->limit]) != 0)
        return emit->rule == CHAINED; /* the top levels are no part of the series */
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
        if (*slot_of(series, self->waiting) != Py_False || values[emit->kind] != emit->delta || position->next < 0 ||
            value == before)
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
    PyObject *values[MAX_STEPS + 1], *event = NULL, *gap = *slot_of(series, self->gap_ns);
    int made = 0;
    if (gap == NULL)
        return NULL;
    making->given[2] = gap;
    while (made < emit->count && (values[made + 1] = make_value(self, making, &emit->steps[made])) != NULL)
        made++;
    if (made == emit->count && goes_on(self, emit, series, making, values + 1, position) &&
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
            if (emit->offers >> slot & 1 && says(&row[slot], 1))
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
        return same(making, value);
    int quoted = value->kind == STRING_VALUE;
    return PyBytes_FromStringAndSize(value->at - quoted, value->length + 2 * quoted);
}

/* 1 = they have changed, 0 = they have not, or do not all say something; -1 = not usual. */
static int
has_changed(const Emit *emit, const Making *making, const Value *row, Position *position)
{
    PyObject *before = position->once != NULL
                           ? position->once
                           : PyDict_GetItemWithError(emit->published, making->stream->symbol_object);
    PyObject *now = PyTuple_New(emit->once_count);
    int same_values = now == NULL ? -1 : 1;
    for (int i = 0; same_values >= 0 && i < emit->once_count; i++) {
        int slot = emit->once[i], is_raw = (int)(emit->raw >> slot & 1);
        if (!says(&row[slot], is_raw)) {
            Py_DECREF(now);
            return row[slot].kind == NO_VALUE ? -1 : 0;
        }
        PyObject *value = kept_value(making, &row[slot], is_raw);
        if (value == NULL)
            same_values = -1;
        else
            PyTuple_SET_ITEM(now, i, value);
    }
    if (same_values > 0)
        same_values = before == NULL ? 0 : PyObject_RichCompareBool(before, now, Py_EQ);
    if (same_values != 0) {
        Py_XDECREF(now);
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

/* The event of an element, where it has one. */
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
    return append(items, make_event(self, emit, series, making, position));
}

/* 1 = it is a new one, kept in `making`; 0 = the element has come before; -1 = not usual. */
static int
note_identity(const Table *table, Making *making, const Value *value)
{
    PyObject *known = PyDict_GetItemWithError(table->known, making->stream->name);
    PyObject *identity = known == NULL || !PyDict_CheckExact(known) ? NULL : same(making, value);
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
    PyObject *known, *oldest, *unused;
    if (making->identities == NULL)
        return 0;
    known = PyDict_GetItemWithError(table->known, making->stream->name);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(making->identities); i++) {
        Py_ssize_t at = 0;
        if (PyDict_SetItem(known, PyList_GET_ITEM(making->identities, i), Py_None) < 0)
            return -1;
        if (PyDict_GET_SIZE(known) > table->most && PyDict_Next(known, &at, &oldest, &unused)) {
            Py_INCREF(oldest);
            int done = PyDict_DelItem(known, oldest);
            Py_DECREF(oldest);
            if (done < 0)
                return -1;
        }
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
        if (append(items, make_event(self, emit, self->stream->series[each], making, &positions[each])) < 0)
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
        Py_XSETREF(*slot_of(series, self->next), next);
        if (table->emit[each].rule != RISING)
            Py_XSETREF(*slot_of(series, self->at_ns), Py_NewRef(received));
    }
    return 0;
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

static PyObject *
make_items(Scanner *self, PyObject *received)
{
    const Table *table = self->stream->table;
    Position positions[MAX_EMITS] = {{0}};
    Making making = {.stream = self->stream, .envelope = self->values, .sides = {-1, -1}};
    PyObject *items, *state = NULL, *made[MAX_FIELDS] = {NULL};
    if (waits(self) != 0)
        return NULL;
    if (table->changing >= 0 &&
        ((state = PyDict_GetItemWithError(self->states, self->stream->key)) == NULL || Py_TYPE(state) != table->wire))
        return NULL;
    if ((items = PyList_New(0)) == NULL)
        return NULL;
    making.given[0] = received;
    making.given[1] = self->connection;
    int done = state == NULL ? make_all(self, &making, items, positions)
                             : make_changed(self, &making, items, positions, state, made);
    if (done == 0)
        done = PyDict_SetItem(self->received, self->stream->name, received);
    if (done == 0)
        done = move_series(self, positions, received);
    if (done == 0)
        done = keep_identities(table, &making);
    Py_XDECREF(making.identities);
    if (done == 0)
        done = count_events(self->stream, items, received);
    for (int slot = 0; slot < (state == NULL ? 0 : table->slots); slot++)
        if (made[slot] != NULL) {
            if (done == 0)
                Py_XSETREF(*slot_of(state, table->offsets[slot]), made[slot]);
            else
                Py_DECREF(made[slot]);
        }
    for (int each = 0; each < table->emits; each++)
        Py_XDECREF(positions[each].once);
    if (done < 0)
        Py_CLEAR(items);
    return items;
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
    const char *at = view.buf, *end = at + view.len;
    memcpy(self->values, self->before, (size_t)self->slots * sizeof(Value));
    self->elements = 0;
    self->sides.size = 0;
    self->stream = NULL;
    self->data = NULL;
    int read = read_struct(self, &at, end, self->envelope, 0);
    if (read == 0 && skip_space(at, end) != end)
        read = -1;
    if (read == 0 && self->stream == NULL) {
        read = -1;
        if (self->alone)
            self->data = view.buf;
        if (self->data != NULL && (self->stream = named(self, self->part, self->parts, self->values)) != NULL)
            read = self->alone ? read_element(self, &self->data, end) : read_elements(self, &self->data, end);
    }
    for (Py_ssize_t i = 0; read == 0 && self->stream->table->parts && i < self->elements; i++) {
        const Table *table = self->stream->table;
        Stream *stream = named(self, table->part, table->parts, self->values + i * table->slots);
        if (stream == NULL || stream->table != table || (i && stream != self->stream))
            read = -1;
        else
            self->stream = stream;
    }
    if (read == 0)
        items = make_items(self, received);
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

/* What wsadapter/exchanges/scanner.py tells. All that is borrowed from it lives as long as `tables`. */

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
    if (!PyArg_ParseTuple(told, "iiiiy#y#", &spelling->price_at, &spelling->quantity_at, &spelling->places,
                          &spelling->numbers, &price, &price_length, &quantity, &quantity_length))
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

static Py_ssize_t
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
        (emit->rule == CHECKED && (emit->checksum >= slots || emit->checksum < 0 || emit->best < 0 || emit->columns < 0 ||
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

static int
read_tables(Scanner *self)
{
    PyObject *shape, *kinds, *parts, *told, *streams;
    if (!PyArg_ParseTuple(self->tables, "OO!O!O!O!i", &shape, &PyTuple_Type, &kinds, &PyTuple_Type, &parts,
                          &PyTuple_Type, &told, &PyTuple_Type, &streams, &self->alone))
        return -1;
    int count = (int)PyTuple_GET_SIZE(told), widest = 0;
    self->slots = (int)PyTuple_GET_SIZE(kinds);
    Table *tables = owned(self, (size_t)count, sizeof(Table));
    if (tables == NULL || (self->envelope = read_shape(self, shape, self->slots)) == NULL ||
        (self->before = read_row(self, kinds)) == NULL)
        return -1;
    for (int i = 0; i < count; i++) {
        if (read_table(self, PyTuple_GET_ITEM(told, i), &tables[i]) < 0)
            return -1;
        widest = tables[i].slots > widest ? tables[i].slots : widest;
    }
    self->capacity = self->slots + widest;
    if ((self->values = PyMem_Calloc((size_t)self->capacity + 1, sizeof(Value))) == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if ((self->parts = read_parts(parts, self->part, self->slots)) < 0)
        return -1;
    return read_streams(self, streams, tables, count);
}

static PyObject *
scanner_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *tables, *otherwise, *connection, *received, *outages, *unheard, *states, *series, *candle, *book, *member[10];
    if (!PyArg_ParseTuple(args, "O!OUO!OO!O!O!OOOOOO!OOO!OOO", &PyTuple_Type, &tables, &otherwise, &connection, &PyDict_Type,
                          &received, &outages, &PySet_Type, &unheard, &PyDict_Type, &states, &PyType_Type, &series,
                          &member[0], &member[1], &member[2], &member[3], &member[4], &PyType_Type, &candle, &member[5],
                          &member[6], &PyType_Type, &book, &member[7], &member[8], &member[9]))
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
    Py_ssize_t *const offsets[10] = {&self->next,    &self->at_ns,  &self->gap_ns, &self->grid,
                                     &self->waiting, &self->opened, &self->pending, &self->bids,
                                      &self->asks,    &self->levels};
    int whole = 1;
    for (int i = 0; i < 10; i++)
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
    return 0;
}

/* The tables stay: what is read from them does. */
static int
scanner_clear(Scanner *self)
{
    Py_CLEAR(self->otherwise);
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
    for (int i = 0; i < self->owned_count; i++)
        PyMem_Free(self->owned[i]);
    PyMem_Free(self->owned);
    PyMem_Free(self->values);
    PyMem_Free(self->sides.bytes);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

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
              "type, its member, member of the outages, book type, its members).",
    .tp_new = scanner_new,
};

int
add_scanner(PyObject *module)
{
    if (PyType_Ready(&Scanner_Type) < 0)
        return -1;
    return PyModule_AddObjectRef(module, "Scanner", (PyObject *)&Scanner_Type);
}
