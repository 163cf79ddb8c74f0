/* The parts of the extension: each adds its types and functions to the module. 0, or -1 with an exception. */
#ifndef WSADAPTER_PARTS_H
#define WSADAPTER_PARTS_H
#include <Python.h>

int add_archive(PyObject *module);
int add_book(PyObject *module);
int add_consumer(PyObject *module);
int add_decimals(PyObject *module);
int add_decoder(PyObject *module);
int add_framing(PyObject *module);
int add_kafka_client(PyObject *module);
int add_messages(PyObject *module);
int add_producer(PyObject *module);
int add_publisher(PyObject *module);
int add_reader(PyObject *module);
int add_records(PyObject *module);
int add_ring(PyObject *module);
int add_scanner(PyObject *module);
int add_split(PyObject *module);
#endif
