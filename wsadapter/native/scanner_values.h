/* A field of an event from the values of a message: one step, as wsadapter/exchanges/mapping.py declares it.
 *
 * NULL is: not usual, with or without an exception. Nothing changes but the columns that are kept in `making`.
 */
#ifndef WSADAPTER_SCANNER_VALUES_H
#define WSADAPTER_SCANNER_VALUES_H
#include "scanner.h"

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
#endif
