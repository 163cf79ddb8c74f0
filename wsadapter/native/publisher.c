/* Events straight into a ring, and counted: the twin of `PythonPublisher` in wsadapter/roles/ingest/publisher.py.
 *
 * What cannot be encoded, what does not fit and all that comes while it is held is for `otherwise`.
 */
#include "records.h"

#include <structmember.h>

#include "parts.h"
#include "publisher.h"

enum { RECEIVE_TIME = 4 }; /* the field's place among those that all events have */

/* Whether the exception is one of `BAD_EVENT` in wsadapter/events/records.py. */
static int
is_bad_event(void)
{
    return PyErr_ExceptionMatches(PyExc_TypeError) || PyErr_ExceptionMatches(PyExc_ValueError) ||
           PyErr_ExceptionMatches(PyExc_OverflowError) || PyErr_ExceptionMatches(PyExc_AttributeError);
}

static PyObject *
publish(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *names)
{
    Publisher *self = (Publisher *)callable;
    Encoder *encoder = self->encoder;
    if (PyVectorcall_NARGS(nargsf) != 1 || names != NULL) {
        PyErr_SetString(PyExc_TypeError, "a publisher takes one event");
        return NULL;
    }
    PyObject *event = args[0];
    int index = layout_of(encoder, event);
    if (index < 0)
        return NULL;
    const Layout *layout = &encoder->layouts[index];
    volatile long long *cells = self->cells.buf;
    if (self->counted)
        cells[self->decoded_cell]++;
    if (self->held || !self->counted)
        return PyObject_CallOneArg(self->otherwise, event);
    if (put_event(encoder, layout, event) < 0) {
        if (!is_bad_event())
            return NULL;
        PyErr_Clear();
        return PyObject_CallOneArg(self->otherwise, event);
    }
    if (!append_record(self->ring, self->kinds[index], encoder->output.bytes, (Py_ssize_t)encoder->output.size))
        return PyObject_CallOneArg(self->otherwise, event);
    cells[self->counters[index]]++;
    cells[self->received_cell] =
        PyLong_AsLongLong(*(PyObject **)((char *)event + layout->fields[RECEIVE_TIME].offset));
    if (self->flags[index] >= 0 &&
        *(PyObject **)((char *)event + layout->fields[self->flags[index]].offset) == Py_False)
        cells[self->flag_counters[index]]++;
    Py_RETURN_NONE;
}

static int
read_counts(Publisher *self, PyObject *counts)
{
    Py_ssize_t cells = self->cells.len / 8;
    for (int i = 0; i < self->encoder->count; i++) {
        PyObject *count = PyDict_GetItemWithError(counts, (PyObject *)self->encoder->layouts[i].type);
        if (count == NULL) {
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_ValueError, "a type of event is not counted");
            return -1;
        }
        if (!PyArg_ParseTuple(count, "iiii", &self->kinds[i], &self->counters[i], &self->flags[i],
                              &self->flag_counters[i]))
            return -1;
        if (self->kinds[i] < 1 || self->kinds[i] > 255 || self->counters[i] < 0 || self->counters[i] >= cells ||
            self->flags[i] >= self->encoder->layouts[i].count ||
            (self->flags[i] >= 0 && (self->flag_counters[i] < 0 || self->flag_counters[i] >= cells))) {
            PyErr_SetString(PyExc_ValueError, "a kind, a field or a cell that is none");
            return -1;
        }
    }
    if (self->received_cell < 0 || self->received_cell >= cells || self->decoded_cell < 0 ||
        self->decoded_cell >= cells) {
        PyErr_SetString(PyExc_ValueError, "no cell for the time of the last event, or for all events");
        return -1;
    }
    return 0;
}

static PyObject *
publisher_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *encoder, *ring, *cells, *counts, *otherwise;
    int received_cell, decoded_cell;
    if (!PyArg_ParseTuple(args, "O!O!OO!iiO", &Encoder_Type, &encoder, &Appender_Type, &ring, &cells, &PyDict_Type,
                          &counts, &received_cell, &decoded_cell, &otherwise))
        return NULL;
    Publisher *self = (Publisher *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    if (PyObject_GetBuffer(cells, &self->cells, PyBUF_WRITABLE) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    self->counted = 1;
    self->vectorcall = publish;
    self->encoder = (Encoder *)Py_NewRef(encoder);
    self->ring = (Appender *)Py_NewRef(ring);
    self->otherwise = Py_NewRef(otherwise);
    self->received_cell = received_cell;
    self->decoded_cell = decoded_cell;
    if (read_counts(self, counts) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static int
publisher_traverse(Publisher *self, visitproc visit, void *arg)
{
    Py_VISIT(self->otherwise);
    return 0;
}

static int
publisher_clear(Publisher *self)
{
    Py_CLEAR(self->otherwise);
    return 0;
}

static void
publisher_dealloc(Publisher *self)
{
    PyObject_GC_UnTrack(self);
    if (self->counted)
        PyBuffer_Release(&self->cells);
    Py_XDECREF(self->encoder);
    Py_XDECREF(self->ring);
    Py_XDECREF(self->otherwise);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *
publisher_release(Publisher *self, PyObject *unused)
{
    if (self->counted) {
        self->counted = 0;
        PyBuffer_Release(&self->cells);
    }
    Py_RETURN_NONE;
}

static PyMethodDef publisher_methods[] = {
    {"release", (PyCFunction)publisher_release, METH_NOARGS, "Let go of the stats page."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef publisher_members[] = {
    {"held", T_INT, offsetof(Publisher, held), 0, "Not zero: every event goes to `otherwise`."},
    {NULL, 0, 0, 0, NULL},
};

PyTypeObject Publisher_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "wsadapter.native._native.Publisher",
    .tp_basicsize = sizeof(Publisher),
    .tp_dealloc = (destructor)publisher_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_HAVE_GC,
    .tp_vectorcall_offset = offsetof(Publisher, vectorcall),
    .tp_call = PyVectorcall_Call,
    .tp_traverse = (traverseproc)publisher_traverse,
    .tp_clear = (inquiry)publisher_clear,
    .tp_doc = "Publisher(encoder, appender, cells, {type: (kind, counter, flag, flag counter)}, received, decoded, "
              "otherwise).",
    .tp_methods = publisher_methods,
    .tp_members = publisher_members,
    .tp_new = publisher_new,
};

int
add_publisher(PyObject *module)
{
    if (PyType_Ready(&Publisher_Type) < 0)
        return -1;
    return PyModule_AddObjectRef(module, "Publisher", (PyObject *)&Publisher_Type);
}
