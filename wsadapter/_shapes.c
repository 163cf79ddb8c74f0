/* Wire Structs to events, in C: the fast half of wsadapter/exchanges/shapes.py.
 *
 * Nothing here knows a venue or an event type: a Shape is a list of steps, one for each field of the event, told by the
 * exchange module. A value that is no plain decimal makes the answer NotPlain, as in Python.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include "_plain.h"

enum { CONSTANT, GIVEN, SAME, OR_NONE, MS, AS_TEXT, COUNT, DECIMAL, DECIMAL_OR_NONE, SIGNED_OR_NONE, STEPS };
enum { MAX_STEPS = 48, GIVEN_COUNT = 3 };

typedef struct {
    int what, given;
    Py_ssize_t outer, inner; /* places in the wire Struct, and in the Struct that lies there; inner -1: none */
    PyTypeObject *inner_type;
    PyObject *constant;
} Step;

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyTypeObject *wire;
    PyObject *event, *not_plain, *name;
    int count;
    Step steps[MAX_STEPS];
} Shape;

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
take(const Step *step, PyObject *wire, PyObject *const *given)
{
    if (step->what == CONSTANT)
        return Py_NewRef(step->constant);
    if (step->what == GIVEN)
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
    switch (step->what) {
    case SAME:
        return Py_NewRef(value);
    case OR_NONE:
        return Py_NewRef(value == Py_None || !PyUnicode_Check(value) || PyUnicode_GET_LENGTH(value) ? value : Py_None);
    case DECIMAL_OR_NONE:
    case SIGNED_OR_NONE:
        if (value == Py_None || (PyUnicode_Check(value) && PyUnicode_GET_LENGTH(value) == 0))
            return Py_NewRef(Py_None);
        return is_plain(value, step->what == SIGNED_OR_NONE) ? Py_NewRef(value) : NULL;
    case DECIMAL:
        return is_plain(value, 0) ? Py_NewRef(value) : NULL;
    }
    if (value == Py_None)
        return Py_NewRef(Py_None);
    long long number = PyLong_AsLongLong(value);
    if (number == -1 && PyErr_Occurred())
        return NULL;
    switch (step->what) {
    case MS:
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

static PyObject *
shape_call(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *names)
{
    Shape *self = (Shape *)callable;
    if (PyVectorcall_NARGS(nargsf) != 1 + GIVEN_COUNT || names != NULL) {
        PyErr_SetString(PyExc_TypeError, "a shape takes a wire Struct, receive time, connection and time of the last gap");
        return NULL;
    }
    if (Py_TYPE(args[0]) != self->wire) {
        PyErr_Format(PyExc_TypeError, "%.100s is not the wire Struct of this shape", Py_TYPE(args[0])->tp_name);
        return NULL;
    }
    PyObject *values[MAX_STEPS + 1], *event = NULL;
    int made = 0;
    while (made < self->count && (values[made + 1] = take(&self->steps[made], args[0], args + 1)) != NULL)
        made++;
    if (made == self->count)
        event = PyObject_Vectorcall(self->event, values + 1, (size_t)made | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    else if (!PyErr_Occurred())
        PyErr_SetObject(self->not_plain, self->name);
    for (int i = 1; i <= made; i++)
        Py_DECREF(values[i]);
    return event;
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
read_step(PyObject *described, PyTypeObject *wire, Step *step)
{
    PyObject *outer, *inner;
    if (!PyArg_ParseTuple(described, "iiOOO", &step->what, &step->given, &outer, &inner, &step->constant))
        return -1;
    if (step->what < 0 || step->what >= STEPS || step->given < 0 || step->given >= GIVEN_COUNT) {
        PyErr_SetString(PyExc_ValueError, "no such step");
        return -1;
    }
    step->outer = step->inner = -1;
    if (step->what > GIVEN) {
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
shape_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *wire, *event, *steps, *not_plain, *name;
    if (!PyArg_ParseTuple(args, "O!OO!OO", &PyType_Type, &wire, &event, &PyTuple_Type, &steps, &not_plain, &name))
        return NULL;
    if (PyTuple_GET_SIZE(steps) > MAX_STEPS) {
        PyErr_SetString(PyExc_ValueError, "too many steps");
        return NULL;
    }
    Shape *self = (Shape *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->vectorcall = shape_call;
    self->wire = (PyTypeObject *)Py_NewRef(wire);
    self->event = Py_NewRef(event);
    self->not_plain = Py_NewRef(not_plain);
    self->name = Py_NewRef(name);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(steps); i++) {
        if (read_step(PyTuple_GET_ITEM(steps, i), self->wire, &self->steps[i]) < 0) {
            Py_DECREF(self);
            return NULL;
        }
        self->count++;
    }
    return (PyObject *)self;
}

static void
shape_dealloc(Shape *self)
{
    for (int i = 0; i < self->count; i++)
        Py_DECREF(self->steps[i].constant);
    Py_XDECREF(self->wire);
    Py_XDECREF(self->event);
    Py_XDECREF(self->not_plain);
    Py_XDECREF(self->name);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyTypeObject Shape_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "wsadapter._shapes.Shape",
    .tp_basicsize = sizeof(Shape),
    .tp_dealloc = (destructor)shape_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Shape, vectorcall),
    .tp_call = PyVectorcall_Call,
    .tp_doc = "Shape(wire, event, ((what, given, member, inner member, constant), ...), error, name).",
    .tp_new = shape_new,
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "wsadapter._shapes", "See wsadapter/exchanges/shapes.py.", -1, NULL,
};

PyMODINIT_FUNC
PyInit__shapes(void)
{
    if (PyType_Ready(&Shape_Type) < 0)
        return NULL;
    PyObject *made = PyModule_Create(&module);
    if (made == NULL)
        return NULL;
    if (PyModule_AddObjectRef(made, "Shape", (PyObject *)&Shape_Type) < 0) {
        Py_DECREF(made);
        return NULL;
    }
    return made;
}
