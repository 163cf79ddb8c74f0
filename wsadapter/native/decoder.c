/* Messages to immutable events, in C: the fast half of wsadapter/reader/decoding.py.
 *
 * A Decoder is of one message type: it is told the numbers of its fields, what they are on the wire, and what stands for
 * one that is not there. It takes what our encoder writes, in any order, and unknown fields; whatever else protobuf
 * would take is left to the twin: it stops there.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "parts.h"
#include "records.h"
#include "values.h"

enum { MAX_NUMBER = 64, KEPT = 512, MOST_TEXTS = 16384 };

typedef struct {
    unsigned char what;
    unsigned char few;   /* texts that come again and again: one object for all of them */
    PyObject *words;     /* of an enum: number -> member, or NULL */
    PyObject *absent;    /* what stands for it where it is not there */
    PyObject *last;      /* of few texts: the one of the event before, or NULL */
} Part;

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *event;
    int count, gap, received;
    signed char places[MAX_NUMBER]; /* field number -> place in the event, -1: not known */
    Part parts[MAX_COLUMNS];
    PyObject *kept[KEPT];
} Decoder;

static inline int
take_varint(const unsigned char **at, const unsigned char *end, uint64_t *number)
{
    uint64_t found = 0;
    for (int shift = 0; shift < 63 && *at < end; shift += 7) {
        unsigned char byte = *(*at)++;
        found |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            *number = found;
            return 1;
        }
    }
    if (*at < end && **at == 1) { /* a negative number has ten bytes */
        *number = found | (uint64_t)1 << 63;
        (*at)++;
        return 1;
    }
    return 0;
}

static PyObject *
new_text(const unsigned char *at, Py_ssize_t length)
{
    for (Py_ssize_t i = 0; i < length; i++)
        if (at[i] & 0x80)
            return PyUnicode_DecodeUTF8((const char *)at, length, NULL);
    PyObject *text = PyUnicode_New(length, 127);
    if (text != NULL)
        memcpy(PyUnicode_1BYTE_DATA(text), at, length);
    return text;
}

static inline int
is_text(PyObject *text, const unsigned char *at, Py_ssize_t length)
{
    return text != NULL && PyUnicode_GET_LENGTH(text) == length && memcmp(PyUnicode_1BYTE_DATA(text), at, length) == 0;
}

/* A text that is often the same one. */
static PyObject *
kept_text(Decoder *self, Part *part, const unsigned char *at, Py_ssize_t length)
{
    if (is_text(part->last, at, length))
        return Py_NewRef(part->last);
    uint32_t hash = 2166136261u;
    for (Py_ssize_t i = 0; i < length; i++)
        hash = (hash ^ at[i]) * 16777619u;
    PyObject **kept = &self->kept[hash % KEPT];
    PyObject *text = is_text(*kept, at, length) ? Py_NewRef(*kept) : new_text(at, length);
    if (text == NULL || !PyUnicode_IS_COMPACT_ASCII(text))
        return text;
    if (text != *kept)
        Py_XSETREF(*kept, Py_NewRef(text));
    Py_XSETREF(part->last, Py_NewRef(text));
    return text;
}

/* The texts of a repeated field: those that stand one behind the other, which is all of them in what we write. */
static PyObject *
take_texts(const unsigned char **at, const unsigned char *end, const unsigned char *tag, int tag_size)
{
    const unsigned char *spot = *at;
    uint64_t length;
    Py_ssize_t count = 0;
    while (count < MOST_TEXTS && take_varint(&spot, end, &length) && length <= (uint64_t)(end - spot)) {
        spot += length;
        count++;
        if (end - spot < tag_size || memcmp(spot, tag, tag_size) != 0)
            goto counted;
        spot += tag_size;
    }
    return NULL;
counted:;
    PyObject *texts = PyTuple_New(count);
    for (Py_ssize_t i = 0; texts != NULL && i < count; i++) {
        *at += i ? tag_size : 0;
        take_varint(at, end, &length);
        PyObject *text = new_text(*at, (Py_ssize_t)length);
        *at += length;
        if (text == NULL)
            Py_CLEAR(texts);
        else
            PyTuple_SET_ITEM(texts, i, text);
    }
    return texts;
}

static PyObject *
number_of(const Part *part, uint64_t number)
{
    PyObject *made = PyLong_FromLongLong((int64_t)number);
    if (made == NULL || part->words == NULL)
        return made;
    PyObject *word = PyDict_GetItemWithError(part->words, made);
    if (word == NULL)
        return made;
    Py_DECREF(made);
    return Py_NewRef(word);
}

/* 1: passed over; 0: not usual. */
static int
pass_over(const unsigned char **at, const unsigned char *end, int wire)
{
    uint64_t length;
    switch (wire) {
    case 0:
        return take_varint(at, end, &length);
    case 1:
    case 5:
        length = wire == 1 ? 8 : 4;
        break;
    case 2:
        if (!take_varint(at, end, &length))
            return 0;
        break;
    default:
        return 0;
    }
    if (length > (uint64_t)(end - *at))
        return 0;
    *at += length;
    return 1;
}

/* The values of a message behind its identity. 1, or 0: not usual, with or without an exception. */
static int
take_values(Decoder *self, const unsigned char *at, const unsigned char *end, PyObject **values)
{
    while (at < end) {
        const unsigned char *tag = at;
        uint64_t number, length;
        if (!take_varint(&at, end, &number) || number >> 3 == 0 || number > UINT32_MAX)
            return 0;
        int tag_size = (int)(at - tag), wire = (int)(number & 7);
        number >>= 3;
        if (number < 3) /* an identity again */
            return 0;
        int place = number < MAX_NUMBER ? self->places[number] : -1;
        if (place < 0) {
            if (!pass_over(&at, end, wire))
                return 0;
            continue;
        }
        Part *part = &self->parts[place];
        if (values[place] != NULL || wire != (part->what == WIRE_TEXT || part->what == WIRE_TEXTS ? 2 : 0))
            return 0;
        switch (part->what) {
        case WIRE_TEXT:
            if (!take_varint(&at, end, &length) || length > (uint64_t)(end - at))
                return 0;
            values[place] = part->few ? kept_text(self, part, at, (Py_ssize_t)length) : new_text(at, (Py_ssize_t)length);
            at += length;
            break;
        case WIRE_TEXTS:
            values[place] = take_texts(&at, end, tag, tag_size);
            break;
        default:
            if (!take_varint(&at, end, &number))
                return 0;
            if (part->what == WIRE_FLAG)
                values[place] = Py_NewRef(number ? Py_True : Py_False);
            else if ((part->words != NULL || part->few) && number > INT32_MAX) /* 32 bits on the wire */
                return 0;
            else
                values[place] = number_of(part, number);
        }
        if (values[place] == NULL)
            return 0;
    }
    return 1;
}

/* 1 and the event; 0: not usual, or a gap that is not known; -1 with an exception. */
static int
make_event(Decoder *self, const unsigned char *at, const unsigned char *end, PyObject *known, PyObject **event)
{
    PyObject *room[MAX_COLUMNS + 1], **values = room + 1;
    for (int i = 0; i < self->count; i++)
        values[i] = NULL;
    int made = take_values(self, at, end, values);
    if (!made && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_UnicodeDecodeError))
            PyErr_Clear(); /* what protobuf says of it */
        else
            made = -1;
    }
    for (int i = 0; made > 0 && i < self->count; i++)
        if (values[i] == NULL)
            values[i] = Py_NewRef(self->parts[i].absent);
    if (made > 0) {
        PyObject *gap = values[self->gap], *received = values[self->received];
        if (PyObject_Not(received)) /* it is no message of ours, or one without a time */
            made = 0;
        else if (gap != Py_None)
            made = PySequence_Contains(known, gap);
    }
    if (made > 0) {
        *event = PyObject_Vectorcall(self->event, values, (size_t)self->count | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        made = *event == NULL ? -1 : 1;
    }
    for (int i = 0; i < self->count; i++)
        Py_XDECREF(values[i]);
    return made;
}

/* decode(values, first, marks, stops, known, out): see `Decode` in wsadapter/reader/decoding.py. */
static PyObject *
decode(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *names)
{
    Decoder *self = (Decoder *)callable;
    if (PyVectorcall_NARGS(nargsf) != 6 || names != NULL ||
        !are_values(args[0]) || !PyDict_CheckExact(args[2]) || !PyDict_CheckExact(args[3]) ||
        !PyList_CheckExact(args[5])) {
        PyErr_SetString(PyExc_TypeError, "a decoder takes a list or messages, an index, two dicts, a container and a list");
        return NULL;
    }
    PyObject *values = args[0], *marks = args[2], *stops = args[3], *known = args[4], *out = args[5];
    Py_ssize_t index = PyLong_AsSsize_t(args[1]);
    if (index < 0) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "an index below 0");
        return NULL;
    }
    PyObject *epoch_object = NULL;
    uint64_t epoch = 0, mark = 0, stop = 0;
    int has_mark = 0, has_stop = 0, moved = 0;
    for (; index < count_of(values); index++) {
        const unsigned char *at, *end;
        uint64_t its_epoch, position;
        if (!value_at(values, index, &at, &end) || !identity_of(at, &its_epoch, &position))
            break;
        if (epoch_object == NULL || its_epoch != epoch) {
            if (moved && set_mark(marks, epoch_object, mark) < 0)
                goto failed;
            moved = 0;
            epoch = its_epoch;
            Py_XSETREF(epoch_object, PyLong_FromUnsignedLongLong(epoch));
            if (epoch_object == NULL || (has_mark = number_in(marks, epoch_object, &mark)) < 0 ||
                (has_stop = number_in(stops, epoch_object, &stop)) < 0)
                goto failed;
        }
        if (has_mark && position <= mark)
            continue;
        if (has_stop && position >= stop)
            break;
        PyObject *event = NULL;
        int made = make_event(self, at + HEAD, end, known, &event);
        if (made <= 0) {
            if (made < 0)
                goto failed;
            break;
        }
        int failed = PyList_Append(out, event);
        Py_DECREF(event);
        if (failed < 0)
            goto failed;
        mark = position;
        has_mark = moved = 1;
    }
    if (moved && set_mark(marks, epoch_object, mark) < 0)
        goto failed;
    Py_XDECREF(epoch_object);
    return PyLong_FromSsize_t(index);
failed:
    Py_XDECREF(epoch_object);
    return NULL;
}

static int
read_part(Decoder *self, PyObject *described, int place)
{
    PyObject *words;
    int number, what, present, few, implied;
    if (!PyArg_ParseTuple(described, "iipOpp", &number, &what, &present, &words, &few, &implied))
        return -1;
    if (number < 3 || number >= MAX_NUMBER || what < WIRE_TEXT || what > WIRE_TEXTS || self->places[number] >= 0 ||
        !(words == Py_None || PyDict_CheckExact(words))) {
        PyErr_Format(PyExc_ValueError, "field number %d, kind %d", number, what);
        return -1;
    }
    Part *part = &self->parts[place];
    part->what = (unsigned char)what;
    part->few = (unsigned char)(what == WIRE_NUMBER ? implied : few);
    part->words = words == Py_None ? NULL : Py_NewRef(words);
    part->absent = present ? Py_NewRef(Py_None)
                   : what == WIRE_TEXT ? PyUnicode_New(0, 0)
                   : what == WIRE_TEXTS ? PyTuple_New(0)
                   : what == WIRE_FLAG ? Py_NewRef(Py_False)
                                  : PyLong_FromLong(0);
    self->places[number] = (signed char)place;
    return part->absent == NULL ? -1 : 0;
}

static PyObject *
decoder_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *event, *fields;
    if (!PyArg_ParseTuple(args, "O!O!", &PyType_Type, &event, &PyTuple_Type, &fields))
        return NULL;
    if (PyTuple_GET_SIZE(fields) > MAX_COLUMNS) {
        PyErr_SetString(PyExc_ValueError, "too many fields");
        return NULL;
    }
    Decoder *self = (Decoder *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->vectorcall = decode;
    self->event = Py_NewRef(event);
    memset(self->places, -1, sizeof self->places);
    for (; self->count < PyTuple_GET_SIZE(fields); self->count++)
        if (read_part(self, PyTuple_GET_ITEM(fields, self->count), self->count) < 0) {
            Py_DECREF(self);
            return NULL;
        }
    self->received = self->places[7]; /* int64 receive_time_ns = 7, optional int64 last_gap_ns = 10 */
    self->gap = self->places[10];
    if (self->received < 0 || self->gap < 0) {
        PyErr_SetString(PyExc_ValueError, "no receive time or no last gap");
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

static void
decoder_dealloc(Decoder *self)
{
    Py_XDECREF(self->event);
    for (int i = 0; i < MAX_COLUMNS; i++) {
        Py_XDECREF(self->parts[i].words);
        Py_XDECREF(self->parts[i].absent);
        Py_XDECREF(self->parts[i].last);
    }
    for (int i = 0; i < KEPT; i++)
        Py_XDECREF(self->kept[i]);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyTypeObject Decoder_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "wsadapter.native._native.Decoder",
    .tp_basicsize = sizeof(Decoder),
    .tp_dealloc = (destructor)decoder_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Decoder, vectorcall),
    .tp_call = PyVectorcall_Call,
    .tp_doc = "Decoder(type, ((number, what, present, words, few, implied), ...)): messages -> events.",
    .tp_new = decoder_new,
};

int
add_decoder(PyObject *module)
{
    if (PyType_Ready(&Decoder_Type) < 0)
        return -1;
    return PyModule_AddObjectRef(module, "Decoder", (PyObject *)&Decoder_Type);
}
