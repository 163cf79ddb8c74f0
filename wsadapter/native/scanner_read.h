/* A message's values, read once, where they lie: which stream it is of, and of each Struct the fields that its shape has.
 *
 * Whatever is not usual is -1; nothing but `values`, `sides` and what is remembered of the keys has changed then.
 */
#ifndef WSADAPTER_SCANNER_READ_H
#define WSADAPTER_SCANNER_READ_H
#include "scanner.h"

/* `base`: where the values of the table begin that the shape is of, less the envelope's; the array may move. */
static int read_struct(Scanner *self, const char **at, const char *end, Shape *shape, Py_ssize_t base);

enum { NO_KEY = -2 };

static inline int
same_name(const char *one, const char *other, int length)
{
    for (; length >= 8; one += 8, other += 8, length -= 8) {
        uint64_t a, b;
        memcpy(&a, one, 8);
        memcpy(&b, other, 8);
        if (a != b)
            return 0;
    }
    while (length-- > 0)
        if (*one++ != *other++)
            return 0;
    return 1;
}

static int
append_part(char *name, Py_ssize_t *length, const char *text, Py_ssize_t octets)
{
    if (*length + octets > MAX_NAME)
        return -1;
    memcpy(name + *length, text, octets);
    *length += octets;
    return 0;
}

static Stream *
stream_of(Scanner *self, const char *name, Py_ssize_t length)
{
    uint32_t hash = hash_of(name, length);
    for (int at = (int)(hash & (uint32_t)self->mask); self->places[at] >= 0; at = (at + 1) & self->mask) {
        Stream *stream = &self->streams[self->places[at]];
        if (stream->hash == hash && stream->length == length && memcmp(stream->text, name, length) == 0)
            return stream;
    }
    return NULL;
}

/* The stream whose name the parts make; NULL where one is missing, or there is none. */
static Stream *
named(Scanner *self, const Part *parts, int count, const Value *values)
{
    char name[MAX_NAME];
    Py_ssize_t length = 0;
    for (int i = 0; i < count; i++) {
        const Value *value = parts[i].slot < 0 ? NULL : &values[parts[i].slot];
        if (append_part(name, &length, parts[i].text, parts[i].length) < 0)
            return NULL;
        if (value == NULL)
            continue;
        if ((value->kind != STRING_VALUE && value->kind != WHOLE_VALUE) ||
            append_part(name, &length, value->at, value->length) < 0)
            return NULL;
    }
    return stream_of(self, name, length);
}

static int
read_element(Scanner *self, const char **at, const char *end)
{
    const Table *table = self->stream->table;
    Py_ssize_t needed = self->slots + (self->elements + 1) * table->slots;
    if (needed > self->capacity) {
        Value *values = PyMem_Realloc(self->values, (size_t)needed * 2 * sizeof(Value));
        if (values == NULL)
            return -1;
        self->values = values;
        self->capacity = needed * 2;
    }
    Py_ssize_t base = self->elements++ * table->slots; /* a row's slots are numbered behind the envelope's */
    memcpy(self->values + self->slots + base, table->row, (size_t)table->slots * sizeof(Value));
    return read_struct(self, at, end, table->shape, base);
}

static int
read_elements(Scanner *self, const char **at, const char *end)
{
    if (!self->stream->table->many)
        return read_element(self, at, end);
    if (!take(at, end, '['))
        return -1;
    for (;;) {
        if (read_element(self, at, end) < 0)
            return -1;
        if (take(at, end, ']'))
            return 0;
        if (!take(at, end, ','))
            return -1;
    }
}

static int
read_data(Scanner *self, const char **at, const char *end)
{
    Value passed_over;
    if ((self->stream = named(self, self->part, self->parts, self->values)) != NULL)
        return read_elements(self, at, end);
    self->data = *at; /* its name comes behind it */
    return read_value(at, end, &passed_over, 0);
}

static int
read_integer(const Field *field, Value *value)
{
    int is_text = value->kind == STRING_VALUE;
    if ((value->kind != WHOLE_VALUE && !(is_text && field->flags & LAX)) ||
        read_whole(value->at, value->length, &value->number) < 0)
        return -1;
    value->kind = WHOLE_VALUE;
    return value->number < field->low || value->number > field->high ? -1 : 0;
}

static int
read_levels(Scanner *self, const char **at, const char *end, const Field *field, Value *value, int wanted)
{
    size_t start = self->sides.size;
    Py_ssize_t count = read_side(at, end, &field->spelling, &self->sides, wanted);
    value->kind = SIDE_VALUE;
    value->length = count;
    value->start = (Py_ssize_t)start;
    value->octets = (unsigned)(self->sides.size - start);
    return count < 0 || count < field->low || count > field->high ? -1 : 0;
}

static int
is_one_of(const Value *value, PyObject *words)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(words); i++)
        if (is_text(value, PyTuple_GET_ITEM(words, i)))
            return 1;
    return 0;
}

static int
read_field(Scanner *self, const char **at, const char *end, const Field *field, Py_ssize_t base)
{
    switch (field->type) {
    case INNER:
        return read_struct(self, at, end, field->inner, base);
    case DATA:
        return read_data(self, at, end);
    case TAG: {
        Value tag;
        return read_value(at, end, &tag, 0) == 0 && tag.kind == STRING_VALUE && is_text(&tag, field->tag) ? 0 : -1;
    }
    case LEVELS:
        for (int side = 0, sides = field->spelling.side.length ? 2 : 1; side < sides; side++) {
            const char *again = *at; /* where both are in one list it is read for each */
            if (read_levels(self, &again, end, field, &self->values[base + field->slot + side], side) < 0)
                return -1;
            if (side + 1 == sides)
                *at = again;
        }
        return 0;
    }
    Value *value = &self->values[base + field->slot];
    if (read_value(at, end, value, 0) < 0)
        return -1;
    if (field->type == RAW)
        return 0;
    if (value->kind == NULL_VALUE)
        return field->flags & NULLABLE ? 0 : -1;
    switch (field->type) {
    case TEXT:
        if (value->kind != STRING_VALUE || value->length < field->low || value->length > field->high)
            return -1;
        if (field->tag != Py_None && !is_one_of(value, field->tag))
            return -1;
        return field->flags & LAX && value->length == 4 && (*value->at | 32) == 'n' ? -1 : 0; /* "null" is None there */
    case INTEGER:
        return read_integer(field, value);
    default:
        if (field->flags & LAX && value->kind == STRING_VALUE && value->length == 1 && (*value->at | 1) == '1')
            value->kind = *value->at == '1' ? TRUE_VALUE : FALSE_VALUE;
        return value->kind == TRUE_VALUE || value->kind == FALSE_VALUE ? 0 : -1;
    }
}

/* A Struct whose fields have their places. */
static int
read_list(Scanner *self, const char **at, const char *end, Shape *shape, Py_ssize_t base)
{
    uint64_t seen = 0;
    if (!take(at, end, '['))
        return -1;
    for (int i = 0;; i++) {
        Value passed_over;
        if (i < shape->count ? read_field(self, at, end, &shape->fields[i], base)
                             : read_value(at, end, &passed_over, 0))
            return -1;
        if (i < shape->count)
            seen |= 1ULL << i;
        if (take(at, end, ']'))
            return shape->required & ~seen ? -1 : 0;
        if (!take(at, end, ','))
            return -1;
    }
}

/* Which field the key at `*at` is of, -1: none of ours; past it. NO_KEY: it is not usual. */
static inline int
field_at(const Shape *shape, Seen *seen, const char **at, const char *end)
{
    const char *key = *at;
    if (seen != NULL && end - key > (Py_ssize_t)sizeof seen->name && key[seen->length] == '"' && seen->length &&
        same_name(seen->name, key, seen->length)) {
        *at = key + seen->length + 1;
        return seen->field;
    }
    if ((*at = after_string(key, end)) == NULL)
        return NO_KEY;
    Py_ssize_t length = (*at)++ - key;
    int found = -1;
    for (int i = 0; found < 0 && i < shape->count; i++)
        if (shape->fields[i].length == length && memcmp(shape->fields[i].name, key, length) == 0)
            found = i;
    if (seen != NULL && length <= (Py_ssize_t)sizeof seen->name) {
        memcpy(seen->name, key, length);
        seen->length = (unsigned char)length;
        seen->field = found;
    }
    return found;
}

static int
read_struct(Scanner *self, const char **at, const char *end, Shape *shape, Py_ssize_t base)
{
    uint64_t seen = 0;
    if (shape->is_list)
        return read_list(self, at, end, shape, base);
    if (!take(at, end, '{'))
        return -1;
    if (take(at, end, '}'))
        return shape->required ? -1 : 0;
    for (int place = 0;; place++) {
        if (!take(at, end, '"'))
            return -1;
        int found = field_at(shape, place < MAX_SEEN ? &shape->seen[place] : NULL, at, end);
        if (found == NO_KEY || !take(at, end, ':'))
            return -1;
        if (found < 0) {
            Value passed_over;
            if (read_value(at, end, &passed_over, 0) < 0)
                return -1;
        }
        else {
            if (seen & (1ULL << found))
                return -1;
            seen |= 1ULL << found;
            if (read_field(self, at, end, &shape->fields[found], base) < 0)
                return -1;
        }
        if (take(at, end, '}'))
            return shape->required & ~seen ? -1 : 0;
        if (!take(at, end, ','))
            return -1;
    }
}

/* As much of the envelope as names the stream. */
static int
read_naming(Scanner *self, const char *at, const char *end)
{
    Shape *shape = self->envelope;
    uint64_t seen = 0;
    if (!take(&at, end, '{'))
        return -1;
    for (int place = 0; (seen & self->naming) != self->naming; place++) {
        Value passed_over;
        if ((place && !take(&at, end, ',')) || !take(&at, end, '"'))
            return -1;
        int found = field_at(shape, place < MAX_SEEN ? &shape->seen[place] : NULL, &at, end);
        if (found == NO_KEY || !take(&at, end, ':'))
            return -1;
        if (found < 0 ? read_value(&at, end, &passed_over, 0) : read_field(self, &at, end, &shape->fields[found], 0))
            return -1;
        if (found >= 0)
            seen |= 1ULL << found;
    }
    return 0;
}
#endif
