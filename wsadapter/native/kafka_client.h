/* What the producer and the consumer have in common, which both begin with: see kafka_client.c. */
#ifndef WSADAPTER_KAFKA_CLIENT_H
#define WSADAPTER_KAFKA_CLIENT_H
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "librdkafka.h"

enum { TEXT_SIZE = 512 };

typedef struct {
    PyObject_HEAD
    rd_kafka_t *client;
    PyObject *told; /* (what, ...) of each callback, in order, for Python to see to */
    int is_closing; /* nobody hears any more */
    int is_deaf;    /* there was no memory for what a callback had to say */
} Client;

/* Settings (a dict of texts) with the callbacks that all clients have; NULL with an exception. */
rd_kafka_conf_t *client_conf(Client *self, PyObject *settings);
/* The client of these settings, which are the library's from here on. 0, or -1 with an exception. */
int client_start(Client *self, int type, rd_kafka_conf_t *conf);
/* ValueError(code, text). */
void client_refuse(int code, const char *text);
/* In a callback, with the interpreter's lock: append to `told`; takes `item`, which may be NULL. */
void client_keep(Client *self, PyObject *item);
/* Milliseconds of a number of seconds, or -1 with an exception. */
int client_milliseconds(PyObject *seconds);
/* metadata(seconds): an error code, 0 when a broker answered. */
PyObject *client_metadata(Client *self, PyObject *seconds);
#endif
