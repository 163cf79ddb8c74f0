/* Messages of one partition as librdkafka holds them: no Python object is made of one that nobody looks at.
 *
 * The decoder and the framing of rows read them in place. Python sees them as a sequence, may put those of another run
 * behind them, and gives back the first ones when it is done with them.
 */
#include "messages.h"

#include <structmember.h>

#include "parts.h"

void
source_leave(Source *source)
{
    if (--source->holders > 0)
        return;
    Py_BEGIN_ALLOW_THREADS /* its threads may be waiting to tell something */
    lib.queue_destroy(source->queue);
    lib.destroy(source->client);
    Py_END_ALLOW_THREADS
}

Messages *
new_messages(Source *source, PyObject *make)
{
    Messages *self = PyObject_New(Messages, &Messages_Type);
    if (self == NULL)
        return NULL;
    self->source = source;
    source->holders++;
    Py_INCREF(source->owner);
    self->make = Py_NewRef(make);
    self->items = NULL;
    self->first = self->end = self->room = 0;
    return self;
}

static int
make_room(Messages *self, Py_ssize_t more)
{
    if (self->end + more <= self->room)
        return 0;
    Py_ssize_t count = self->end - self->first, room = 64;
    while (room < 2 * (count + more))
        room *= 2;
    rd_kafka_message_t **items = PyMem_New(rd_kafka_message_t *, room);
    if (items == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (count)
        memcpy(items, self->items + self->first, (size_t)count * sizeof *items);
    PyMem_Free(self->items);
    self->items = items;
    self->first = 0;
    self->end = count;
    self->room = room;
    return 0;
}

int
append_message(Messages *self, rd_kafka_message_t *message)
{
    if (make_room(self, 1) < 0)
        return -1;
    self->items[self->end++] = message;
    return 0;
}

static void
drop(Messages *self, Py_ssize_t count)
{
    while (count-- > 0)
        lib.message_destroy(self->items[self->first++]);
}

static Py_ssize_t
messages_length(Messages *self)
{
    return self->end - self->first;
}

static PyObject *
octets(const void *at, size_t size)
{
    return at == NULL ? Py_NewRef(Py_None) : PyBytes_FromStringAndSize(at, (Py_ssize_t)size);
}

static PyObject *
messages_item(Messages *self, Py_ssize_t index)
{
    if (index < 0 || index >= self->end - self->first) {
        PyErr_SetString(PyExc_IndexError, "no such message");
        return NULL;
    }
    const rd_kafka_message_t *message = self->items[self->first + index];
    int kind;
    return PyObject_CallFunction(self->make, "siLLNN", lib.topic_name(message->rkt), (int)message->partition,
                                 (long long)message->offset, (long long)lib.message_timestamp(message, &kind),
                                 octets(message->key, message->key_len), octets(message->payload, message->len));
}

static PyObject *
messages_extend(Messages *self, PyObject *other)
{
    if (!Py_IS_TYPE(other, &Messages_Type) || other == (PyObject *)self) {
        PyErr_SetString(PyExc_TypeError, "other messages are wanted");
        return NULL;
    }
    Messages *more = (Messages *)other;
    Py_ssize_t count = more->end - more->first;
    if (make_room(self, count) < 0)
        return NULL;
    if (count)
        memcpy(self->items + self->end, more->items + more->first, (size_t)count * sizeof *self->items);
    self->end += count;
    more->first = more->end;
    Py_RETURN_NONE;
}

static PyObject *
messages_drop(Messages *self, PyObject *number)
{
    Py_ssize_t count = PyLong_AsSsize_t(number);
    if (count == -1 && PyErr_Occurred())
        return NULL;
    if (count < 0 || count > self->end - self->first) {
        PyErr_SetString(PyExc_ValueError, "so many are not there");
        return NULL;
    }
    drop(self, count);
    Py_RETURN_NONE;
}

static PyObject *
messages_values(Messages *self, void *unused)
{
    return Py_NewRef(self);
}

static void
messages_dealloc(Messages *self)
{
    drop(self, self->end - self->first);
    source_leave(self->source);
    Py_DECREF(self->source->owner);
    PyMem_Free(self->items);
    Py_DECREF(self->make);
    PyObject_Free(self);
}

static PyMethodDef messages_methods[] = {
    {"extend", (PyCFunction)messages_extend, METH_O, "extend(other): its messages are the last of these now."},
    {"drop", (PyCFunction)messages_drop, METH_O, "drop(count): give the first ones back."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef messages_getters[] = {
    {"values", (getter)messages_values, NULL, "What a decoder takes: they themselves.", NULL},
    {"offsets", (getter)messages_values, NULL, "What the framing takes beside them: they themselves.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PySequenceMethods messages_sequence = {
    .sq_length = (lenfunc)messages_length,
    .sq_item = (ssizeargfunc)messages_item,
};

PyTypeObject Messages_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "wsadapter.native._native.Messages",
    .tp_basicsize = sizeof(Messages),
    .tp_dealloc = (destructor)messages_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_doc = "Messages of one partition, as librdkafka holds them.",
    .tp_as_sequence = &messages_sequence,
    .tp_iter = PySeqIter_New,
    .tp_methods = messages_methods,
    .tp_getset = messages_getters,
};

int
add_messages(PyObject *module)
{
    return PyType_Ready(&Messages_Type);
}
