/* The writing end of a ring as the C parts share it: see wsadapter/shm/ring.py for the layout and who owns what. */
#ifndef WSADAPTER_RING_H
#define WSADAPTER_RING_H
#include <Python.h>
#include <stdint.h>

typedef struct {
    PyObject_HEAD
    Py_buffer map;
    int mapped;
    long long at, stop, last; /* places in the mapping, not positions */
    long long lap;            /* position minus place */
    long long max_payload;
} Appender;

extern PyTypeObject Appender_Type;

/* Write a record that fits before `stop`; 0 when it does not (Python then looks for room). Private until publish(). */
static inline int
append_record(Appender *ring, int kind, const void *payload, Py_ssize_t length)
{
    long long at = ring->at, end = at + ((length + 15) & -8);
    if (end > ring->stop || length > ring->max_payload)
        return 0;
    char *place = (char *)ring->map.buf + at;
    memcpy(place + 8, payload, (size_t)length);
    *(volatile uint64_t *)place = (uint64_t)kind << 32 | (uint64_t)length;
    ring->last = at;
    ring->at = end;
    return 1;
}
#endif
