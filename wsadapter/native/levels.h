/* Walking one column of a checked book side, [["price","quantity"],...]: shared by the C parts that read it. */
#ifndef WSADAPTER_LEVELS_H
#define WSADAPTER_LEVELS_H
#include <Python.h>

/* One column of a side, in decimals.c. */
typedef struct {
    PyObject_HEAD
    PyObject *side; /* bytes: the whole checked side, shared by its two columns */
    Py_ssize_t count;
    int column;
    PyObject *texts; /* list, made when first looked at */
} Levels;

extern PyTypeObject Levels_Type;

typedef struct {
    const char *at; /* the first character of the next level's price */
    int column;     /* 0 = price, 1 = quantity */
} LevelsCursor;

static inline LevelsCursor
levels_begin(const char *side, int column)
{
    LevelsCursor cursor = {side + 3, column}; /* past [[" */
    return cursor;
}

/* The next text of the column. Call it once a level: it trusts that there is one. */
static inline const char *
levels_next(LevelsCursor *cursor, Py_ssize_t *length)
{
    const char *price = cursor->at, *end = price;
    while (*end != '"')
        end++;
    const char *quantity = end + 3, *stop = quantity; /* past "," */
    while (*stop != '"')
        stop++;
    cursor->at = stop + 5; /* past "],[" */
    if (cursor->column == 0) {
        *length = end - price;
        return price;
    }
    *length = stop - quantity;
    return quantity;
}
#endif
