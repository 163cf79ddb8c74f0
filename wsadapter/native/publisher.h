/* What puts events into a ring, as the C parts share it: see publisher.c. */
#ifndef WSADAPTER_PUBLISHER_H
#define WSADAPTER_PUBLISHER_H
#include "records.h"
#include "ring.h"

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    Encoder *encoder;
    Appender *ring;
    PyObject *otherwise;
    Py_buffer cells;
    int counted, held;
    int kinds[MAX_TYPES], counters[MAX_TYPES], flags[MAX_TYPES], flag_counters[MAX_TYPES];
    int received_cell, decoded_cell;
} Publisher;

extern PyTypeObject Publisher_Type;
#endif
