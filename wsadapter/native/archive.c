/* Lines of a venue's file -> columns of numbers, as ClickHouse's format Native has them. The fast half of
 * wsadapter/archives/columns.py, which says what each kind of column takes; nothing here knows a venue.
 *
 * A line is taken or refused as a whole, and nothing is guessed: a decimal becomes an integer of the column's scale
 * without a change of value.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#include "parts.h"

enum { IGNORED, ID, ID_OR_NONE, DECIMAL, TIME, CLOSE, FLAG, TEXT_ID, SIDE, SECONDS, REST, KINDS };
enum { VALUE = 1, TEXT = 2 }; /* what is made of a column */
enum { MAX_COLUMNS = 32, MAX_DIGITS = 38, ID_DIGITS = 18, MS_DIGITS = 13, US_DIGITS = 16, SECOND_DIGITS = 10, MAX_TEXT = 127 };

typedef unsigned __int128 Wide;

typedef struct {
    int kind, scale, made, width;
    PyObject *values, *texts, *nulls; /* bytes, as large as they can become */
    Py_ssize_t text_size;
} Column;

typedef struct {
    Wide value;
    const char *at;
    Py_ssize_t length;
    int digits; /* of a time */
    int is_none;
} Field;

static inline int
is_digit(char letter)
{
    return (unsigned char)(letter - '0') < 10;
}

/* As many digits as there are, at most `most` of them; how many. */
static inline int
read_digits(const char **at, const char *stop, int most, uint64_t *value)
{
    const char *begin = *at, *end = stop - begin > most ? begin + most : stop;
    uint64_t found = 0;
    const char *next = begin;
    while (next < end && is_digit(*next))
        found = found * 10 + (uint64_t)(*next++ - '0');
    *value = found;
    *at = next;
    return (int)(next - begin);
}

/* [0-9]{1,38-scale}(\.[0-9]{0,scale}0*)? */
static inline int
read_decimal(const char **at, const char *stop, int scale, Wide *value)
{
    const char *next = *at;
    Wide found = 0;
    int whole = 0, part = 0;
    while (next < stop && is_digit(*next) && whole < MAX_DIGITS - scale) {
        found = found * 10 + (Wide)(*next++ - '0');
        whole++;
    }
    if (whole == 0)
        return 0;
    if (next < stop && *next == '.') {
        next++;
        while (next < stop && is_digit(*next) && part < scale) {
            found = found * 10 + (Wide)(*next++ - '0');
            part++;
        }
        while (next < stop && *next == '0')
            next++;
    }
    static const uint64_t powers[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};
    for (int missing = scale - part; missing > 0; missing -= 9)
        found *= powers[missing < 9 ? missing : 9];
    *at = next;
    *value = found;
    return 1;
}

static inline int
read_flag(const char **at, const char *stop, Wide *value)
{
    static const char *const words[] = {"true", "True", "TRUE", "false", "False", "FALSE"};
    for (int i = 0; i < 6; i++) {
        Py_ssize_t length = i < 3 ? 4 : 5;
        if (stop - *at >= length && memcmp(*at, words[i], length) == 0) {
            *at += length;
            *value = i < 3;
            return 1;
        }
    }
    return 0;
}

/* 13 digits are milliseconds, 16 microseconds, as 64 bits of nanoseconds can say them: the first is not 9. */
static inline int
read_time(const char **at, const char *stop, int is_close, Field *field)
{
    uint64_t value;
    if (*at < stop && **at == '9')
        return 0;
    field->digits = read_digits(at, stop, US_DIGITS, &value);
    if (field->digits == MS_DIGITS)
        field->value = value * 1000000u;
    else if (field->digits == US_DIGITS)
        field->value = is_close ? value / 1000 * 1000000u : value * 1000u;
    else
        return 0;
    return 1;
}

static inline int
read_side(const char **at, const char *stop, Wide *value)
{
    static const char *const words[] = {"Buy", "buy", "Sell", "sell"};
    for (int i = 0; i < 4; i++) {
        Py_ssize_t length = i < 2 ? 3 : 4;
        if (stop - *at >= length && memcmp(*at, words[i], length) == 0) {
            *at += length;
            *value = i >= 2;
            return 1;
        }
    }
    return 0;
}

/* Ten digits of seconds and up to nine decimals, of which three count. */
static inline int
read_seconds(const char **at, const char *stop, Wide *value)
{
    uint64_t seconds, part = 0, ignored;
    if (*at < stop && **at == '9')
        return 0;
    if (read_digits(at, stop, SECOND_DIGITS, &seconds) != SECOND_DIGITS)
        return 0;
    if (*at < stop && **at == '.') {
        (*at)++;
        int digits = read_digits(at, stop, 3, &part);
        if (digits == 0)
            return 0;
        for (; digits < 3; digits++)
            part *= 10;
        read_digits(at, stop, 6, &ignored);
    }
    *value = seconds * 1000000000u + part * 1000000u;
    return 1;
}

static int
is_of_text(char letter)
{
    return is_digit(letter) || (letter >= 'A' && letter <= 'Z') || (letter >= 'a' && letter <= 'z') || letter == '-' ||
           letter == '_';
}

static int
read_field(const char **at, const char *stop, const Column *column, Field *field)
{
    uint64_t value;
    field->at = *at;
    field->is_none = field->digits = 0;
    switch (column->kind) {
    case ID_OR_NONE:
        if (stop - *at >= 2 && (*at)[0] == '-' && (*at)[1] == '1') {
            *at += 2;
            field->is_none = 1;
            field->value = 0;
            break;
        }
        /* fall through */
    case ID:
        if (read_digits(at, stop, ID_DIGITS, &value) == 0)
            return 0;
        field->value = value;
        break;
    case DECIMAL:
        if (!read_decimal(at, stop, column->scale, &field->value))
            return 0;
        break;
    case TIME:
    case CLOSE:
        if (!read_time(at, stop, column->kind == CLOSE, field))
            return 0;
        break;
    case FLAG:
        if (!read_flag(at, stop, &field->value))
            return 0;
        break;
    case TEXT_ID:
        while (*at < stop && is_of_text(**at))
            (*at)++;
        if (*at == field->at || *at - field->at > MAX_TEXT)
            return 0;
        break;
    case SIDE:
        if (!read_side(at, stop, &field->value))
            return 0;
        break;
    case SECONDS:
        if (!read_seconds(at, stop, &field->value))
            return 0;
        break;
    case REST:
        while (*at < stop && **at != '\r')
            (*at)++;
        break;
    default:
        while (*at < stop && **at != ',' && **at != '\r')
            (*at)++;
    }
    field->length = *at - field->at;
    return 1;
}

/* One line without its end. 1 = it is a row. */
static int
read_line(const char *at, const char *stop, const Column *columns, int count, Field *fields)
{
    int digits = 0;
    for (int i = 0; i < count; i++) {
        if (i > 0 && (at == stop || *at++ != ','))
            return 0;
        if (!read_field(&at, stop, &columns[i], &fields[i]))
            return 0;
        if (fields[i].digits != 0) {
            if (digits != 0 && digits != fields[i].digits)
                return 0;
            digits = fields[i].digits;
        }
    }
    return at == stop;
}

static void
append(Column *columns, int count, const Field *fields, Py_ssize_t row)
{
    for (int i = 0; i < count; i++) {
        Column *column = &columns[i];
        const Field *field = &fields[i];
        if (column->values != NULL) {
            char *to = PyBytes_AS_STRING(column->values) + row * column->width;
            if (column->width == 16) {
                memcpy(to, &field->value, 16);
            } else if (column->width == 8) {
                uint64_t value = (uint64_t)field->value;
                memcpy(to, &value, 8);
            } else {
                *to = (char)field->value;
            }
        }
        if (column->nulls != NULL)
            PyBytes_AS_STRING(column->nulls)[row] = (char)field->is_none;
        if (column->texts != NULL) {
            char *to = PyBytes_AS_STRING(column->texts) + column->text_size;
            *to = (char)field->length; /* below 128: one byte of a varint */
            memcpy(to + 1, field->at, field->length);
            column->text_size += field->length + 1;
        }
    }
}

/* Three bytes a column: its kind, scale and what is made of it. 0, or -1 with an exception. */
static int
prepare(Column *columns, int count, const unsigned char *layout, Py_ssize_t lines, Py_ssize_t size)
{
    static const int widths[KINDS] = {[ID] = 8, [ID_OR_NONE] = 8, [DECIMAL] = 16, [TIME] = 8, [CLOSE] = 8, [FLAG] = 1,
                                       [SIDE] = 1, [SECONDS] = 8};
    for (int i = 0; i < count; i++, layout += 3) {
        Column *column = &columns[i];
        column->kind = layout[0];
        column->scale = layout[1];
        column->made = layout[2];
        if (column->kind >= KINDS || column->scale >= MAX_DIGITS || column->made > (VALUE | TEXT) ||
            (column->kind != ID && column->kind != TEXT_ID && (column->made & TEXT)) ||
            ((column->made & VALUE) && widths[column->kind] == 0)) {
            PyErr_SetString(PyExc_ValueError, "no layout of columns");
            return -1;
        }
        column->width = widths[column->kind];
        if ((column->made & VALUE) && (column->values = PyBytes_FromStringAndSize(NULL, lines * column->width)) == NULL)
            return -1;
        if ((column->made & VALUE) && column->kind == ID_OR_NONE &&
            (column->nulls = PyBytes_FromStringAndSize(NULL, lines)) == NULL)
            return -1;
        /* a text and its length take no more than the text and the comma or end of line after it */
        if ((column->made & TEXT) && (column->texts = PyBytes_FromStringAndSize(NULL, size)) == NULL)
            return -1;
    }
    return 0;
}

/* (values, texts) of a column of so many rows; None for what is not made. */
static PyObject *
finish(Column *column, Py_ssize_t rows)
{
    if (column->values != NULL && _PyBytes_Resize(&column->values, rows * column->width) < 0)
        return NULL;
    if (column->nulls != NULL) {
        if (_PyBytes_Resize(&column->nulls, rows) < 0)
            return NULL;
        PyBytes_Concat(&column->nulls, column->values);
        if (column->nulls == NULL)
            return NULL;
        Py_SETREF(column->values, column->nulls);
        column->nulls = NULL;
    }
    if (column->texts != NULL && _PyBytes_Resize(&column->texts, column->text_size) < 0)
        return NULL;
    return PyTuple_Pack(2, column->values == NULL ? Py_None : column->values,
                        column->texts == NULL ? Py_None : column->texts);
}

static int
refuse(PyObject *refused, Py_ssize_t number, const char *at, Py_ssize_t length)
{
    PyObject *entry = Py_BuildValue("ny#", number, at, length);
    int done = entry == NULL ? -1 : PyList_Append(refused, entry);
    Py_XDECREF(entry);
    return done;
}

/* csv_columns(lines, layout) -> (columns, rows, refused): see `columns_of` in wsadapter/archives/columns.py. */
static PyObject *
csv_columns(PyObject *module, PyObject *args)
{
    Py_buffer text, layout;
    if (!PyArg_ParseTuple(args, "y*y*", &text, &layout))
        return NULL;
    Column columns[MAX_COLUMNS] = {0};
    Field fields[MAX_COLUMNS];
    int count = (int)(layout.len / 3);
    Py_ssize_t rows = 0, number = 0, lines = 0;
    PyObject *refused = PyList_New(0), *made = NULL, *result = NULL;
    const char *at = text.buf, *end = at + text.len;
    if (layout.len % 3 != 0 || layout.len == 0 || layout.len / 3 > MAX_COLUMNS) {
        PyErr_SetString(PyExc_ValueError, "no layout of columns");
        goto done;
    }
    for (const char *next = at; (next = memchr(next, '\n', end - next)) != NULL; next++)
        lines++;
    if (refused == NULL || prepare(columns, count, layout.buf, lines, text.len) < 0)
        goto done;
    for (; at < end; number++) {
        const char *stop = memchr(at, '\n', end - at), *after = stop == NULL ? end : stop + 1;
        if (stop != NULL && stop > at && stop[-1] == '\r')
            stop--;
        if (stop != NULL && read_line(at, stop, columns, count, fields))
            append(columns, count, fields, rows++);
        else if (refuse(refused, number, at, after - at) < 0)
            goto done;
        at = after;
    }
    if ((made = PyList_New(count)) == NULL)
        goto done;
    for (int i = 0; i < count; i++) {
        PyObject *pair = finish(&columns[i], rows);
        if (pair == NULL)
            goto done;
        PyList_SET_ITEM(made, i, pair);
    }
    result = Py_BuildValue("OnO", made, rows, refused);
done:
    for (int i = 0; i < MAX_COLUMNS; i++) {
        Py_XDECREF(columns[i].values);
        Py_XDECREF(columns[i].texts);
        Py_XDECREF(columns[i].nulls);
    }
    Py_XDECREF(made);
    Py_XDECREF(refused);
    PyBuffer_Release(&text);
    PyBuffer_Release(&layout);
    return result;
}

static PyMethodDef methods[] = {
    {"csv_columns", csv_columns, METH_VARARGS,
     "csv_columns(lines, layout) -> values and texts of each column, rows, refused lines."},
    {NULL, NULL, 0, NULL},
};

int
add_archive(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
