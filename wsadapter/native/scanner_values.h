/* A field of an event from the values of a message: one step, as wsadapter/exchanges/mapping.py declares it.
 *
 * A step gives a `FieldValue`, of which an object is made (for an event) or octets (for a record, scanner_records.h).
 * -1, or NULL, is: not usual, with or without an exception. Nothing changes but the columns that are kept in `making`.
 */
#ifndef WSADAPTER_SCANNER_VALUES_H
#define WSADAPTER_SCANNER_VALUES_H
#include "scanner.h"

enum { ABSENT, BORROWED, OWNED, ASCII, UTF8, NUMERAL, LEVEL_TEXTS };

typedef struct {
    int kind, column, slot; /* column, slot: of LEVEL_TEXTS */
    PyObject *object;       /* BORROWED, OWNED: it is made already */
    const char *at;         /* ASCII, UTF8; of LEVEL_TEXTS: the side's first level */
    Py_ssize_t length;      /* of the same; of LEVEL_TEXTS: how many */
    long long number;
} FieldValue;

static inline int
absent(FieldValue *made)
{
    made->kind = ABSENT;
    return 0;
}

static inline int
borrowed(FieldValue *made, PyObject *object)
{
    made->kind = object == Py_None ? ABSENT : BORROWED;
    made->object = object;
    return 0;
}

static inline int
owned_value(FieldValue *made, PyObject *object)
{
    made->kind = OWNED;
    made->object = object;
    return object == NULL ? -1 : 0;
}

static inline int
ascii(FieldValue *made, const char *at, Py_ssize_t length)
{
    made->kind = ASCII;
    made->at = at;
    made->length = length;
    return 0;
}

static inline int
numeral(FieldValue *made, long long number)
{
    made->kind = NUMERAL;
    made->number = number;
    return 0;
}

static inline void
let_go(const FieldValue *made)
{
    if (made->kind == OWNED)
        Py_XDECREF(made->object);
}

static int
plain_number(Scanner *self, FieldValue *made, const Value *value, int is_signed)
{
    const char *plain;
    if (value->kind != STRING_VALUE && value->kind != WHOLE_VALUE && value->kind != NUMBER_VALUE)
        return -1;
    int length = plain_decimal(value->at, value->length, is_signed, self->scratch[self->scratched], &plain);
    self->scratched += plain == self->scratch[self->scratched];
    return length < 0 ? -1 : ascii(made, plain, length);
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
same(const Making *making, FieldValue *made, const Value *value)
{
    switch (value->kind) {
    case STRING_VALUE: {
        if (value->object != NULL)
            return borrowed(made, value->object);
        const Stream *stream = making->stream;
        if (value->length == stream->symbol_length && memcmp(value->at, stream->symbol, value->length) == 0)
            return borrowed(made, stream->symbol_object);
        made->kind = UTF8;
        made->at = value->at;
        made->length = value->length;
        return 0;
    }
    case WHOLE_VALUE:
        return numeral(made, value->number);
    case TRUE_VALUE:
        return borrowed(made, Py_True);
    case FALSE_VALUE:
        return borrowed(made, Py_False);
    case NULL_VALUE:
        return absent(made);
    }
    return -1;
}

/* A new reference; what the value owned is the caller's then. Of all but columns. */
static PyObject *
plain_object(FieldValue *made)
{
    switch (made->kind) {
    case ABSENT:
        return Py_NewRef(Py_None);
    case BORROWED:
        return Py_NewRef(made->object);
    case OWNED:
        made->kind = BORROWED;
        return made->object;
    case NUMERAL:
        return PyLong_FromLongLong(made->number);
    case UTF8:
        for (Py_ssize_t i = 0; i < made->length; i++)
            if (made->at[i] & 0x80)
                return PyUnicode_DecodeUTF8(made->at, made->length, NULL);
    }
    return text_of(made->at, made->length);
}

static PyObject *
same_object(const Making *making, const Value *value)
{
    FieldValue made;
    return same(making, &made, value) < 0 ? NULL : plain_object(&made);
}

static int
decimal(FieldValue *made, const Value *value, int op)
{
    if (value->kind == NULL_VALUE || (value->kind == STRING_VALUE && value->length == 0))
        return op == DECIMAL ? -1 : absent(made);
    if (value->kind != STRING_VALUE)
        return -1;
    const char *end = value->at + value->length;
    if (after_plain(value->at + (op == SIGNED_OR_NONE && *value->at == '-'), end) != end)
        return -1;
    return value->object != NULL ? borrowed(made, value->object) : ascii(made, value->at, value->length);
}

/* Borrowed; NULL: a word that is not in the table. */
static PyObject *
translated(const Step *step, const Value *value)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(step->constant); i++) {
        PyObject *pair = PyTuple_GET_ITEM(step->constant, i), *word = PyTuple_GET_ITEM(pair, 0);
        if (word == Py_True    ? value->kind == TRUE_VALUE
            : word == Py_False ? value->kind == FALSE_VALUE
                               : is_text(value, word))
            return PyTuple_GET_ITEM(pair, 1);
    }
    return NULL;
}

/* When the subscription's candle closes that opens then. */
static int
closing(const Making *making, FieldValue *made, const Step *step, long long opened)
{
    PyObject *length = PyTuple_GET_ITEM(making->stream->said, step->place);
    long long closes = PyLong_Check(length) ? PyLong_AsLongLong(length) : -1;
    return closes < 0 || opened > LLONG_MAX - closes ? -1 : numeral(made, opened + closes);
}

static int
offered(Scanner *self, const Making *making, FieldValue *made, const Step *step, const Value *value)
{
    const Value *amount = value_at(self, making, step->place);
    char scratch[LONGEST_DECIMAL];
    const char *plain;
    if (amount->kind == NULL_VALUE || amount->kind == EMPTY_VALUE)
        return absent(made);
    if (amount->kind < STRING_VALUE || amount->kind > NUMBER_VALUE)
        return -1;
    int digits = plain_decimal(amount->at, amount->length, 0, scratch, &plain), nothing = digits < 0 ? -1 : 1;
    for (int i = 0; i < digits; i++)
        nothing &= plain[i] == '0' || plain[i] == '.';
    return nothing < 0 ? -1 : nothing ? absent(made) : plain_number(self, made, value, 0);
}

static int
time_of_text(FieldValue *made, const Value *value)
{
    long long time;
    if (value->kind == NULL_VALUE || (value->kind == STRING_VALUE && value->length == 0))
        return absent(made);
    if (value->kind != STRING_VALUE || read_whole(value->at, value->length, &time) < 0 || time < 0 ||
        time > (1LL << 62) / 1000000)
        return -1;
    return time ? numeral(made, time * 1000000) : absent(made);
}

static int
applied(const Making *making, FieldValue *made, const Step *step, const Value *value)
{
    PyObject *found = same_object(making, value);
    PyObject *said = found == NULL ? NULL : PyObject_CallOneArg(step->constant, found);
    Py_XDECREF(found);
    if (said == Py_None) {
        Py_DECREF(said);
        return absent(made);
    }
    return owned_value(made, said);
}

/* A side of one level, or of none. */
static int
only_level(Scanner *self, const Making *making, FieldValue *made, const Step *step, const Value *value)
{
    PyObject *is_asks = translated(step, value), *list = is_asks == NULL ? NULL : PyList_New(0);
    if (list != NULL && is_asks == (step->factor ? Py_True : Py_False)) {
        FieldValue level;
        if (plain_number(self, &level, value_at(self, making, step->place), 0) < 0 ||
            append(list, plain_object(&level)) < 0)
            Py_CLEAR(list);
    }
    return owned_value(made, list);
}

static int
make_whole(const Making *making, FieldValue *made, const Step *step, const Value *value, const Value *count)
{
    if (value->kind == NULL_VALUE && (step->op == MS || step->op == TIME || step->op == COUNT))
        return absent(made);
    if (value->kind != WHOLE_VALUE)
        return -1;
    switch (step->op) {
    case MS:
    case TIME:
        if (step->factor == 0) { /* milliseconds or microseconds, by their size */
            if (value->number > LLONG_MAX / 1000 || value->number < 0)
                return -1;
            return numeral(made, value->number * (value->number <= (1LL << 62) / 1000000 ? 1000000 : 1000));
        }
        if (value->number > LLONG_MAX / step->factor || value->number < 0)
            return -1;
        return numeral(made, value->number * step->factor);
    case CLOSES:
        if (value->number < 0 || value->number > LLONG_MAX / step->factor)
            return -1;
        return closing(making, made, step, value->number * step->factor);
    case FIRST: {
        long long first = value->number - (count->kind == WHOLE_VALUE ? count->number : LLONG_MAX) + 1;
        return first < 0 ? -1 : numeral(made, first);
    }
    case ADDED:
        return numeral(made, value->number + step->factor);
    default: /* COUNT */
        return value->number < 0 ? absent(made) : numeral(made, value->number);
    }
}

static int
digits_as_text(Scanner *self, FieldValue *made, const Value *value)
{
    if (value->kind != WHOLE_VALUE)
        return -1;
    char *last = self->scratch[self->scratched++] + 24, *at = last;
    unsigned long long left = value->number < 0 ? -(unsigned long long)value->number : (unsigned long long)value->number;
    do
        *--at = (char)('0' + left % 10);
    while (left /= 10);
    if (value->number < 0)
        *--at = '-';
    return ascii(made, at, last - at);
}

static int
make_value(Scanner *self, const Making *making, const Step *step, FieldValue *made)
{
    const Value *value = value_at(self, making, step->slot);
    long long number;
    switch (step->op) {
    case CONSTANT:
        return borrowed(made, step->constant);
    case GIVEN:
        if (making->recorded && step->place == 0)
            return numeral(made, making->received);
        return borrowed(made, making->given[step->place]);
    case SUBSCRIBED:
        return borrowed(made, PyTuple_GET_ITEM(making->stream->said, step->place));
    case SAME:
        return same(making, made, value);
    case OR_NONE:
        return value->kind == STRING_VALUE && value->length == 0 ? absent(made) : same(making, made, value);
    case DECIMAL:
    case DECIMAL_OR_NONE:
    case SIGNED_OR_NONE:
        return decimal(made, value, step->op);
    case PLAIN_NUMBER:
        return plain_number(self, made, value, 0);
    case MAGNITUDE: {
        Value bare = *value;
        if (bare.kind >= STRING_VALUE && bare.kind <= NUMBER_VALUE && bare.length && *bare.at == '-') {
            bare.at++;
            bare.length--;
        }
        return plain_number(self, made, &bare, 0);
    }
    case SIGN: /* without a sign it is `then` */
        if (value->kind < STRING_VALUE || value->kind > NUMBER_VALUE || !value->length)
            return -1;
        return make_value(self, making, *value->at == '-' ? step->other : step->then, made);
    case NUMBER_OR_NONE:
    case SIGNED_NUMBER_OR_NONE:
        if (value->kind == NULL_VALUE || value->kind == EMPTY_VALUE)
            return absent(made);
        return plain_number(self, made, value, step->op == SIGNED_NUMBER_OR_NONE);
    case ISO:
        if (value->kind == NULL_VALUE)
            return absent(made);
        return iso_ns(value, &number) < 0 ? -1 : numeral(made, number);
    case CLOSES_ISO:
        return iso_ns(value, &number) < 0 || number % 1000000 ? -1 : closing(making, made, step, number);
    case OFFERED:
        return offered(self, making, made, step, value);
    case ONE:
        return only_level(self, making, made, step, value);
    case MAPPED: {
        PyObject *found = translated(step, value);
        return found == NULL ? -1 : borrowed(made, found);
    }
    case EITHER: {
        int is_then = step->constant == Py_None ? value->kind == NULL_VALUE : is_text(value, step->constant);
        return value->kind == NO_VALUE ? -1 : make_value(self, making, is_then ? step->then : step->other, made);
    }
    case COLUMN:
        if (value->kind != SIDE_VALUE)
            return -1;
        *made = (FieldValue){.kind = LEVEL_TEXTS, .column = step->place, .slot = step->slot,
                             .at = self->sides.bytes + value->start, .length = value->length};
        return 0;
    case TOP: {
        if (value->kind != SIDE_VALUE || value->length == 0)
            return value->kind == SIDE_VALUE ? absent(made) : -1;
        LevelsCursor cursor = levels_begin(self->sides.bytes + value->start, step->place);
        made->at = levels_next(&cursor, &made->length);
        return ascii(made, made->at, made->length);
    }
    case MS_TEXT:
        return time_of_text(made, value);
    case APPLIED:
        return applied(making, made, step, value);
    case AS_TEXT:
        return digits_as_text(self, made, value);
    }
    return make_whole(making, made, step, value, step->op == FIRST ? value_at(self, making, step->place) : NULL);
}

static PyObject *
column(Scanner *self, Making *making, const FieldValue *made)
{
    int which = making->sides[0] < 0 || making->sides[0] == made->slot ? 0 : 1;
    if (making->sides[which] >= 0 && making->sides[which] != made->slot)
        return NULL;
    if (making->sides[which] < 0) {
        const Value *side = value_at(self, making, made->slot);
        making->sides[which] = made->slot;
        if (make_columns(&self->sides, side->start, side->start + side->octets, side->length, making->columns[which]) < 0)
            return NULL;
    }
    return Py_XNewRef(making->columns[which][made->column]);
}

static PyObject *
object_of(Scanner *self, Making *making, FieldValue *made)
{
    return made->kind == LEVEL_TEXTS ? column(self, making, made) : plain_object(made);
}
#endif
