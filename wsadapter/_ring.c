/* Appending to and walking a ring, in C: the fast half of wsadapter/ring.py, which decides about room, laps and damage.
 *
 * Tail and head are not touched here: they are published and committed by ring.py, as its memory model says.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include "_ring.h"

static PyObject *
appender_append(Appender *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "append takes a kind and a payload");
        return NULL;
    }
    long kind = PyLong_AsLong(args[0]);
    if (kind == -1 && PyErr_Occurred())
        return NULL;
    if (kind < 1 || kind > 255) {
        PyErr_SetObject(PyExc_KeyError, args[0]);
        return NULL;
    }
    if (!PyBytes_Check(args[1])) {
        PyErr_Format(PyExc_TypeError, "a payload is bytes, not %.100s", Py_TYPE(args[1])->tp_name);
        return NULL;
    }
    if (!self->mapped) {
        PyErr_SetString(PyExc_ValueError, "the ring is released");
        return NULL;
    }
    return PyBool_FromLong(append_record(self, (int)kind, PyBytes_AS_STRING(args[1]), PyBytes_GET_SIZE(args[1])));
}

static PyObject *
appender_release(Appender *self, PyObject *unused)
{
    if (self->mapped) {
        self->mapped = 0;
        self->stop = 0;
        PyBuffer_Release(&self->map);
    }
    Py_RETURN_NONE;
}

static PyObject *
appender_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *mapping;
    long long at, max_payload;
    if (!PyArg_ParseTuple(args, "OLL", &mapping, &at, &max_payload))
        return NULL;
    Appender *self = (Appender *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    if (PyObject_GetBuffer(mapping, &self->map, PyBUF_WRITABLE) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    self->mapped = 1;
    self->at = at;
    self->last = -1;
    self->max_payload = max_payload;
    return (PyObject *)self;
}

static void
appender_dealloc(Appender *self)
{
    if (self->mapped)
        PyBuffer_Release(&self->map);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef appender_methods[] = {
    {"append", (PyCFunction)(void (*)(void))appender_append, METH_FASTCALL,
     "append(kind, payload): whether it fitted before `stop`."},
    {"release", (PyCFunction)appender_release, METH_NOARGS, "Let go of the mapping."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef appender_members[] = {
    {"at", T_LONGLONG, offsetof(Appender, at), 0, "Where the next record begins."},
    {"stop", T_LONGLONG, offsetof(Appender, stop), 0, "Up to here there is room."},
    {"last", T_LONGLONG, offsetof(Appender, last), 0, "Where the last record began."},
    {NULL, 0, 0, 0, NULL},
};

static PyTypeObject Appender_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "wsadapter._ring.Appender",
    .tp_basicsize = sizeof(Appender),
    .tp_dealloc = (destructor)appender_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Appender(mapping, at, max_payload): writes records one after the other.",
    .tp_methods = appender_methods,
    .tp_members = appender_members,
    .tp_new = appender_new,
};

static PyObject *
scan(PyObject *self, PyObject *args)
{
    PyObject *mapping, *out;
    long long at, stop, limit, lap;
    if (!PyArg_ParseTuple(args, "OLLLLO!", &mapping, &at, &stop, &limit, &lap, &PyList_Type, &out))
        return NULL;
    Py_buffer map;
    if (PyObject_GetBuffer(mapping, &map, PyBUF_SIMPLE) < 0)
        return NULL;
    if (at < 0 || at % 8 || stop > map.len) {
        PyBuffer_Release(&map);
        PyErr_SetString(PyExc_ValueError, "a place outside of the mapping");
        return NULL;
    }
    long long end = at;
    unsigned long long header = 0;
    while (at < stop && limit > 0) {
        const char *place = (const char *)map.buf + at;
        header = *(const volatile uint64_t *)place;
        long long length = (long long)(header & 0xFFFFFFFF);
        end = at + ((length + 15) & -8);
        if (end > stop || header <= 0xFFFFFFFF || header >= 256ULL << 32)
            break;
        PyObject *record = Py_BuildValue("LKy#", at + lap, header >> 32, place + 8, (Py_ssize_t)length);
        if (record == NULL || PyList_Append(out, record) < 0) {
            Py_XDECREF(record);
            PyBuffer_Release(&map);
            return NULL;
        }
        Py_DECREF(record);
        at = end;
        limit--;
    }
    PyBuffer_Release(&map);
    return Py_BuildValue("LLKL", at, end, header, limit);
}

static PyMethodDef methods[] = {
    {"scan", scan, METH_VARARGS,
     "scan(mapping, at, stop, limit, lap, out): append (position, kind, payload) of each record to `out`; returns "
     "(place, end, header, limit) where it stopped."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "wsadapter._ring", "See wsadapter/ring.py.", -1, methods,
};

PyMODINIT_FUNC
PyInit__ring(void)
{
    if (PyType_Ready(&Appender_Type) < 0)
        return NULL;
    PyObject *made = PyModule_Create(&module);
    if (made == NULL)
        return NULL;
    if (PyModule_AddObjectRef(made, "Appender", (PyObject *)&Appender_Type) < 0) {
        Py_DECREF(made);
        return NULL;
    }
    return made;
}
