/* What the decoder and the framing read: the values of messages of one partition, a list of bytes or librdkafka's own
 * messages, each with its ring identity first; and the last position of each epoch, a dict.
 */
#ifndef WSADAPTER_VALUES_H
#define WSADAPTER_VALUES_H
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#include "messages.h"

enum { HEAD = 18, AHEAD = 4 };

static inline int
are_values(PyObject *values)
{
    return PyList_CheckExact(values) || Py_IS_TYPE(values, &Messages_Type);
}

static inline Py_ssize_t
count_of(PyObject *values)
{
    return PyList_CheckExact(values) ? PyList_GET_SIZE(values) : ((Messages *)values)->end - ((Messages *)values)->first;
}

/* The value at `index`: 1; 0: there is none, or it is too short for an identity. */
static inline int
value_at(PyObject *values, Py_ssize_t index, const unsigned char **at, const unsigned char **end)
{
    size_t size;
    if (PyList_CheckExact(values)) {
        PyObject *value = PyList_GET_ITEM(values, index);
        if (!PyBytes_CheckExact(value))
            return 0;
        *at = (const unsigned char *)PyBytes_AS_STRING(value);
        size = (size_t)PyBytes_GET_SIZE(value);
    } else {
        const Messages *messages = (Messages *)values;
        const rd_kafka_message_t *message = messages->items[messages->first + index];
        Py_ssize_t next = messages->first + index + AHEAD;
        if (next + AHEAD < messages->end) /* another thread wrote it: the message first, then what it points to */
            __builtin_prefetch(messages->items[next + AHEAD]);
        if (next < messages->end) {
            const char *payload = messages->items[next]->payload;
            __builtin_prefetch(payload);
            __builtin_prefetch(payload + 64);
        }
        *at = message->payload;
        size = message->len;
    }
    if (*at == NULL || size < HEAD)
        return 0;
    *end = *at + size;
    return 1;
}

/* The ring identity that a message begins with; 0: it begins with something else. */
static inline int
identity_of(const unsigned char *at, uint64_t *epoch, uint64_t *position)
{
    if (at[0] != (1 << 3 | 1) || at[9] != (2 << 3 | 1)) /* fixed64 epoch = 1, fixed64 position = 2 */
        return 0;
    memcpy(epoch, at + 1, 8);
    memcpy(position, at + 10, 8);
    return 1;
}

/* 1, 0: it is not in there, or -1 with an exception. */
static inline int
number_in(PyObject *numbers, PyObject *key, uint64_t *number)
{
    PyObject *found = PyDict_GetItemWithError(numbers, key);
    if (found == NULL)
        return PyErr_Occurred() ? -1 : 0;
    *number = PyLong_AsUnsignedLongLong(found);
    return PyErr_Occurred() ? -1 : 1;
}

static inline int
set_mark(PyObject *marks, PyObject *epoch, uint64_t position)
{
    PyObject *number = PyLong_FromUnsignedLongLong(position);
    int done = number == NULL ? -1 : PyDict_SetItem(marks, epoch, number);
    Py_XDECREF(number);
    return done;
}
#endif
