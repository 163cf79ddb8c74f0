/* What makes records of events, as the C parts share it: see records.c. */
#ifndef WSADAPTER_RECORDS_H
#define WSADAPTER_RECORDS_H
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

enum { TEXT, NUMBER, FLAG, TEXTS };
enum { MAX_TYPES = 32, MAX_FIELDS = 48, MAX_KEY = 255 };

typedef struct {
    Py_ssize_t offset;
    unsigned char tag[2];
    unsigned char tag_size;
    unsigned char what;
    unsigned char present; /* explicit presence: None is absent, zero is not */
} Field;

typedef struct {
    PyTypeObject *type;
    int count;
    Field fields[MAX_FIELDS];
} Layout;

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    int count;
    Layout layouts[MAX_TYPES];
    unsigned char *bytes; /* scratch, grown as needed */
    size_t size, capacity;
} Encoder;

extern PyTypeObject Encoder_Type;

/* The layout of this type of event; -1 with an exception when it is none. */
int layout_of(Encoder *self, PyObject *event);
/* The record of an event into self->bytes, self->size. 0, or -1 with an exception. */
int put_event(Encoder *self, const Layout *layout, PyObject *event);
#endif
