/* Messages to rows of an insert's body: the fast half of wsadapter/kafka/framing.py.
 *
 * A row is a message behind its length. Of a whole run it is looked whether each position is above the last one of its
 * epoch, and what is new is written behind the body, which grows once.
 */
#include "values.h"

#include "parts.h"

enum { VARINT = 10 };

typedef struct {
    PyObject *marks;
    PyObject *key; /* of `epoch`, NULL before the first one */
    uint64_t epoch, mark;
    int has_mark, moved;
} Current;

static int
leave(Current *current)
{
    int done = current->moved ? set_mark(current->marks, current->key, current->mark) : 0;
    current->moved = 0;
    return done;
}

/* The epoch of the next message: hardly ever another one than that of the message before. */
static int
enter(Current *current, uint64_t epoch)
{
    if (leave(current) < 0)
        return -1;
    current->epoch = epoch;
    Py_XSETREF(current->key, PyLong_FromUnsignedLongLong(epoch));
    if (current->key == NULL)
        return -1;
    current->has_mark = number_in(current->marks, current->key, &current->mark);
    return current->has_mark < 0 ? -1 : 0;
}

static int
offset_at(PyObject *values, PyObject *offsets, Py_ssize_t index, int64_t *offset)
{
    if (!PyList_CheckExact(values)) {
        const Messages *messages = (Messages *)values;
        *offset = messages->items[messages->first + index]->offset;
        return 0;
    }
    *offset = PyLong_AsLongLong(PyList_GET_ITEM(offsets, index));
    return *offset == -1 && PyErr_Occurred() ? -1 : 0;
}

/* As many bytes as the rows of the values from `index` on can take. */
static Py_ssize_t
most_bytes(PyObject *values, Py_ssize_t index, Py_ssize_t count)
{
    Py_ssize_t most = (count - index) * VARINT;
    for (; index < count; index++) {
        if (!PyList_CheckExact(values))
            most += (Py_ssize_t)((Messages *)values)->items[((Messages *)values)->first + index]->len;
        else if (PyBytes_CheckExact(PyList_GET_ITEM(values, index)))
            most += PyBytes_GET_SIZE(PyList_GET_ITEM(values, index));
    }
    return most;
}

static inline char *
put_row(char *to, const unsigned char *at, size_t size)
{
    size_t length = size;
    for (; length > 127; length >>= 7)
        *to++ = (char)(length | 128);
    *to++ = (char)length;
    memcpy(to, at, size);
    return to + size;
}

/* From `*index` on; moves it, `*next`, `*redelivered`, `*taken` and `*to`. 0, or -1 with an exception. */
static int
put_rows(PyObject *values, PyObject *offsets, Current *current, int64_t stop, Py_ssize_t *index, int64_t *next,
         Py_ssize_t *redelivered, int64_t **taken, char **to)
{
    Py_ssize_t count = count_of(values);
    for (; *index < count; ++*index) {
        int64_t offset;
        uint64_t epoch, position;
        const unsigned char *at, *end;
        if (offset_at(values, offsets, *index, &offset) < 0)
            return -1;
        if (offset < *next)
            continue;
        if (offset >= stop || !value_at(values, *index, &at, &end) || !identity_of(at, &epoch, &position))
            break;
        if ((current->key == NULL || epoch != current->epoch) && enter(current, epoch) < 0)
            return -1;
        *next = offset + 1;
        if (current->has_mark && position <= current->mark) {
            ++*redelivered;
            continue;
        }
        current->mark = position;
        current->has_mark = current->moved = 1;
        *to = put_row(*to, at, (size_t)(end - at));
        *(*taken)++ = offset;
    }
    return leave(current);
}

/* frame_rows(values, offsets, first, next_offset, stop, marks, body): see `Frame` in wsadapter/kafka/framing.py. */
static PyObject *
frame_rows(PyObject *module, PyObject *args)
{
    PyObject *values, *offsets, *marks, *body;
    Py_ssize_t index, redelivered = 0;
    long long first_offset, stop;
    if (!PyArg_ParseTuple(args, "OOnLLO!O!", &values, &offsets, &index, &first_offset, &stop, &PyDict_Type, &marks,
                          &PyByteArray_Type, &body))
        return NULL;
    int is_list = PyList_CheckExact(values);
    if (!are_values(values) || (is_list ? !PyList_CheckExact(offsets) : offsets != values)) {
        PyErr_SetString(PyExc_TypeError, "messages, or two lists, are wanted");
        return NULL;
    }
    Py_ssize_t count = count_of(values), size = PyByteArray_GET_SIZE(body);
    if (index < 0 || index > count || (is_list && PyList_GET_SIZE(offsets) != count))
        return PyErr_Format(PyExc_ValueError, "from %zd of %zd messages", index, count);
    PyObject *taken = PyBytes_FromStringAndSize(NULL, (count - index) * (Py_ssize_t)sizeof(int64_t));
    if (taken == NULL || PyByteArray_Resize(body, size + most_bytes(values, index, count)) < 0) {
        Py_XDECREF(taken);
        return NULL;
    }
    Current current = {.marks = marks};
    int64_t next = first_offset, *begin = (int64_t *)PyBytes_AS_STRING(taken), *end = begin;
    char *to = PyByteArray_AS_STRING(body) + size;
    int done = put_rows(values, offsets, &current, stop, &index, &next, &redelivered, &end, &to);
    Py_XDECREF(current.key);
    if (done < 0)
        PyByteArray_Resize(body, size); /* smaller: it stays where it is */
    if (done < 0 || PyByteArray_Resize(body, to - PyByteArray_AS_STRING(body)) < 0 ||
        _PyBytes_Resize(&taken, (end - begin) * (Py_ssize_t)sizeof(int64_t)) < 0) {
        Py_XDECREF(taken);
        return NULL;
    }
    return Py_BuildValue("nLnN", index, (long long)next, redelivered, taken);
}

static PyMethodDef methods[] = {
    {"frame_rows", frame_rows, METH_VARARGS,
     "frame_rows(values, offsets, first, next_offset, stop, marks, body): (index, next offset, redelivered, offsets)."},
    {NULL, NULL, 0, NULL},
};

int
add_framing(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
