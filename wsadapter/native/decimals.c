/* Plain decimals and book sides, checked in C: the fast half of wsadapter/events/decimals.py.
 *
 * Plain is [0-9]+(\.[0-9]+)? in ASCII, as there. Nothing here knows a venue. A side is taken only in the one spelling
 * that most venues send, [["1.0","2"],["3","4"]]; for any other the answer is None and Python looks again.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include "decimals.h"
#include "levels.h"
#include "parts.h"

static PyObject *
are_plain(PyObject *self, PyObject *const *texts, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *text = texts[i];
        if (!PyUnicode_Check(text)) {
            PyErr_Format(PyExc_TypeError, "a decimal is text, not %.100s", Py_TYPE(text)->tp_name);
            return NULL;
        }
        if (!PyUnicode_IS_COMPACT_ASCII(text))
            Py_RETURN_FALSE;
        const char *at = (const char *)PyUnicode_1BYTE_DATA(text), *stop = at + PyUnicode_GET_LENGTH(text);
        if (after_plain(at, stop) != stop)
            Py_RETURN_FALSE;
    }
    Py_RETURN_TRUE;
}

/* Levels: one column of a side. */

static void
levels_dealloc(Levels *self)
{
    Py_XDECREF(self->side);
    Py_XDECREF(self->texts);
    PyObject_Free(self);
}

static PyObject *
levels_texts(Levels *self)
{
    if (self->texts == NULL) {
        PyObject *texts = PyList_New(self->count);
        if (texts == NULL)
            return NULL;
        LevelsCursor cursor = levels_begin(PyBytes_AS_STRING(self->side), self->column);
        for (Py_ssize_t i = 0; i < self->count; i++) {
            Py_ssize_t length;
            const char *text = levels_next(&cursor, &length);
            PyObject *made = PyUnicode_New(length, 127);
            if (made == NULL) {
                Py_DECREF(texts);
                return NULL;
            }
            memcpy(PyUnicode_1BYTE_DATA(made), text, length);
            PyList_SET_ITEM(texts, i, made);
        }
        self->texts = texts;
    }
    return self->texts;
}

static Py_ssize_t
levels_length(Levels *self)
{
    return self->count;
}

static PyObject *
levels_item(Levels *self, Py_ssize_t index)
{
    PyObject *texts = levels_texts(self);
    return texts == NULL ? NULL : PySequence_GetItem(texts, index);
}

static PyObject *
levels_subscript(Levels *self, PyObject *key)
{
    PyObject *texts = levels_texts(self);
    return texts == NULL ? NULL : PyObject_GetItem(texts, key);
}

static PyObject *
levels_iter(Levels *self)
{
    PyObject *texts = levels_texts(self);
    return texts == NULL ? NULL : PyObject_GetIter(texts);
}

static PyObject *
levels_repr(Levels *self)
{
    PyObject *texts = levels_texts(self);
    return texts == NULL ? NULL : PyObject_Repr(texts);
}

static PyObject *
levels_compare(PyObject *self, PyObject *other, int operation)
{
    if (operation != Py_EQ && operation != Py_NE)
        Py_RETURN_NOTIMPLEMENTED;
    PyObject *ours = levels_texts((Levels *)self), *theirs = other;
    if (ours == NULL)
        return NULL;
    if (Py_IS_TYPE(other, &Levels_Type) && (theirs = levels_texts((Levels *)other)) == NULL)
        return NULL;
    return PyObject_RichCompare(ours, theirs, operation);
}

static PyObject *
levels_reduce(Levels *self, PyObject *unused)
{
    PyObject *texts = levels_texts(self);
    return texts == NULL ? NULL : Py_BuildValue("O(O)", (PyObject *)&PyList_Type, texts);
}

static PySequenceMethods levels_sequence = {
    .sq_length = (lenfunc)levels_length,
    .sq_item = (ssizeargfunc)levels_item,
};

static PyMappingMethods levels_mapping = {
    .mp_length = (lenfunc)levels_length,
    .mp_subscript = (binaryfunc)levels_subscript,
};

static PyMethodDef levels_methods[] = {
    {"__reduce__", (PyCFunction)levels_reduce, METH_NOARGS, "Copies and pickles are lists."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef levels_members[] = {
    {"side", T_OBJECT_EX, offsetof(Levels, side), READONLY, "The side as it is kept (bytes), see levels.h."},
    {"column", T_INT, offsetof(Levels, column), READONLY, "0 = price, 1 = quantity."},
    {NULL, 0, 0, 0, NULL},
};

PyTypeObject Levels_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "wsadapter.native._native.Levels",
    .tp_basicsize = sizeof(Levels),
    .tp_dealloc = (destructor)levels_dealloc,
    .tp_repr = (reprfunc)levels_repr,
    .tp_as_sequence = &levels_sequence,
    .tp_as_mapping = &levels_mapping,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_SEQUENCE,
    .tp_doc = "One column of a book side: plain decimal texts, best price first, made into str when looked at.",
    .tp_richcompare = levels_compare,
    .tp_hash = PyObject_HashNotImplemented,
    .tp_iter = (getiterfunc)levels_iter,
    .tp_methods = levels_methods,
    .tp_members = levels_members,
    .tp_free = PyObject_Free,
};

PyObject *
levels_new(PyObject *side, Py_ssize_t count, int column)
{
    Levels *made = PyObject_New(Levels, &Levels_Type);
    if (made == NULL)
        return NULL;
    made->side = Py_NewRef(side);
    made->count = count;
    made->column = column;
    made->texts = NULL;
    return (PyObject *)made;
}

static Sides sides; /* of the call at hand */

/* Two columns of a buffer into made[0], made[1]. 1 = done, 0 = another spelling, -1 = error. */
static int
split_side(PyObject *raw, PyObject **made)
{
    static const Spelling usual = {.price_at = 0, .quantity_at = 1, .places = 2};
    Py_buffer view;
    if (PyObject_GetBuffer(raw, &view, PyBUF_SIMPLE) < 0)
        return -1;
    const char *at = view.buf, *end = at + view.len;
    sides.size = 0;
    Py_ssize_t count = read_side(&at, end, &usual, &sides, 0);
    int whole = skip_space(at, end) == end;
    PyBuffer_Release(&view);
    if (count == -2) {
        PyErr_NoMemory();
        return -1;
    }
    if (count < 0 || !whole)
        return 0;
    return make_columns(&sides, 0, sides.size, count, made) < 0 ? -1 : 1;
}

static PyObject *
split_book(PyObject *self, PyObject *const *sides, Py_ssize_t count)
{
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "split_book takes bids and asks");
        return NULL;
    }
    PyObject *columns[4] = {NULL, NULL, NULL, NULL};
    int done = split_side(sides[0], columns);
    if (done == 1)
        done = split_side(sides[1], columns + 2);
    PyObject *book = NULL;
    if (done == 1)
        book = PyTuple_Pack(4, columns[0], columns[1], columns[2], columns[3]);
    else if (done == 0)
        book = Py_NewRef(Py_None);
    for (int i = 0; i < 4; i++)
        Py_XDECREF(columns[i]);
    return book;
}

static PyMethodDef methods[] = {
    {"are_plain", (PyCFunction)(void (*)(void))are_plain, METH_FASTCALL, "Whether every text is a plain decimal."},
    {"split_book", (PyCFunction)(void (*)(void))split_book, METH_FASTCALL,
     "Bid prices, bid quantities, ask prices, ask quantities of two JSON values; None for any other spelling."},
    {NULL, NULL, 0, NULL},
};

int
add_decimals(PyObject *module)
{
    if (PyType_Ready(&Levels_Type) < 0 || PyModule_AddFunctions(module, methods) < 0)
        return -1;
    return PyModule_AddObjectRef(module, "Levels", (PyObject *)&Levels_Type);
}
