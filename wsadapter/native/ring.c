/* Appending to and walking a ring, in C: the fast half of wsadapter/shm/ring.py, which decides about room, laps and damage.
 *
 * Head and tail are loaded and stored where ring.py says so (`load`, `store`); the tail by Publication, too, in the order
 * that wsadapter/shm/ring_counters.py explains.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <structmember.h>
#include <sys/eventfd.h>

#include "parts.h"
#include "ring.h"

enum { TAIL_PLACE = 128 };

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
    long long at, lap, max_payload;
    if (!PyArg_ParseTuple(args, "OLLL", &mapping, &at, &lap, &max_payload))
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
    self->lap = lap;
    self->last = -1 - lap;
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
    {"lap", T_LONGLONG, offsetof(Appender, lap), 0, "Position minus place of what is written now."},
    {NULL, 0, 0, 0, NULL},
};

PyTypeObject Appender_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "wsadapter.native._native.Appender",
    .tp_basicsize = sizeof(Appender),
    .tp_dealloc = (destructor)appender_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Appender(mapping, at, lap, max_payload): writes records one after the other.",
    .tp_methods = appender_methods,
    .tp_members = appender_members,
    .tp_new = appender_new,
};

/* The end of a socket read in one step: the twin of `RingCounters.publication` in wsadapter/shm/ring_counters.py. */

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    Appender *ring;
    Py_buffer page, counts; /* the stats page's cells, and the counts that stand behind the tail */
    int held;
    long long shown, banks[2]; /* cells: the first one shown; the tag of each bank, its counts follow */
    int next, doorbell;
} Publication;

static PyObject *
publication_call(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *names)
{
    Publication *self = (Publication *)callable;
    if (PyVectorcall_NARGS(nargsf) != 0 || names != NULL) {
        PyErr_SetString(PyExc_TypeError, "a publication takes nothing");
        return NULL;
    }
    if (!self->held || !self->ring->mapped) {
        PyErr_SetString(PyExc_ValueError, "the ring is released");
        return NULL;
    }
    long long tail = self->ring->at + self->ring->lap, *cells = self->page.buf, *bank = cells + self->banks[self->next];
    /* in this order, whatever is killed between: a tag that no tail has, the counts, the tag, the tail, what is shown */
    __atomic_store_n(bank, 0, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* a successor comes after us: the compiler's order is all that is asked */
    memcpy(bank + 1, self->counts.buf, (size_t)self->counts.len);
    __atomic_store_n(bank, tail + 1, __ATOMIC_RELEASE);
    self->next = 1 - self->next;
    /* SYNC tail: pairs with the loads in RingReader. Headers and payloads were stored before it. */
    __atomic_store_n((long long *)((char *)self->ring->map.buf + TAIL_PLACE), tail, __ATOMIC_RELEASE);
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* what is shown is of a tail that is published */
    memcpy(cells + self->shown, self->counts.buf, (size_t)self->counts.len);
    if (eventfd_write(self->doorbell, 1) < 0 && errno != EAGAIN)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

/* Whether the cells of the counts, as they are shown and in either bank, are in a page of so many. */
static int
fits(const Py_buffer *page, const Py_buffer *counts, long long shown, const long long *banks)
{
    long long size = counts->len / 8, most = page->len / 8;
    if (shown >= 0 && shown + size <= most && banks[0] >= 0 && banks[0] + 1 + size <= most && banks[1] >= 0 &&
        banks[1] + 1 + size <= most)
        return 1;
    PyErr_SetString(PyExc_ValueError, "cells outside of the page");
    return 0;
}

static PyObject *
publication_move(Publication *self, PyObject *args)
{
    PyObject *cells;
    Py_buffer page;
    long long shown, banks[2];
    if (!PyArg_ParseTuple(args, "OLLL", &cells, &shown, &banks[0], &banks[1]))
        return NULL;
    if (!self->held) {
        PyErr_SetString(PyExc_ValueError, "the page is released");
        return NULL;
    }
    if (PyObject_GetBuffer(cells, &page, PyBUF_WRITABLE) < 0)
        return NULL;
    if (!fits(&page, &self->counts, shown, banks)) {
        PyBuffer_Release(&page);
        return NULL;
    }
    PyBuffer_Release(&self->page);
    self->page = page;
    self->shown = shown;
    self->banks[0] = banks[0];
    self->banks[1] = banks[1];
    Py_RETURN_NONE;
}

static PyObject *
publication_release(Publication *self, PyObject *unused)
{
    if (self->held) {
        self->held = 0;
        PyBuffer_Release(&self->page);
        PyBuffer_Release(&self->counts);
    }
    Py_RETURN_NONE;
}

static PyObject *
publication_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *ring, *page, *counts;
    long long shown, banks[2];
    int doorbell;
    if (!PyArg_ParseTuple(args, "O!OOLLLi", &Appender_Type, &ring, &page, &counts, &shown, &banks[0], &banks[1],
                          &doorbell))
        return NULL;
    Publication *self = (Publication *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    if (PyObject_GetBuffer(page, &self->page, PyBUF_WRITABLE) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    if (PyObject_GetBuffer(counts, &self->counts, PyBUF_SIMPLE) < 0) {
        PyBuffer_Release(&self->page);
        Py_DECREF(self);
        return NULL;
    }
    self->held = 1;
    if (!fits(&self->page, &self->counts, shown, banks)) {
        Py_DECREF(self);
        return NULL;
    }
    self->vectorcall = publication_call;
    self->ring = (Appender *)Py_NewRef(ring);
    self->shown = shown;
    self->banks[0] = banks[0];
    self->banks[1] = banks[1];
    self->doorbell = doorbell;
    return (PyObject *)self;
}

static void
publication_dealloc(Publication *self)
{
    Py_XDECREF(publication_release(self, NULL));
    Py_XDECREF(self->ring);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef publication_methods[] = {
    {"move", (PyCFunction)publication_move, METH_VARARGS, "move(page cells, shown, bank, bank): go on in another page."},
    {"release", (PyCFunction)publication_release, METH_NOARGS, "Let go of page and counts."},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject Publication_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "wsadapter.native._native.Publication",
    .tp_basicsize = sizeof(Publication),
    .tp_dealloc = (destructor)publication_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Publication, vectorcall),
    .tp_call = PyVectorcall_Call,
    .tp_doc = "Publication(appender, page cells, counts, shown, bank, bank, doorbell): call it.",
    .tp_methods = publication_methods,
    .tp_new = publication_new,
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

/* The words that one process stores and the other loads: acquire and release, as wsadapter/shm/ring.py proves them. On
 * x86-64 both are plain instructions, on aarch64 ldar and stlr. `words` is a view of aligned 8-byte words. */

static uint64_t *
word_at(PyObject *words, PyObject *place, int flags, Py_buffer *view)
{
    Py_ssize_t index = PyLong_AsSsize_t(place);
    if (index == -1 && PyErr_Occurred())
        return NULL;
    if (PyObject_GetBuffer(words, view, flags) < 0) {
        if (PyErr_ExceptionMatches(PyExc_BufferError))
            PyErr_SetString(PyExc_TypeError, "cannot modify read-only memory");
        return NULL;
    }
    if (index < 0 || index >= view->len / 8 || (uintptr_t)view->buf % 8) {
        PyBuffer_Release(view);
        PyErr_SetString(PyExc_IndexError, "no aligned word of this view");
        return NULL;
    }
    return (uint64_t *)view->buf + index;
}

static PyObject *
load(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Py_buffer view;
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "load takes words and an index");
        return NULL;
    }
    uint64_t *word = word_at(args[0], args[1], PyBUF_SIMPLE, &view);
    if (word == NULL)
        return NULL;
    uint64_t value = __atomic_load_n(word, __ATOMIC_ACQUIRE);
    PyBuffer_Release(&view);
    return PyLong_FromUnsignedLongLong(value);
}

static PyObject *
store(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Py_buffer view;
    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "store takes words, an index and a value");
        return NULL;
    }
    unsigned long long value = PyLong_AsUnsignedLongLong(args[2]);
    if (value == (unsigned long long)-1 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_OverflowError))
            PyErr_SetString(PyExc_ValueError, "a word is 0 to 2**64 - 1");
        return NULL;
    }
    uint64_t *word = word_at(args[0], args[1], PyBUF_WRITABLE, &view);
    if (word == NULL)
        return NULL;
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
    PyBuffer_Release(&view);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"load", (PyCFunction)(void (*)(void))load, METH_FASTCALL, "load(words, index): with acquire order."},
    {"store", (PyCFunction)(void (*)(void))store, METH_FASTCALL, "store(words, index, value): with release order."},
    {"scan", scan, METH_VARARGS,
     "scan(mapping, at, stop, limit, lap, out): append (position, kind, payload) of each record to `out`; returns "
     "(place, end, header, limit) where it stopped."},
    {NULL, NULL, 0, NULL},
};

int
add_ring(PyObject *module)
{
    if (PyType_Ready(&Appender_Type) < 0 || PyType_Ready(&Publication_Type) < 0 ||
        PyModule_AddFunctions(module, methods) < 0 ||
        PyModule_AddObjectRef(module, "Appender", (PyObject *)&Appender_Type) < 0)
        return -1;
    return PyModule_AddObjectRef(module, "Publication", (PyObject *)&Publication_Type);
}
