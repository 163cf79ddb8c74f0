/* What is common to our clients of librdkafka: the library, a client's settings, and what it tells.
 *
 * The functions are those of the library that confluent-kafka's own module is linked with (`open_librdkafka`); the
 * clients are ours. What librdkafka tells its callbacks, which it does inside calls that wait only, is kept in a list
 * for Python to see to (`told`, in wsadapter/kafka/native_client.py).
 */
#include "kafka_client.h"

#include <dlfcn.h>

#include "parts.h"

enum { LEAST_VERSION = 0x01080000 };

Librdkafka lib;
static int is_open;

static PyObject *
open_librdkafka(PyObject *self, PyObject *path)
{
    const char *name = PyUnicode_AsUTF8(path);
    if (name == NULL)
        return NULL;
    void *module = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (module == NULL)
        return PyErr_Format(PyExc_OSError, "%s", dlerror());
    Librdkafka found; /* a handle's dependencies are searched, too */
#define FIND(result, name, parameters)                                                                                 \
    if ((*(void **)&found.name = dlsym(module, "rd_kafka_" #name)) == NULL)                                            \
        return PyErr_Format(PyExc_OSError, "no function rd_kafka_" #name);
    LIBRDKAFKA(FIND)
#undef FIND
    int version = found.version();
    if (version < LEAST_VERSION)
        return PyErr_Format(PyExc_OSError, "librdkafka %x is too old", version);
    lib = found;
    is_open = 1;
    return PyLong_FromLong(version);
}

/* -- what librdkafka tells: all of it with the interpreter's lock, which calls that wait have given up */

void
client_keep(Client *self, PyObject *item)
{
    if (item == NULL || PyList_Append(self->told, item) < 0) {
        PyErr_Clear();
        self->is_deaf = 1;
    }
    Py_XDECREF(item);
}

/* A host's or a broker's words need not be UTF-8. */
static PyObject *
words(const char *text)
{
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
}

static void
on_error(rd_kafka_t *client, int code, const char *reason, void *opaque)
{
    Client *self = opaque;
    char text[TEXT_SIZE];
    int is_fatal = code == RD_KAFKA_ERR_FATAL;
    if (self->is_closing)
        return;
    if (is_fatal) {
        code = lib.fatal_error(client, text, sizeof text);
        reason = text;
    }
    PyGILState_STATE state = PyGILState_Ensure();
    client_keep(self, Py_BuildValue("siNO", "error", code, words(reason), is_fatal ? Py_True : Py_False));
    PyGILState_Release(state);
}

static void
on_log(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    Client *self = lib.opaque(client);
    if (self->is_closing)
        return;
    PyGILState_STATE state = PyGILState_Ensure();
    client_keep(self, Py_BuildValue("sissN", "log", level, facility, lib.name(client), words(text)));
    PyGILState_Release(state);
}

/* -- a client */

void
client_refuse(int code, const char *text)
{
    PyObject *error = Py_BuildValue("is", code, text);
    if (error != NULL)
        PyErr_SetObject(PyExc_ValueError, error);
    Py_XDECREF(error);
}

rd_kafka_conf_t *
client_conf(Client *self, PyObject *settings)
{
    if (!is_open) {
        PyErr_SetString(PyExc_RuntimeError, "open_librdkafka first");
        return NULL;
    }
    PyObject *key, *value;
    Py_ssize_t at = 0;
    char text[TEXT_SIZE] = "";
    rd_kafka_conf_t *conf = lib.conf_new();
    while (PyDict_Next(settings, &at, &key, &value)) {
        const char *name = PyUnicode_AsUTF8(key), *content = name == NULL ? NULL : PyUnicode_AsUTF8(value);
        if (content == NULL)
            goto failed;
        if (lib.conf_set(conf, name, content, text, sizeof text) != RD_KAFKA_CONF_OK)
            goto refused;
    }
    /* what is logged waits for a call that serves callbacks, too */
    if (lib.conf_set(conf, "log.queue", "true", text, sizeof text) != RD_KAFKA_CONF_OK)
        goto refused;
    lib.conf_set_opaque(conf, self);
    lib.conf_set_error_cb(conf, on_error);
    lib.conf_set_log_cb(conf, on_log);
    return conf;
refused:
    client_refuse(RD_KAFKA_ERR_INVALID_ARG, text);
failed:
    lib.conf_destroy(conf);
    return NULL;
}

int
client_start(Client *self, int type, rd_kafka_conf_t *conf)
{
    char text[TEXT_SIZE] = "";
    if ((self->client = lib.new(type, conf, text, sizeof text)) == NULL) {
        int code = lib.last_error();
        lib.conf_destroy(conf);
        client_refuse(code, text);
        return -1;
    }
    lib.set_log_queue(self->client, NULL);
    return 0;
}

int
client_milliseconds(PyObject *seconds)
{
    double value = PyFloat_AsDouble(seconds);
    if (value == -1.0 && PyErr_Occurred())
        return -1;
    return value <= 0 ? 0 : value > 3600 ? 3600000 : (int)(value * 1000 + 0.5);
}

PyObject *
client_metadata(Client *self, PyObject *seconds)
{
    const struct rd_kafka_metadata *found = NULL;
    int code, most = client_milliseconds(seconds);
    if (most < 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    code = lib.metadata(self->client, 1, NULL, &found, most);
    if (!code)
        lib.metadata_destroy(found);
    Py_END_ALLOW_THREADS
    return PyLong_FromLong(code);
}

static PyMethodDef methods[] = {
    {"open_librdkafka", open_librdkafka, METH_O,
     "open_librdkafka(path): use the library that this module is linked with; its version, or OSError."},
    {NULL, NULL, 0, NULL},
};

int
add_kafka_client(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
