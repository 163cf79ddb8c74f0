/* The usual frame's way from picows to who handles its items, in C: the fast half of wsadapter/client/reader.py.
 *
 * After each sleep code is cold, and at live rates each frame is a read of its own: what counts here is how much is
 * touched. So the frame's attributes are read by their getters, and nothing of it runs in the interpreter.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#include <time.h>

#include "parts.h"

enum { MSG_TYPE, FIN, RSV1, RSV2, RSV3, PAYLOAD_SIZE, LAST_IN_BUFFER, ATTRIBUTES };

static const char *const attribute_names[ATTRIBUTES] = {
    "msg_type", "fin", "rsv1", "rsv2", "rsv3", "payload_size", "last_in_buffer",
};
static PyObject *names[ATTRIBUTES], *octets_name, *view_name;

enum { COPIED = 2048 }; /* of so few octets a copy is cheaper than a view */

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *receive, *otherwise, *read_end, *dispatch, *text;
    PyTypeObject *frame;
    PyGetSetDef *getters[ATTRIBUTES]; /* of that type; NULL: ask the object */
    Py_buffer messages, bytes;        /* one cell each */
    Py_buffer clock;                  /* last time given, monotonic time of that: wsadapter/client/clock.py */
    PyObject *received; /* the time of the read, as a number of Python's, made by its first message */
    long long received_ns;
    double last_read;
    char closed, fragmented;
} FrameReader;

static PyObject *
attribute(FrameReader *self, PyObject *frame, int which)
{
    PyGetSetDef *getter = self->getters[which];
    if (getter != NULL && Py_TYPE(frame) == self->frame)
        return getter->get(frame, getter->closure);
    return PyObject_GetAttr(frame, names[which]);
}

/* 1, 0, or -1 with an exception. */
static int
flag(FrameReader *self, PyObject *frame, int which)
{
    PyObject *value = attribute(self, frame, which);
    if (value == NULL)
        return -1;
    int is = PyObject_IsTrue(value);
    Py_DECREF(value);
    return is;
}

static long long
nanoseconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (long long)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void
date_read(FrameReader *self)
{
    if (self->received_ns)
        return;
    long long *last = self->clock.buf, wall = nanoseconds(CLOCK_REALTIME), monotonic = nanoseconds(CLOCK_MONOTONIC);
    long long earliest = last[0] + (monotonic - last[1]) / 2;
    self->received_ns = last[0] = wall > earliest ? wall : earliest;
    last[1] = monotonic;
    self->last_read = (double)monotonic * 1e-9;
}

static int
finish_read(FrameReader *self)
{
    if (!self->received_ns || self->read_end == NULL)
        return 0;
    self->received_ns = 0;
    Py_CLEAR(self->received);
    PyObject *done = PyObject_CallNoArgs(self->read_end);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static int
give(FrameReader *self, PyObject *item)
{
    if (self->dispatch == NULL)
        return 0;
    PyObject *handler = PyDict_GetItemWithError(self->dispatch, (PyObject *)Py_TYPE(item));
    if (handler == NULL)
        return PyErr_Occurred() ? -1 : 0;
    Py_INCREF(handler);
    PyObject *taken = PyObject_CallOneArg(handler, item);
    Py_DECREF(handler);
    Py_XDECREF(taken);
    return taken == NULL ? -1 : 0;
}

static int
give_all(FrameReader *self, PyObject *items)
{
    PyObject *list = PySequence_Fast(items, "items are a sequence");
    int given = list == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; given == 0 && i < PySequence_Fast_GET_SIZE(list); i++) {
        PyObject *item = Py_NewRef(PySequence_Fast_GET_ITEM(list, i));
        given = give(self, item);
        Py_DECREF(item);
    }
    Py_XDECREF(list);
    return given;
}

/* Whether it is a whole text message; -1 with an exception. */
static int
is_usual(FrameReader *self, PyObject *frame)
{
    if (self->fragmented)
        return 0;
    PyObject *kind = attribute(self, frame, MSG_TYPE);
    if (kind == NULL)
        return -1;
    Py_DECREF(kind);
    if (kind != self->text)
        return 0;
    int is = flag(self, frame, FIN);
    for (int which = RSV1; is == 1 && which <= RSV3; which++) {
        int set = flag(self, frame, which);
        is = set < 0 ? -1 : !set;
    }
    return is;
}

/* How many octets the message has; -1 with an exception. */
static long long
count(FrameReader *self, PyObject *frame)
{
    PyObject *size = attribute(self, frame, PAYLOAD_SIZE);
    if (size == NULL)
        return -1;
    long long octets = PyLong_AsLongLong(size);
    Py_DECREF(size);
    if (octets == -1 && PyErr_Occurred())
        return -1;
    ++*(long long *)self->messages.buf;
    *(long long *)self->bytes.buf += octets;
    return octets;
}

static int
read_message(FrameReader *self, PyObject *frame)
{
    long long octets = count(self, frame);
    if (octets < 0 || (self->received == NULL && (self->received = PyLong_FromLongLong(self->received_ns)) == NULL))
        return -1;
    PyObject *payload = PyObject_CallMethodNoArgs(frame, octets <= COPIED ? octets_name : view_name);
    PyObject *self_and_args[3] = {NULL, payload, Py_NewRef(self->received)}, *items = NULL;
    if (payload != NULL)
        items = PyObject_Vectorcall(self->receive, self_and_args + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_XDECREF(payload);
    Py_DECREF(self_and_args[2]);
    int given = items == NULL ? -1 : give_all(self, items);
    Py_XDECREF(items);
    return given;
}

static PyObject *
reader_call(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *keywords)
{
    FrameReader *self = (FrameReader *)callable;
    if (PyVectorcall_NARGS(nargsf) != 2 || keywords != NULL) {
        PyErr_SetString(PyExc_TypeError, "a reader takes a transport and a frame");
        return NULL;
    }
    if (self->closed)
        Py_RETURN_NONE;
    date_read(self);
    int done = is_usual(self, args[1]);
    if (done == 1)
        done = read_message(self, args[1]);
    else if (done == 0) {
        PyObject *taken = PyObject_Vectorcall(self->otherwise, args, 2, NULL);
        Py_XDECREF(taken);
        done = taken == NULL ? -1 : 0;
    }
    if (done < 0) {
        self->closed = 1;
        return NULL;
    }
    int last = flag(self, args[1], LAST_IN_BUFFER);
    if (last < 0 || (last && finish_read(self) < 0))
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *
reader_date(FrameReader *self, PyObject *unused)
{
    date_read(self);
    return PyLong_FromLongLong(self->received_ns);
}

static PyObject *
reader_deliver(FrameReader *self, PyObject *items)
{
    if (give_all(self, items) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *
reader_finish(FrameReader *self, PyObject *unused)
{
    if (finish_read(self) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *
get_dispatch(FrameReader *self, void *unused)
{
    return Py_NewRef(self->dispatch != NULL ? self->dispatch : Py_None);
}

static int
set_dispatch(FrameReader *self, PyObject *dispatch, void *unused)
{
    if (dispatch == NULL || !PyDict_Check(dispatch)) {
        PyErr_SetString(PyExc_TypeError, "dispatch is a dict");
        return -1;
    }
    Py_XSETREF(self->dispatch, Py_NewRef(dispatch));
    return 0;
}

static int
get_cells(PyObject *memory, Py_buffer *cells, int count)
{
    if (PyObject_GetBuffer(memory, cells, PyBUF_WRITABLE) < 0)
        return -1;
    if (cells->len == 8 * count)
        return 0;
    PyErr_SetString(PyExc_ValueError, "a cell has 8 bytes");
    return -1;
}

static PyObject *
reader_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *receive, *otherwise, *read_end, *messages, *bytes, *clock, *frame, *text;
    if (!PyArg_ParseTuple(args, "OOOOOOO!O", &receive, &otherwise, &read_end, &messages, &bytes, &clock, &PyType_Type,
                          &frame, &text))
        return NULL;
    FrameReader *self = (FrameReader *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->vectorcall = reader_call;
    self->receive = Py_NewRef(receive);
    self->otherwise = Py_NewRef(otherwise);
    self->read_end = Py_NewRef(read_end);
    self->text = Py_NewRef(text);
    self->frame = (PyTypeObject *)Py_NewRef(frame);
    self->last_read = (double)nanoseconds(CLOCK_MONOTONIC) * 1e-9;
    if ((self->dispatch = PyDict_New()) == NULL || get_cells(messages, &self->messages, 1) < 0 ||
        get_cells(bytes, &self->bytes, 1) < 0 || get_cells(clock, &self->clock, 2) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    for (int which = 0; which < ATTRIBUTES; which++) {
        PyObject *found = PyObject_GetAttr(frame, names[which]);
        if (found == NULL)
            PyErr_Clear();
        else if (Py_IS_TYPE(found, &PyGetSetDescr_Type))
            self->getters[which] = ((PyGetSetDescrObject *)found)->d_getset;
        Py_XDECREF(found);
    }
    return (PyObject *)self;
}

/* The session that has this reader is what `otherwise` belongs to: a cycle, which the collector takes. */
static int
reader_traverse(FrameReader *self, visitproc visit, void *arg)
{
    Py_VISIT(self->receive);
    Py_VISIT(self->otherwise);
    Py_VISIT(self->read_end);
    Py_VISIT(self->dispatch);
    return 0;
}

static int
reader_clear(FrameReader *self)
{
    self->closed = 1;
    Py_CLEAR(self->receive);
    Py_CLEAR(self->otherwise);
    Py_CLEAR(self->read_end);
    Py_CLEAR(self->dispatch);
    return 0;
}

static void
reader_dealloc(FrameReader *self)
{
    PyObject_GC_UnTrack(self);
    reader_clear(self);
    Py_XDECREF(self->received);
    Py_XDECREF(self->text);
    Py_XDECREF(self->frame);
    PyBuffer_Release(&self->messages);
    PyBuffer_Release(&self->bytes);
    PyBuffer_Release(&self->clock);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef reader_methods[] = {
    {"date", (PyCFunction)reader_date, METH_NOARGS, "The time of this read, taken by its first frame."},
    {"deliver", (PyCFunction)reader_deliver, METH_O, "Give items to who handles them."},
    {"finish", (PyCFunction)reader_finish, METH_NOARGS, "The read ends here, if one was begun."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef reader_members[] = {
    {"received_ns", T_LONGLONG, offsetof(FrameReader, received_ns), READONLY, "Of the read being delivered, or 0."},
    {"last_read", T_DOUBLE, offsetof(FrameReader, last_read), 0, "Monotonic seconds."},
    {"closed", T_BOOL, offsetof(FrameReader, closed), 0, "Nothing is delivered any more."},
    {"fragmented", T_BOOL, offsetof(FrameReader, fragmented), 0, "No frame is a usual one."},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef reader_attributes[] = {
    {"dispatch", (getter)get_dispatch, (setter)set_dispatch, "Item type -> who handles it.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyTypeObject FrameReader_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "wsadapter.native._native.FrameReader",
    .tp_basicsize = sizeof(FrameReader),
    .tp_dealloc = (destructor)reader_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_HAVE_GC,
    .tp_traverse = (traverseproc)reader_traverse,
    .tp_clear = (inquiry)reader_clear,
    .tp_vectorcall_offset = offsetof(FrameReader, vectorcall),
    .tp_call = PyVectorcall_Call,
    .tp_doc = "FrameReader(receive, otherwise, read_end, messages, bytes, frame type, TEXT): call it with transport, frame.",
    .tp_methods = reader_methods,
    .tp_members = reader_members,
    .tp_getset = reader_attributes,
    .tp_new = reader_new,
};

int
add_reader(PyObject *module)
{
    for (int which = 0; which < ATTRIBUTES; which++)
        if ((names[which] = PyUnicode_InternFromString(attribute_names[which])) == NULL)
            return -1;
    octets_name = PyUnicode_InternFromString("get_payload_as_bytes");
    view_name = PyUnicode_InternFromString("get_payload_as_memoryview");
    if (octets_name == NULL || view_name == NULL || PyType_Ready(&FrameReader_Type) < 0)
        return -1;
    return PyModule_AddObjectRef(module, "FrameReader", (PyObject *)&FrameReader_Type);
}
