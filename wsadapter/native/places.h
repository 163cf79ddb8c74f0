/* Places: [(topic, partition, offset, metadata or None)], and librdkafka's list of them. */
#ifndef WSADAPTER_PLACES_H
#define WSADAPTER_PLACES_H
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "librdkafka.h"

/* The caller's to destroy; NULL with an exception. */
rd_kafka_topic_partition_list_t *list_of(PyObject *places);
/* With the code of an error behind each; of no list: none. */
PyObject *new_places(const rd_kafka_topic_partition_list_t *list);
#endif
