/* Reading usual JSON where it lies: no escape, no number of more than 18 digits where it is read as one. What is not
 * usual is declined (-1), whether or not it is JSON: msgspec has the word then. Reads no further than `end`.
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
    union {
        PyObject *object; /* of a STRING_VALUE: as it is, where it has been made; borrowed */
        long long number; /* of a WHOLE_VALUE in a field for such */
        Py_ssize_t start; /* of a SIDE_VALUE: where its levels begin; length: their count */
    };
    int kind;
    unsigned octets; /* of the levels of a SIDE_VALUE */
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
    const char *found = *at;
    if (found < end && *found != wanted)
        found = skip_space(found, end);
    if (found >= end || *found != wanted)
        return 0;
    *at = found + 1;
    return 1;
}

/* As after_string, one by one: there are letters that are not ASCII (symbols in Chinese). */
static const char *
after_any_string(const char *at, const char *end)
{
    const char *first = at;
    for (; at < end && *at != '"'; at++)
        if ((unsigned char)*at < 0x20 || *at == '\\')
            return NULL;
    PyObject *text = at < end ? PyUnicode_DecodeUTF8(first, at - first, NULL) : NULL;
    if (text == NULL)
        PyErr_Clear();
    Py_XDECREF(text);
    return text == NULL ? NULL : at;
}

/* `at` is behind the opening quote; the closing one's place, or NULL. */
static inline const char *
after_string(const char *at, const char *end)
{
    const char *first = at;
    const uint64_t ones = 0x0101010101010101ULL, highs = 0x8080808080808080ULL;
    for (; end - at >= 8; at += 8) { /* eight at once, as long as each is a usual character */
        uint64_t eight;
        memcpy(&eight, at, 8);
        uint64_t quote = eight ^ (ones * '"'), slash = eight ^ (ones * '\\');
        if ((quote = (eight | (eight - ones * 0x20) | (quote - ones) | (slash - ones)) & highs)) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && defined(__GNUC__)
            at += __builtin_ctzll(quote) >> 3; /* the lowest one is one, borrows only go up */
            return *at == '"' ? at : after_any_string(first, end);
#else
            break;
#endif
        }
    }
    while (at < end && *at != '"') {
        if ((unsigned char)(*at - 0x20) >= 0x60 || *at == '\\')
            return after_any_string(first, end);
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

static int read_nested(const char **at, const char *end, Value *value, int nested);

/* Whatever value comes next. */
static inline int
read_value(const char **at, const char *end, Value *value, int nested)
{
    const char *now = *at;
    if (now < end && (unsigned char)*now <= ' ')
        now = skip_space(now, end);
    if (now >= end)
        return -1;
    value->at = now;
    switch (*now) {
    case '"':
        value->kind = STRING_VALUE;
        value->object = NULL;
        value->at = ++now;
        if ((now = after_string(now, end)) == NULL)
            return -1;
        value->length = now - value->at;
        *at = now + 1;
        return 0;
    case '[':
    case '{':
        *at = now;
        return read_nested(at, end, value, nested);
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

/* `*at` is at a bracket. Not inlined: it is rare. */
static int
read_nested(const char **at, const char *end, Value *value, int nested)
{
    const char *opened = *at, *now = opened + 1;
    char close = *opened == '[' ? ']' : '}';
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

enum { LONGEST_DECIMAL = 127 };

/* A JSON number, or the text of one, as a plain decimal: see plain_number in wsadapter/events/decimals.py. Its length;
 * -1: it is none, or not usual. `made`: where it is, in the text itself or in `plain`, which has room for
 * LONGEST_DECIMAL characters. */
static int
plain_decimal(const char *text, Py_ssize_t octets, int is_signed, char *plain, const char **made)
{
    const char *at = text, *end = text + octets, *mantissa = text + (octets > 0 && *text == '-');
    Value number;
    *made = text;
    if (octets < 1 || octets > LONGEST_DECIMAL / 2)
        return -1;
    int nothing = 1, is_minus = mantissa != text;
    for (const char *digit = mantissa; digit < end && (*digit | 32) != 'e'; digit++)
        nothing &= *digit == '0' || *digit == '.';
    if (is_minus && !nothing && !is_signed)
        return -1;
    if (after_plain(mantissa, end) == end && !(*mantissa == '0' && end > mantissa + 1 && mantissa[1] != '.')) {
        *made = nothing ? mantissa : text; /* minus nothing has no sign */
        return (int)(end - *made);
    }
    *made = plain;
    if (read_number(&at, end, &number) < 0 || at != end)
        return -1;
    char digits[LONGEST_DECIMAL];
    int count = 0, point = -1, exponent = 0;
    for (at = mantissa; at < end && (*at | 32) != 'e'; at++)
        if (*at == '.')
            point = count;
        else
            digits[count++] = *at;
    int minus = at[1] == '-';
    for (at += 1 + (minus || at[1] == '+'); at < end; at++)
        exponent = exponent * 10 + (*at - '0');
    point = (point < 0 ? count : point) + (minus ? -exponent : exponent);
    int zeros = point <= 0 ? 1 - point : 0, length = 0, first = 0; /* zeros: before the digits */
    point += zeros;
    int whole = zeros + count > point ? zeros + count : point;
    while (first < point - 1 && (first < zeros || first - zeros >= count || digits[first - zeros] == '0'))
        first++;
    if (whole - first + 2 > LONGEST_DECIMAL)
        return -1;
    if (is_minus && !nothing)
        plain[length++] = '-';
    for (int i = first; i < whole; i++) {
        if (i == point)
            plain[length++] = '.';
        plain[length++] = i < zeros || i - zeros >= count ? '0' : digits[i - zeros];
    }
    return length;
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
