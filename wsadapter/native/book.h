/* One side of a book that is kept: see book.c. */
#ifndef WSADAPTER_BOOK_H
#define WSADAPTER_BOOK_H
#include <Python.h>
#include <stdint.h>

extern PyTypeObject BookSide_Type;

/* Quantity 0 removes the level. 0, or -1 with an exception. */
int book_change(PyObject *side, const char *price, Py_ssize_t price_length, const char *quantity,
                Py_ssize_t quantity_length);
void book_cut(PyObject *side, Py_ssize_t levels);
/* Of the digits of the best levels, without dots and leading zeros, going on from `crc` (0 at first). */
uint32_t book_digits_crc(PyObject *side, Py_ssize_t best, uint32_t crc);
#endif
