/* The levels of one side of a book: checked where they lie, kept as price, quantity, price, ..., each a byte of length
 * and its characters. Who reads them afterwards knows no venue's spelling.
 */
#ifndef WSADAPTER_LEVELS_H
#define WSADAPTER_LEVELS_H
#include <Python.h>

#include "json.h"

/* One column of a side, in decimals.c. */
typedef struct {
    PyObject_HEAD
    PyObject *side; /* bytes: the whole checked side, shared by its two columns */
    Py_ssize_t count;
    int column;
    PyObject *texts; /* list, made when first looked at */
} Levels;

extern PyTypeObject Levels_Type;

PyObject *levels_new(PyObject *side, Py_ssize_t count, int column);

typedef struct {
    const unsigned char *at; /* the length of the next level's price */
    int column;              /* 0 = price, 1 = quantity */
} LevelsCursor;

static inline LevelsCursor
levels_begin(const char *side, int column)
{
    LevelsCursor cursor = {(const unsigned char *)side, column};
    return cursor;
}

/* The next text of the column. Call it once a level: it trusts that there is one. */
static inline const char *
levels_next(LevelsCursor *cursor, Py_ssize_t *length)
{
    const unsigned char *price = cursor->at, *quantity = price + 1 + *price;
    const unsigned char *wanted = cursor->column == 0 ? price : quantity;
    cursor->at = quantity + 1 + *quantity;
    *length = *wanted;
    return (const char *)wanted + 1;
}

/* Sides as they are kept, one behind the other; grows, and is used again. */
typedef struct {
    char *bytes;
    size_t size, capacity;
} Sides;

/* How a venue spells a level: a list with price and quantity at these places, or an object with these names. `places`:
 * of a list, exactly so many; 0: any number. `numbers`: they are JSON numbers, or texts of such; else plain decimals as
 * text. `side`: of an object whose field of this name has one of two words; the levels of each are a side. */
typedef struct {
    const char *text;
    Py_ssize_t length;
} Word;

typedef struct {
    int price_at, quantity_at, places, numbers;
    char price[16], quantity[16];
    int price_length, quantity_length; /* 0: a list */
    Word side, words[2];
} Spelling;

static inline int
is_word(const Word *word, const char *text, Py_ssize_t length)
{
    return word->length == length && memcmp(word->text, text, length) == 0;
}

/* Sixteen octets are two moves; so many are there to be written over, see read_side. */
static inline void
keep(Sides *sides, const char *text, Py_ssize_t length, const char *end)
{
    char *to = sides->bytes + sides->size;
    *to++ = (char)length;
    if (length <= 16 && end - text >= 16)
        memcpy(to, text, 16);
    else
        memcpy(to, text, length);
    sides->size += 1 + length;
}

/* A level as most venues spell it, `["1.0","2"]` without white space. -1: it is another one, and nothing is kept. */
static inline int
put_usual(Sides *sides, const char **at, const char *end)
{
    const char *price = *at + 2, *quantity, *stop, *behind;
    if (end - *at < 9 || (*at)[0] != '[' || (*at)[1] != '"' || (stop = after_plain(price, end)) == NULL ||
        end - stop < 6 || memcmp(stop, "\",\"", 3) != 0)
        return -1;
    quantity = stop + 3;
    if ((behind = after_plain(quantity, end)) == NULL || end - behind < 3 || behind[0] != '"' || behind[1] != ']' ||
        stop - price > LONGEST_DECIMAL || behind - quantity > LONGEST_DECIMAL)
        return -1;
    keep(sides, price, stop - price, end);
    keep(sides, quantity, behind - quantity, end);
    *at = behind + 2;
    return 0;
}

/* A number with an exponent, of nothing, or of neither. It may be longer kept than it was written: where there would be
 * no room then for all that follows, it is not usual. */
static int
put_number(Sides *sides, const char **at, const char *end)
{
    Value value;
    char scratch[LONGEST_DECIMAL];
    const char *plain;
    if (read_value(at, end, &value, 0) < 0 || value.kind < STRING_VALUE || value.kind > NUMBER_VALUE)
        return -1;
    int length = plain_decimal(value.at, value.length, 0, scratch, &plain);
    if (length < 0 || sides->size + 1 + (size_t)length + (size_t)(end - *at) + 32 > sides->capacity)
        return -1;
    keep(sides, plain, length, plain == scratch ? scratch + sizeof scratch : end);
    return 0;
}

/* -1: no decimal that is usual here. */
static inline int
put_decimal(Sides *sides, const char **at, const char *end, const Spelling *spelling)
{
    const char *begin = *at, *stop;
    int quoted = begin < end && *begin == '"';
    begin += quoted;
    stop = after_plain(begin, end);
    if (spelling->numbers && (stop == NULL || (stop < end && (*stop | 32) == 'e') || *begin == '0'))
        return put_number(sides, at, end);
    if (stop == NULL || stop - begin > LONGEST_DECIMAL || !(quoted || spelling->numbers))
        return -1;
    *at = stop + quoted;
    if (quoted && (stop >= end || *stop != '"'))
        return -1;
    keep(sides, begin, stop - begin, end);
    return 0;
}

/* A level behind its opening bracket, which is taken with the closing one. */
static inline int
put_list(Sides *sides, const char **at, const char *end, const Spelling *spelling)
{
    const char *prices[2] = {NULL, NULL};
    int place = 0;
    for (;; place++) {
        Value other;
        *at = skip_space(*at, end);
        if (place == spelling->price_at || place == spelling->quantity_at) {
            int which = place == spelling->quantity_at;
            if (which && prices[0] == NULL)
                return -1; /* quantities before prices: nobody's spelling */
            prices[which] = *at;
            if (put_decimal(sides, at, end, spelling) < 0)
                return -1;
        }
        else if (read_value(at, end, &other, 0) < 0)
            return -1;
        if (take(at, end, ']'))
            break;
        if (!take(at, end, ','))
            return -1;
    }
    return prices[1] != NULL && (spelling->places == 0 || place + 1 == spelling->places) ? 0 : -1;
}

/* 1 = of the other side than `wanted`, and not kept. Not inlined: it would slow down the usual spelling. */
static __attribute__((noinline)) int
put_object(Sides *sides, const char **at, const char *end, const Spelling *spelling, int wanted)
{
    const char *begun[2] = {NULL, NULL}, *key;
    size_t before = sides->size;
    int side = -1;
    for (;;) {
        Value other;
        if (!take(at, end, '"'))
            return -1;
        key = *at;
        if ((*at = after_string(key, end)) == NULL)
            return -1;
        Py_ssize_t length = (*at)++ - key;
        if (!take(at, end, ':'))
            return -1;
        *at = skip_space(*at, end);
        int is_price = length == spelling->price_length && memcmp(key, spelling->price, length) == 0;
        if (is_price || (length == spelling->quantity_length && memcmp(key, spelling->quantity, length) == 0)) {
            if (begun[!is_price] != NULL || (!is_price && begun[0] == NULL))
                return -1; /* twice, or quantities first */
            begun[!is_price] = *at;
            if (put_decimal(sides, at, end, spelling) < 0)
                return -1;
        }
        else if (read_value(at, end, &other, 0) < 0)
            return -1;
        else if (spelling->side.length && is_word(&spelling->side, key, length)) {
            if (side >= 0 || other.kind != STRING_VALUE)
                return -1;
            side = is_word(&spelling->words[0], other.at, other.length)   ? 0
                   : is_word(&spelling->words[1], other.at, other.length) ? 1
                                                                          : -1;
        }
        if (take(at, end, '}')) {
            if (begun[1] == NULL || (spelling->side.length && side < 0))
                return -1;
            if (!spelling->side.length || side == wanted)
                return 0;
            sides->size = before;
            return 1;
        }
        if (!take(at, end, ','))
            return -1;
    }
}

/* How many levels the side at `*at` has, put into `sides`; -1 where it is not usual, -2 without memory. `wanted`: where
 * both sides are in a list, whether it is the second one. */
static inline Py_ssize_t
read_side(const char **at, const char *end, const Spelling *spelling, Sides *sides, int wanted)
{
    Py_ssize_t count = 0;
    /* what is kept is shorter than what it was made of; put_number sees to the numbers that are not */
    size_t most = sides->size + (size_t)(end - *at) + 32;
    if (most > sides->capacity) {
        char *bytes = PyMem_Realloc(sides->bytes, most * 2);
        if (bytes == NULL)
            return -2;
        sides->bytes = bytes;
        sides->capacity = most * 2;
    }
    if (!take(at, end, '['))
        return -1;
    if (take(at, end, ']'))
        return 0;
    int usual = spelling->places == 2 && spelling->price_at == 0 && spelling->quantity_at == 1 && !spelling->numbers;
    for (;;) {
        int read = usual && put_usual(sides, at, end) == 0 ? 0
                   : spelling->price_length
                       ? (take(at, end, '{') ? put_object(sides, at, end, spelling, wanted) : -1)
                       : (take(at, end, '[') ? put_list(sides, at, end, spelling) : -1);
        if (read < 0)
            return -1;
        count += read == 0;
        if (take(at, end, ']'))
            return count;
        if (!take(at, end, ','))
            return -1;
    }
}

/* Two columns of a side that was read, whose levels are in `sides` from `start` to `stop`. */
static inline int
make_columns(const Sides *sides, size_t start, size_t stop, Py_ssize_t count, PyObject **made)
{
    PyObject *side = PyBytes_FromStringAndSize(sides->bytes + start, (Py_ssize_t)(stop - start));
    if (side == NULL)
        return -1;
    made[0] = levels_new(side, count, 0);
    made[1] = levels_new(side, count, 1);
    Py_DECREF(side);
    return made[0] == NULL || made[1] == NULL ? -1 : 0;
}
#endif
