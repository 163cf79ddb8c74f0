/* Messages of one partition as librdkafka holds them, as the C parts share them: see messages.c. */
#ifndef WSADAPTER_MESSAGES_H
#define WSADAPTER_MESSAGES_H
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "librdkafka.h"

/* What the messages are of, a part of its owner. librdkafka wants all messages back before it ends. */
typedef struct {
    PyObject *owner;
    rd_kafka_t *client;
    rd_kafka_queue_t *queue;
    Py_ssize_t holders; /* its owner until that is closed, and each Messages */
} Source;

/* One holder less; without the last one the client ends. */
void source_leave(Source *source);

typedef struct {
    PyObject_HEAD
    Source *source;
    PyObject *make; /* (topic, partition, offset, milliseconds, key, value) -> what Python sees of a message */
    rd_kafka_message_t **items;
    Py_ssize_t first, end, room;
} Messages;

extern PyTypeObject Messages_Type;

Messages *new_messages(Source *source, PyObject *make);
/* Takes the message. 0, or -1 with an exception. */
int append_message(Messages *self, rd_kafka_message_t *message);
#endif
