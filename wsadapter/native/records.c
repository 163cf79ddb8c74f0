/* Events to ring records and ring records to messages, in C: the fast half of wsadapter/events/records.py.
 *
 * Nothing here knows an event type: an Encoder is told, for each Struct type, where its fields lie and what they are on
 * the wire, and writes what protobuf would: fields in the order of their numbers, nothing for what is absent.
 */
#include "records.h"

#include <structmember.h>

#include "levels.h"
#include "parts.h"

static int
put_texts(Output *output, const WireField *field, PyObject *values)
{
    if (Py_IS_TYPE(values, &Levels_Type)) { /* not yet looked at, mostly: no str is made */
        const Levels *levels = (const Levels *)values;
        Py_ssize_t length;
        LevelsCursor cursor = levels_begin(PyBytes_AS_STRING(levels->side), levels->column);
        for (Py_ssize_t i = 0; i < levels->count; i++) {
            const char *text = levels_next(&cursor, &length);
            if (put_text(output, field, text, length) < 0)
                return -1;
        }
        return 0;
    }
    PyObject *list = PySequence_Fast(values, "a repeated field is a sequence");
    if (list == NULL)
        return -1;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(list); i++) {
        Py_ssize_t length;
        const char *text = utf8_of(PySequence_Fast_GET_ITEM(list, i), &length);
        if (text == NULL || put_text(output, field, text, length) < 0) {
            Py_DECREF(list);
            return -1;
        }
    }
    Py_DECREF(list);
    return 0;
}

int
put_field(Output *output, const WireField *field, PyObject *value)
{
    Py_ssize_t length;
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "a field of the event is not set");
        return -1;
    }
    if (value == Py_None) {
        if (field->present)
            return 0;
        PyErr_SetString(PyExc_TypeError, "None in a field that is never absent");
        return -1;
    }
    switch (field->what) {
    case WIRE_TEXT: {
        const char *text = utf8_of(value, &length);
        if (text == NULL)
            return -1;
        return length || field->present ? put_text(output, field, text, length) : 0;
    }
    case WIRE_NUMBER: {
        long long number = PyLong_Check(value) ? PyLong_AsLongLong(value) : -1;
        if (number == -1 && (PyErr_Occurred() || !PyLong_Check(value))) {
            if (!PyErr_Occurred())
                PyErr_Format(PyExc_TypeError, "a number, not %.100s", Py_TYPE(value)->tp_name);
            return -1;
        }
        return put_int64(output, field, number);
    }
    case WIRE_FLAG:
        if (!PyBool_Check(value)) {
            PyErr_Format(PyExc_TypeError, "a flag, not %.100s", Py_TYPE(value)->tp_name);
            return -1;
        }
        return put_int64(output, field, value == Py_True);
    default:
        return put_texts(output, field, value);
    }
}

/* The key, `exchange:symbol`, behind its length: the first two fields of every event. */
int
put_key(Output *output, const char *exchange, Py_ssize_t exchange_length, const char *symbol, Py_ssize_t symbol_length)
{
    Py_ssize_t length = exchange_length + 1 + symbol_length;
    if (length > MAX_KEY) {
        PyErr_Format(PyExc_ValueError, "a key of %zd bytes, the most is %d", length, MAX_KEY);
        return -1;
    }
    if (reserve(output, (size_t)length + 1) < 0)
        return -1;
    unsigned char *at = output->bytes + output->size;
    *at++ = (unsigned char)length;
    memcpy(at, exchange, exchange_length);
    at += exchange_length;
    *at++ = ':';
    memcpy(at, symbol, symbol_length);
    output->size += length + 1;
    return 0;
}

static int
put_key_of(Output *output, const Layout *layout, PyObject *event)
{
    const char *texts[2];
    Py_ssize_t lengths[2];
    for (int i = 0; i < 2; i++) {
        PyObject *value = *(PyObject **)((char *)event + layout->fields[i].offset);
        if (value == NULL) {
            PyErr_SetString(PyExc_AttributeError, "an event without exchange or symbol");
            return -1;
        }
        if ((texts[i] = utf8_of(value, &lengths[i])) == NULL)
            return -1;
    }
    return put_key(output, texts[0], lengths[0], texts[1], lengths[1]);
}

int
layout_of(Encoder *self, PyObject *event)
{
    for (int i = 0; i < self->count; i++)
        if (self->layouts[i].type == Py_TYPE(event))
            return i;
    PyErr_Format(PyExc_TypeError, "no event: %.100s", Py_TYPE(event)->tp_name);
    return -1;
}

int
put_event(Encoder *self, const Layout *layout, PyObject *event)
{
    Output *output = &self->output;
    output->size = 0;
    if (put_key_of(output, layout, event) < 0)
        return -1;
    for (int i = 0; i < layout->count; i++)
        if (put_field(output, &layout->fields[i], *(PyObject **)((char *)event + layout->fields[i].offset)) < 0)
            return -1;
    return 0;
}

static PyObject *
encode(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *names)
{
    Encoder *self = (Encoder *)callable;
    if (PyVectorcall_NARGS(nargsf) != 1 || names != NULL) {
        PyErr_SetString(PyExc_TypeError, "an encoder takes one event");
        return NULL;
    }
    int index = layout_of(self, args[0]);
    if (index < 0 || put_event(self, &self->layouts[index], args[0]) < 0)
        return NULL;
    return PyBytes_FromStringAndSize((const char *)self->output.bytes, (Py_ssize_t)self->output.size);
}

/* The place of a field in its object; -1 with an exception when it is no plain slot. */
static Py_ssize_t
offset_of(PyObject *descriptor, PyObject *owner)
{
    if (!Py_IS_TYPE(descriptor, &PyMemberDescr_Type) ||
        !PyType_IsSubtype((PyTypeObject *)owner, PyDescr_TYPE(descriptor))) {
        PyErr_SetString(PyExc_TypeError, "a field is no member of its type");
        return -1;
    }
    PyMemberDef *member = ((PyMemberDescrObject *)descriptor)->d_member;
    if (member->type != T_OBJECT_EX) {
        PyErr_Format(PyExc_TypeError, "%s is another kind of member", member->name);
        return -1;
    }
    return member->offset;
}

static int
read_field(PyObject *described, PyObject *owner, WireField *field)
{
    PyObject *descriptor;
    int number, what, present;
    if (!PyArg_ParseTuple(described, "Oiip", &descriptor, &number, &what, &present))
        return -1;
    if (number < 1 || number > 2047 || what < WIRE_TEXT || what > WIRE_TEXTS) {
        PyErr_Format(PyExc_ValueError, "field number %d, kind %d", number, what);
        return -1;
    }
    int tag = number << 3 | (what == WIRE_TEXT || what == WIRE_TEXTS ? 2 : 0);
    field->tag_size = tag > 127 ? 2 : 1;
    field->tag[0] = (unsigned char)(tag > 127 ? tag | 128 : tag);
    field->tag[1] = (unsigned char)(tag >> 7);
    field->what = (unsigned char)what;
    field->present = (unsigned char)present;
    field->offset = offset_of(descriptor, owner);
    return field->offset < 0 ? -1 : 0;
}

static int
read_layout(PyObject *type, PyObject *fields, Layout *layout)
{
    if (!PyType_Check(type) || !PyTuple_Check(fields) || PyTuple_GET_SIZE(fields) < 2 ||
        PyTuple_GET_SIZE(fields) > MAX_COLUMNS) {
        PyErr_SetString(PyExc_TypeError, "a layout is a type and a tuple of two fields or more");
        return -1;
    }
    layout->count = (int)PyTuple_GET_SIZE(fields);
    for (int i = 0; i < layout->count; i++)
        if (read_field(PyTuple_GET_ITEM(fields, i), type, &layout->fields[i]) < 0)
            return -1;
    layout->type = (PyTypeObject *)Py_NewRef(type);
    return 0;
}

static PyObject *
encoder_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *layouts, *key, *value;
    Py_ssize_t at = 0;
    if (!PyArg_ParseTuple(args, "O!", &PyDict_Type, &layouts))
        return NULL;
    Encoder *self = (Encoder *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->vectorcall = encode;
    while (PyDict_Next(layouts, &at, &key, &value)) {
        if (self->count == MAX_TYPES) {
            PyErr_SetString(PyExc_ValueError, "too many types");
            Py_DECREF(self);
            return NULL;
        }
        if (read_layout(key, value, &self->layouts[self->count]) < 0) {
            Py_DECREF(self);
            return NULL;
        }
        self->count++;
    }
    return (PyObject *)self;
}

static void
encoder_dealloc(Encoder *self)
{
    for (int i = 0; i < self->count; i++)
        Py_DECREF(self->layouts[i].type);
    PyMem_Free(self->output.bytes);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

PyTypeObject Encoder_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "wsadapter.native._native.Encoder",
    .tp_basicsize = sizeof(Encoder),
    .tp_dealloc = (destructor)encoder_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Encoder, vectorcall),
    .tp_call = PyVectorcall_Call,
    .tp_doc = "Encoder({type: ((member, number, what, present), ...)}): event -> ring record.",
    .tp_new = encoder_new,
};

static PyObject *key_name, *value_name;

/* {"key": ..., "value": identity + message} of a record; NULL without an exception when it cannot be one. */
static PyObject *
message_of(PyObject *payload, uint64_t epoch, uint64_t position)
{
    const unsigned char *bytes = (const unsigned char *)PyBytes_AS_STRING(payload);
    Py_ssize_t size = PyBytes_GET_SIZE(payload), key_size = size ? bytes[0] : 0;
    if (size < 2 || key_size + 1 >= size)
        return NULL;
    PyObject *key = PyBytes_FromStringAndSize((const char *)bytes + 1, key_size);
    PyObject *value = PyBytes_FromStringAndSize(NULL, 18 + size - 1 - key_size), *message = NULL;
    if (key != NULL && value != NULL && (message = PyDict_New()) != NULL) {
        unsigned char *at = (unsigned char *)PyBytes_AS_STRING(value);
        at[0] = 1 << 3 | 1; /* fixed64 epoch = 1 */
        memcpy(at + 1, &epoch, 8);
        at[9] = 2 << 3 | 1; /* fixed64 position = 2 */
        memcpy(at + 10, &position, 8);
        memcpy(at + 18, bytes + 1 + key_size, size - 1 - key_size);
        if (PyDict_SetItem(message, key_name, key) < 0 || PyDict_SetItem(message, value_name, value) < 0)
            Py_CLEAR(message);
    }
    Py_XDECREF(key);
    Py_XDECREF(value);
    return message;
}

static PyObject *
messages(PyObject *self, PyObject *args)
{
    PyObject *records, *lists;
    unsigned long long epoch;
    if (!PyArg_ParseTuple(args, "O!KO!", &PyList_Type, &records, &epoch, &PyDict_Type, &lists))
        return NULL;
    PyObject *left = PyList_New(0), *last_kind = NULL, *list = NULL;
    if (left == NULL)
        return NULL;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(records); i++) {
        PyObject *record = PyList_GET_ITEM(records, i);
        if (!PyTuple_CheckExact(record) || PyTuple_GET_SIZE(record) != 3 ||
            !PyBytes_CheckExact(PyTuple_GET_ITEM(record, 2))) {
            PyErr_SetString(PyExc_TypeError, "a record is (position, kind, payload)");
            goto failed;
        }
        PyObject *kind = PyTuple_GET_ITEM(record, 1), *message = NULL;
        if (kind != last_kind) { /* small numbers are one object */
            list = PyDict_GetItemWithError(lists, kind);
            if (list == NULL && PyErr_Occurred())
                goto failed;
            last_kind = kind;
        }
        if (list != NULL) {
            unsigned long long position = PyLong_AsUnsignedLongLong(PyTuple_GET_ITEM(record, 0));
            if (PyErr_Occurred())
                goto failed;
            message = message_of(PyTuple_GET_ITEM(record, 2), epoch, position);
            if (message == NULL && PyErr_Occurred())
                goto failed;
        }
        int failed = message == NULL ? PyList_Append(left, record) : PyList_Append(list, message);
        Py_XDECREF(message);
        if (failed < 0)
            goto failed;
    }
    return left;
failed:
    Py_DECREF(left);
    return NULL;
}

static PyMethodDef methods[] = {
    {"messages", messages, METH_VARARGS,
     "messages(records, epoch, {kind: list}): append each record's message to the list of its kind; what has no list or "
     "is no record is returned."},
    {NULL, NULL, 0, NULL},
};

int
add_records(PyObject *module)
{
    key_name = PyUnicode_InternFromString("key");
    value_name = PyUnicode_InternFromString("value");
    if (key_name == NULL || value_name == NULL || PyType_Ready(&Encoder_Type) < 0 ||
        PyModule_AddFunctions(module, methods) < 0 ||
        PyModule_AddObjectRef(module, "Encoder", (PyObject *)&Encoder_Type) < 0 ||
        PyModule_AddIntConstant(module, "TEXT", WIRE_TEXT) < 0 ||
        PyModule_AddIntConstant(module, "NUMBER", WIRE_NUMBER) < 0 ||
        PyModule_AddIntConstant(module, "FLAG", WIRE_FLAG) < 0)
        return -1;
    return PyModule_AddIntConstant(module, "TEXTS", WIRE_TEXTS);
}
