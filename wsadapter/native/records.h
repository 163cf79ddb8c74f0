/* What makes records of events, as the C parts share it: see records.c. */
#ifndef WSADAPTER_RECORDS_H
#define WSADAPTER_RECORDS_H
#include "protobuf.h"

enum { MAX_TYPES = 32, MAX_COLUMNS = 48, MAX_KEY = 255 };

typedef struct {
    PyTypeObject *type;
    int count;
    WireField fields[MAX_COLUMNS];
} Layout;

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    int count;
    Layout layouts[MAX_TYPES];
    Output output;
} Encoder;

extern PyTypeObject Encoder_Type;

static inline const char *
utf8_of(PyObject *value, Py_ssize_t *length)
{
    if (PyUnicode_CheckExact(value) && PyUnicode_IS_COMPACT_ASCII(value)) {
        *length = PyUnicode_GET_LENGTH(value);
        return (const char *)PyUnicode_1BYTE_DATA(value);
    }
    return PyUnicode_AsUTF8AndSize(value, length); /* TypeError when it is no text */
}

/* The layout of this type of event; -1 with an exception when it is none. */
int layout_of(Encoder *self, PyObject *event);
/* The record of an event into self->output. 0, or -1 with an exception; so the next two, behind what is there. */
int put_event(Encoder *self, const Layout *layout, PyObject *event);
int put_key(Output *output, const char *exchange, Py_ssize_t exchange_length, const char *symbol,
            Py_ssize_t symbol_length);
int put_field(Output *output, const WireField *field, PyObject *value);
#endif
