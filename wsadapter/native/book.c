/* One side of a book, level by level as the venue's own texts: the fast half of wsadapter/exchanges/checked_book.py.
 *
 * Levels lie in order with the best one last, for that is where changes are. Prices are compared as decimals, digit by
 * digit. Nothing here knows a venue.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "book.h"
#include "decimals.h"
#include "parts.h"

typedef struct {
    char *text; /* price, then quantity */
    Py_ssize_t price, quantity;
} Level;

typedef struct {
    PyObject_HEAD
    int sign; /* 1: the lowest price is the best, -1: the highest */
    Py_ssize_t count, capacity;
    Level *levels;
} BookSide;

/* Below zero, zero or above, as the decimals are. */
static int
compare(const char *a, Py_ssize_t a_length, const char *b, Py_ssize_t b_length)
{
    const char *a_end = a + a_length, *b_end = b + b_length;
    while (a < a_end && *a == '0')
        a++;
    while (b < b_end && *b == '0')
        b++;
    const char *a_dot = memchr(a, '.', a_end - a), *b_dot = memchr(b, '.', b_end - b);
    Py_ssize_t a_whole = (a_dot ? a_dot : a_end) - a, b_whole = (b_dot ? b_dot : b_end) - b;
    if (a_whole != b_whole)
        return a_whole < b_whole ? -1 : 1;
    int whole = memcmp(a, b, a_whole);
    if (whole)
        return whole;
    a = a_dot ? a_dot + 1 : a_end;
    b = b_dot ? b_dot + 1 : b_end;
    while (a < a_end || b < b_end) {
        int left = a < a_end ? *a++ : '0', right = b < b_end ? *b++ : '0';
        if (left != right)
            return left - right;
    }
    return 0;
}

/* Where the price is, or where it belongs; `found` tells which. */
static Py_ssize_t
place_of(const BookSide *self, const char *price, Py_ssize_t length, int *found)
{
    Py_ssize_t low = 0, high = self->count;
    while (low < high) {
        Py_ssize_t middle = (low + high) / 2;
        const Level *level = &self->levels[middle];
        int order = self->sign * compare(level->text, level->price, price, length);
        if (order == 0) {
            *found = 1;
            return middle;
        }
        if (order > 0) /* worse ones come first */
            low = middle + 1;
        else
            high = middle;
    }
    *found = 0;
    return low;
}

static int
is_nothing(const char *text, Py_ssize_t length)
{
    for (Py_ssize_t i = 0; i < length; i++)
        if (text[i] != '0' && text[i] != '.')
            return 0;
    return 1;
}

int
book_change(PyObject *side, const char *price, Py_ssize_t price_length, const char *quantity, Py_ssize_t quantity_length)
{
    BookSide *self = (BookSide *)side;
    int found;
    Py_ssize_t at = place_of(self, price, price_length, &found);
    Level *level = &self->levels[at];
    if (is_nothing(quantity, quantity_length)) {
        if (found) {
            PyMem_Free(level->text);
            memmove(level, level + 1, (size_t)(--self->count - at) * sizeof(Level));
        }
        return 0;
    }
    char *text = PyMem_Malloc((size_t)(price_length + quantity_length));
    if (text != NULL && !found && self->count == self->capacity) {
        Py_ssize_t capacity = self->capacity ? 2 * self->capacity : 64;
        Level *levels = PyMem_Realloc(self->levels, (size_t)capacity * sizeof(Level));
        if (levels == NULL) {
            PyMem_Free(text);
            text = NULL;
        }
        else {
            self->levels = levels;
            self->capacity = capacity;
        }
    }
    if (text == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    level = &self->levels[at];
    if (found)
        PyMem_Free(level->text);
    else
        memmove(level + 1, level, (size_t)(self->count++ - at) * sizeof(Level));
    memcpy(text, price, price_length);
    memcpy(text + price_length, quantity, quantity_length);
    *level = (Level){text, price_length, quantity_length};
    return 0;
}

void
book_cut(PyObject *side, Py_ssize_t levels)
{
    BookSide *self = (BookSide *)side;
    Py_ssize_t worst = self->count - (levels < 0 ? 0 : levels);
    if (worst <= 0)
        return;
    for (Py_ssize_t i = 0; i < worst; i++)
        PyMem_Free(self->levels[i].text);
    self->count -= worst;
    memmove(self->levels, self->levels + worst, (size_t)self->count * sizeof(Level));
}

static uint32_t
crc_of_digits(const char *text, Py_ssize_t length, uint32_t crc)
{
    static uint32_t table[256];
    if (table[1] == 0)
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t value = i;
            for (int bit = 0; bit < 8; bit++)
                value = value & 1 ? value >> 1 ^ 0xEDB88320u : value >> 1;
            table[i] = value;
        }
    int begun = 0;
    for (Py_ssize_t i = 0; i < length; i++)
        if (text[i] != '.' && (begun |= text[i] != '0'))
            crc = table[(crc ^ (unsigned char)text[i]) & 255] ^ crc >> 8;
    return crc;
}

uint32_t
book_digits_crc(PyObject *side, Py_ssize_t best, uint32_t crc)
{
    BookSide *self = (BookSide *)side;
    crc = ~crc;
    for (Py_ssize_t i = self->count - 1; i >= 0 && i >= self->count - best; i--) {
        const Level *level = &self->levels[i];
        crc = crc_of_digits(level->text, level->price, crc);
        crc = crc_of_digits(level->text + level->price, level->quantity, crc);
    }
    return ~crc;
}

static PyObject *
side_change(BookSide *self, PyObject *args)
{
    const char *price, *quantity;
    Py_ssize_t price_length, quantity_length;
    if (!PyArg_ParseTuple(args, "s#s#", &price, &price_length, &quantity, &quantity_length))
        return NULL;
    if (after_plain(price, price + price_length) != price + price_length) {
        PyErr_SetString(PyExc_ValueError, "a price is a plain decimal");
        return NULL;
    }
    if (book_change((PyObject *)self, price, price_length, quantity, quantity_length) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *
side_cut(BookSide *self, PyObject *levels)
{
    Py_ssize_t count = PyLong_AsSsize_t(levels);
    if (count == -1 && PyErr_Occurred())
        return NULL;
    book_cut((PyObject *)self, count);
    Py_RETURN_NONE;
}

static PyObject *
side_best(BookSide *self, PyObject *levels)
{
    Py_ssize_t count = PyLong_AsSsize_t(levels);
    if (count == -1 && PyErr_Occurred())
        return NULL;
    PyObject *best = PyList_New(0);
    for (Py_ssize_t i = self->count - 1; best != NULL && i >= 0 && i >= self->count - count; i--) {
        const Level *level = &self->levels[i];
        PyObject *pair = Py_BuildValue("s#s#", level->text, level->price, level->text + level->price, level->quantity);
        if (pair == NULL || PyList_Append(best, pair) < 0)
            Py_CLEAR(best);
        Py_XDECREF(pair);
    }
    return best;
}

static PyObject *
side_digits_crc(BookSide *self, PyObject *args)
{
    Py_ssize_t best;
    unsigned int crc;
    if (!PyArg_ParseTuple(args, "nI", &best, &crc))
        return NULL;
    return PyLong_FromUnsignedLong(book_digits_crc((PyObject *)self, best, crc));
}

static Py_ssize_t
side_length(BookSide *self)
{
    return self->count;
}

static PyObject *
side_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    int sign;
    if (!PyArg_ParseTuple(args, "i", &sign))
        return NULL;
    BookSide *self = (BookSide *)type->tp_alloc(type, 0);
    if (self != NULL)
        self->sign = sign < 0 ? -1 : 1;
    return (PyObject *)self;
}

static void
side_dealloc(BookSide *self)
{
    for (Py_ssize_t i = 0; i < self->count; i++)
        PyMem_Free(self->levels[i].text);
    PyMem_Free(self->levels);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef side_methods[] = {
    {"change", (PyCFunction)side_change, METH_VARARGS, "One level; quantity 0 removes it."},
    {"cut", (PyCFunction)side_cut, METH_O, "Keep so many of the best."},
    {"best", (PyCFunction)side_best, METH_O, "So many levels, the best first."},
    {"digits_crc", (PyCFunction)side_digits_crc, METH_VARARGS, "(best, crc): of the digits of so many levels."},
    {NULL, NULL, 0, NULL},
};

static PySequenceMethods side_sequence = {.sq_length = (lenfunc)side_length};

PyTypeObject BookSide_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "wsadapter.native._native.BookSide",
    .tp_basicsize = sizeof(BookSide),
    .tp_dealloc = (destructor)side_dealloc,
    .tp_as_sequence = &side_sequence,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "BookSide(sign): 1 where the lowest price is the best, -1 where the highest is.",
    .tp_methods = side_methods,
    .tp_new = side_new,
};

int
add_book(PyObject *module)
{
    if (PyType_Ready(&BookSide_Type) < 0)
        return -1;
    return PyModule_AddObjectRef(module, "BookSide", (PyObject *)&BookSide_Type);
}
