/* The extension module wsadapter.native._native: all parts, and what the build was made of.
 *
 * WSADAPTER_FINGERPRINT is defined by setup.py; wsadapter/native/__init__.py compares it with the sources beside it.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "parts.h"

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "wsadapter.native._native", "See wsadapter/native/__init__.py.", -1, NULL,
};

PyMODINIT_FUNC
PyInit__native(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL)
        return NULL;
    if (add_archive(module) < 0 || add_book(module) < 0 || add_decimals(module) < 0 || add_decoder(module) < 0 || add_reader(module) < 0 ||
        add_records(module) < 0 || add_ring(module) < 0 || add_producer(module) < 0 || add_publisher(module) < 0 ||
        add_scanner(module) < 0 || add_kafka_client(module) < 0 || add_messages(module) < 0 || add_consumer(module) < 0 ||
        add_split(module) < 0 || add_framing(module) < 0 ||
        PyModule_AddStringConstant(module, "FINGERPRINT", WSADAPTER_FINGERPRINT) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
