/* Reading usual JSON where it lies: no escape, nothing but ASCII, no number of more than 18 digits where it is read as
 * one. What is not usual is declined (-1), whether or not it is JSON: msgspec has the word then. Reads no further than
 * `end`.
 */
#ifndef WSADAPTER_JSON_H
#define WSADAPTER_JSON_H
#include <Python.h>
#include <stdint.h>
#include <string.h>

#include "decimals.h"

enum { NO_VALUE, NULL_VALUE, EMPTY_VALUE, STRING_VALUE, WHOLE_VALUE, NUMBER_VALUE, TRUE_VALUE, FALSE_VALUE, NESTED_VALUE, SIDE_VALUE };
/* EMPTY_VALUE: the default of a Raw */
enum { MAX_NESTED = 16, MAX_DIGITS = 18 };

typedef struct {
    const char *at; /* of a string: behind the quote */
    Py_ssize_t length;
    PyObject *object; /* the value as it is, where it has been made; borrowed */
    long long number;       /* of a WHOLE_VALUE in a field for such */
    Py_ssize_t start, stop; /* of a SIDE_VALUE: its levels; length: their count */
    int kind;
} Value;

static inline const char *
skip_space(const char *at, const char *end)
{
    while (at < end && (unsigned char)*at <= ' ' && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    return at;
}

/* 1 and past it when the next character is this one. */
static inline int
take(const char **at, const char *end, char wanted)
{
    const char *found = skip_space(*at, end);
    if (found >= end || *found != wanted)
        return 0;
    *at = found + 1;
    return 1;
}

/* `at` is behind the opening quote; the closing one's place, or NULL. */
static inline const char *
after_string(const char *at, const char *end)
{
    const uint64_t ones = 0x0101010101010101ULL, highs = 0x8080808080808080ULL;
    for (; end - at >= 8; at += 8) { /* eight at once, as long as each is a usual character */
        uint64_t eight;
        memcpy(&eight, at, 8);
        uint64_t quote = eight ^ (ones * '"'), slash = eight ^ (ones * '\\');
        if ((quote = (eight | (eight - ones * 0x20) | (quote - ones) | (slash - ones)) & highs)) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && defined(__GNUC__)
            at += __builtin_ctzll(quote) >> 3; /* the lowest one is one, borrows only go up */
            return *at == '"' ? at : NULL;
#else
            break;
#endif
        }
    }
    while (at < end && *at != '"') {
        if ((unsigned char)(*at - 0x20) >= 0x60 || *at == '\\')
            return NULL;
        at++;
    }
    return at < end ? at : NULL;
}

static inline int
read_number(const char **at, const char *end, Value *value)
{
    const char *now = *at, *digits;
    value->at = now;
    value->kind = WHOLE_VALUE;
    if (*now == '-')
        now++;
    digits = now;
    while (now < end && (unsigned char)(*now - '0') < 10)
        now++;
    if (now == digits || (*digits == '0' && now > digits + 1))
        return -1;
    if (now < end && *now == '.') {
        value->kind = NUMBER_VALUE;
        digits = ++now;
        while (now < end && (unsigned char)(*now - '0') < 10)
            now++;
        if (now == digits)
            return -1;
    }
    if (now < end && (*now == 'e' || *now == 'E')) {
        value->kind = NUMBER_VALUE;
        now++;
        if (now < end && (*now == '+' || *now == '-'))
            now++;
        digits = now;
        while (now < end && (unsigned char)(*now - '0') < 10)
            now++;
        if (now == digits || now > digits + 2)
            return -1;
    }
    value->length = now - value->at;
    *at = now;
    return 0;
}

/* Whatever value comes next. Not inlined into itself: nested ones are rare. */
static int
read_value(const char **at, const char *end, Value *value, int nested)
{
    const char *now = skip_space(*at, end);
    if (now >= end)
        return -1;
    value->at = now;
    switch (*now) {
    case '"':
        value->kind = STRING_VALUE;
        value->at = ++now;
        if ((now = after_string(now, end)) == NULL)
            return -1;
        value->length = now - value->at;
        *at = now + 1;
        return 0;
    case '[':
    case '{': {
        char close = *now == '[' ? ']' : '}';
        const char *opened = now++;
        Value inner;
        if (nested >= MAX_NESTED)
            return -1;
        if (!take(&now, end, close))
            for (;;) {
                if (close == '}' && (!take(&now, end, '"') || (now = after_string(now, end)) == NULL || !take(&now, end, '"') ||
                                     !take(&now, end, ':')))
                    return -1;
                if (read_value(&now, end, &inner, nested + 1) < 0)
                    return -1;
                if (take(&now, end, close))
                    break;
                if (!take(&now, end, ','))
                    return -1;
            }
        value->kind = NESTED_VALUE;
        value->at = opened;
        value->length = now - opened;
        *at = now;
        return 0;
    }
    case 't':
    case 'f':
    case 'n':
        value->kind = *now == 't' ? TRUE_VALUE : *now == 'f' ? FALSE_VALUE : NULL_VALUE;
        value->length = *now == 'f' ? 5 : 4;
        if (end - now < value->length || memcmp(now, *now == 't' ? "true" : *now == 'f' ? "false" : "null", value->length))
            return -1;
        *at = now + value->length;
        return 0;
    default:
        *at = now;
        return read_number(at, end, value);
    }
}

/* The digits of a WHOLE_VALUE or of a text that is one; -1 where it is none. */
static inline int
read_whole(const char *at, Py_ssize_t length, long long *number)
{
    int minus = length > 0 && *at == '-';
    at += minus;
    length -= minus;
    if (length < 1 || length > MAX_DIGITS || (*at == '0' && (length > 1 || minus)))
        return -1;
    long long found = 0;
    for (Py_ssize_t i = 0; i < length; i++) {
        unsigned digit = (unsigned char)(at[i] - '0');
        if (digit > 9)
            return -1;
        found = found * 10 + digit;
    }
    *number = minus ? -found : found;
    return 0;
}
#endif
