/* Fields of a protobuf message, written one behind the other: what protobuf itself would write, fields in the order of
 * their numbers, nothing for what is absent. Knows no event type.
 */
#ifndef WSADAPTER_PROTOBUF_H
#define WSADAPTER_PROTOBUF_H
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

enum { WIRE_TEXT, WIRE_NUMBER, WIRE_FLAG, WIRE_TEXTS };

typedef struct {
    Py_ssize_t offset; /* of its value in the event */
    unsigned char tag[2];
    unsigned char tag_size;
    unsigned char what;
    unsigned char present; /* explicit presence: None is absent, zero is not */
} WireField;

/* Grows, and is used again. */
typedef struct {
    unsigned char *bytes;
    size_t size, capacity;
} Output;

/* Not inlined: it is rare. 0, or -1 with an exception. */
static __attribute__((noinline, unused)) int
grow(Output *output, size_t more)
{
    size_t wanted = (output->size + more) * 2;
    unsigned char *grown = PyMem_Realloc(output->bytes, wanted);
    if (grown == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    output->bytes = grown;
    output->capacity = wanted;
    return 0;
}

static inline int
reserve(Output *output, size_t more)
{
    return output->capacity - output->size >= more ? 0 : grow(output, more);
}

static inline void
put_varint(Output *output, uint64_t number)
{
    unsigned char *at = output->bytes + output->size;
    while (number > 127) {
        *at++ = (unsigned char)(number | 128);
        number >>= 7;
    }
    *at++ = (unsigned char)number;
    output->size = at - output->bytes;
}

static inline void
put_tag(Output *output, const WireField *field)
{
    output->bytes[output->size] = field->tag[0];
    output->bytes[output->size + 1] = field->tag[1];
    output->size += field->tag_size;
}

/* A text that is there, however long. 16 bytes hold a tag and a varint. */
static inline int
put_text(Output *output, const WireField *field, const char *text, Py_ssize_t length)
{
    if (reserve(output, (size_t)length + 16) < 0)
        return -1;
    put_tag(output, field);
    put_varint(output, (uint64_t)length);
    memcpy(output->bytes + output->size, text, length);
    output->size += length;
    return 0;
}

static inline int
put_int64(Output *output, const WireField *field, long long number)
{
    if (number == 0 && !field->present)
        return 0;
    if (reserve(output, 16) < 0)
        return -1;
    put_tag(output, field);
    put_varint(output, (uint64_t)number);
    return 0;
}
#endif
