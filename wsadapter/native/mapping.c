/* Wire Structs to events, in C: the fast half of wsadapter/exchanges/mapping.py.
 *
 * Nothing here knows a venue or an event type: a Conversion is a list of steps, one for each field of the event, told by
 * the exchange module. A value that is no plain decimal makes the answer NotPlain, as in Python.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include "decimals.h"
#include "parts.h"

enum { CONSTANT, GIVEN, SAME, OR_NONE, MS, AS_TEXT, COUNT, DECIMAL, DECIMAL_OR_NONE, SIGNED_OR_NONE, STEPS };
enum { MAX_STEPS = 48, GIVEN_COUNT = 3, MAX_GIVEN = MAX_STEPS };

typedef struct {
    int op, given;
    Py_ssize_t outer, inner; /* places in the wire Struct, and in the Struct that lies there; inner -1: none */
    PyTypeObject *inner_type;
    PyObject *constant;
} Step;

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyTypeObject *wire;
    PyObject *event, *not_plain, *name;
    int given; /* GIVEN_COUNT and op this conversion wants besides */
    int count;
    Step steps[MAX_STEPS];
} Conversion;

static inline int
is_plain(PyObject *text, int signs)
{
    if (!PyUnicode_CheckExact(text) || !PyUnicode_IS_COMPACT_ASCII(text))
        return 0;
    const char *at = (const char *)PyUnicode_1BYTE_DATA(text), *stop = at + PyUnicode_GET_LENGTH(text);
    if (signs && at < stop && *at == '-')
        at++;
    return after_plain(at, stop) == stop;
}

/* A new reference; NULL with an exception, or NULL without one where a decimal is not plain. */
static PyObject *
step_value(const Step *step, PyObject *wire, PyObject *const *given)
{
    if (step->op == CONSTANT)
        return Py_NewRef(step->constant);
    if (step->op == GIVEN)
        return Py_NewRef(given[step->given]);
    PyObject *value = *(PyObject **)((char *)wire + step->outer);
    if (value != NULL && step->inner >= 0) {
        if (!PyObject_TypeCheck(value, step->inner_type)) {
            PyErr_Format(PyExc_TypeError, "%.100s where a %.100s belongs", Py_TYPE(value)->tp_name,
                         step->inner_type->tp_name);
            return NULL;
        }
        value = *(PyObject **)((char *)value + step->inner);
    }
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "a field of the wire Struct is not set");
        return NULL;
    }
    switch (step->op) {
    case SAME:
        return Py_NewRef(value);
    case OR_NONE:
        return Py_NewRef(value == Py_None || !PyUnicode_Check(value) || PyUnicode_GET_LENGTH(value) ? value : Py_None);
    case DECIMAL_OR_NONE:
    case SIGNED_OR_NONE:
        if (value == Py_None || (PyUnicode_Check(value) && PyUnicode_GET_LENGTH(value) == 0))
            return Py_NewRef(Py_None);
        return is_plain(value, step->op == SIGNED_OR_NONE) ? Py_NewRef(value) : NULL;
    case DECIMAL:
        return is_plain(value, 0) ? Py_NewRef(value) : NULL;
    }
    if (value == Py_None)
        return Py_NewRef(Py_None);
    long long number = PyLong_AsLongLong(value);
    if (number == -1 && PyErr_Occurred())
        return NULL;
    switch (step->op) {
    case MS:
        if (number > LLONG_MAX / 1000000 || number < LLONG_MIN / 1000000) {
            PyErr_SetString(PyExc_OverflowError, "a time beyond 64 bits of nanoseconds");
            return NULL;
        }
        return PyLong_FromLongLong(number * 1000000);
    case COUNT:
        return Py_NewRef(number < 0 ? Py_None : value);
    default: { /* AS_TEXT */
        char digits[24], *at = digits + sizeof digits;
        unsigned long long left = number < 0 ? 0ULL - (unsigned long long)number : (unsigned long long)number;
        do
            *--at = (char)('0' + left % 10);
        while (left /= 10);
        if (number < 0)
            *--at = '-';
        return PyUnicode_FromKindAndData(PyUnicode_1BYTE_KIND, at, digits + sizeof digits - at);
    }
    }
}

/* given: receive time, connection, time of the last gap, and op else the conversion wants. */
static PyObject *
make_event(Conversion *self, PyObject *wire, PyObject *const *given)
{
    PyObject *values[MAX_STEPS + 1], *event = NULL;
    int made = 0;
    while (made < self->count && (values[made + 1] = step_value(&self->steps[made], wire, given)) != NULL)
        made++;
    if (made == self->count)
        event = PyObject_Vectorcall(self->event, values + 1, (size_t)made | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    else if (!PyErr_Occurred())
        PyErr_SetObject(self->not_plain, self->name);
    for (int i = 1; i <= made; i++)
        Py_DECREF(values[i]);
    return event;
}

static PyObject *
conversion_call(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *names)
{
    Conversion *self = (Conversion *)callable;
    if (PyVectorcall_NARGS(nargsf) != 1 + self->given || names != NULL) {
        PyErr_SetString(PyExc_TypeError, "a conversion takes a wire Struct and op is given");
        return NULL;
    }
    if (Py_TYPE(args[0]) != self->wire) {
        PyErr_Format(PyExc_TypeError, "%.100s is not the wire Struct of this conversion", Py_TYPE(args[0])->tp_name);
        return NULL;
    }
    return make_event(self, args[0], args + 1);
}

/* `owner`: the type whose member it must be, or NULL. */
static Py_ssize_t
member_offset(PyObject *descriptor, PyTypeObject *owner)
{
    if (!Py_IS_TYPE(descriptor, &PyMemberDescr_Type) ||
        ((PyMemberDescrObject *)descriptor)->d_member->type != T_OBJECT_EX ||
        (owner != NULL && !PyType_IsSubtype(owner, PyDescr_TYPE(descriptor)))) {
        PyErr_SetString(PyExc_TypeError, "a field is no member of its type");
        return -1;
    }
    return ((PyMemberDescrObject *)descriptor)->d_member->offset;
}

static int
read_step(PyObject *described, PyTypeObject *wire, int given, Step *step)
{
    PyObject *outer, *inner;
    if (!PyArg_ParseTuple(described, "iiOOO", &step->op, &step->given, &outer, &inner, &step->constant))
        return -1;
    if (step->op < 0 || step->op >= STEPS || step->given < 0 || step->given >= given) {
        PyErr_SetString(PyExc_ValueError, "no such step");
        return -1;
    }
    step->outer = step->inner = -1;
    if (step->op > GIVEN) {
        if ((step->outer = member_offset(outer, wire)) < 0)
            return -1;
        if (inner != Py_None) {
            if ((step->inner = member_offset(inner, NULL)) < 0)
                return -1;
            step->inner_type = PyDescr_TYPE(inner); /* lives as long as the wire Struct that names it */
        }
    }
    Py_INCREF(step->constant);
    return 0;
}

static PyObject *
conversion_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *wire, *event, *steps, *not_plain, *name;
    int given;
    if (!PyArg_ParseTuple(args, "O!OO!OOi", &PyType_Type, &wire, &event, &PyTuple_Type, &steps, &not_plain, &name,
                          &given))
        return NULL;
    if (PyTuple_GET_SIZE(steps) > MAX_STEPS || given < GIVEN_COUNT || given > MAX_GIVEN) {
        PyErr_SetString(PyExc_ValueError, "too many steps, or values given");
        return NULL;
    }
    Conversion *self = (Conversion *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->vectorcall = conversion_call;
    self->wire = (PyTypeObject *)Py_NewRef(wire);
    self->event = Py_NewRef(event);
    self->not_plain = Py_NewRef(not_plain);
    self->name = Py_NewRef(name);
    self->given = given;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(steps); i++) {
        if (read_step(PyTuple_GET_ITEM(steps, i), self->wire, given, &self->steps[i]) < 0) {
            Py_DECREF(self);
            return NULL;
        }
        self->count++;
    }
    return (PyObject *)self;
}

static void
conversion_dealloc(Conversion *self)
{
    for (int i = 0; i < self->count; i++)
        Py_DECREF(self->steps[i].constant);
    Py_XDECREF(self->wire);
    Py_XDECREF(self->event);
    Py_XDECREF(self->not_plain);
    Py_XDECREF(self->name);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyTypeObject Conversion_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "wsadapter.native._native.Conversion",
    .tp_basicsize = sizeof(Conversion),
    .tp_dealloc = (destructor)conversion_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Conversion, vectorcall),
    .tp_call = PyVectorcall_Call,
    .tp_doc = "Conversion(wire, event, ((op, given, member, inner member, constant), ...), error, name).",
    .tp_new = conversion_new,
};

int
add_mapping(PyObject *module)
{
    if (PyType_Ready(&Conversion_Type) < 0)
        return -1;
    return PyModule_AddObjectRef(module, "Conversion", (PyObject *)&Conversion_Type);
}
