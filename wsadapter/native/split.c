/* Messages of confluent-kafka as runs of one partition: see `Split` in wsadapter/kafka/runs.py. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "parts.h"

static PyObject *name_error, *name_topic, *name_partition, *name_key, *name_value;

static int
append_new(PyObject *list, PyObject *value)
{
    int done = value == NULL ? -1 : PyList_Append(list, value);
    Py_XDECREF(value);
    return done;
}

/* The lists of the run that this message goes on with, or of a new one. Borrowed; 0, or -1 with an exception. */
static int
run_of(PyObject *runs, PyObject *message, PyObject **run)
{
    PyObject *topic = PyObject_CallMethodNoArgs(message, name_topic);
    PyObject *partition = topic == NULL ? NULL : PyObject_CallMethodNoArgs(message, name_partition);
    int done = -1, is_same = 0;
    if (partition == NULL)
        goto end;
    if (*run != NULL) {
        is_same = PyObject_RichCompareBool(PyList_GET_ITEM(*run, 1), partition, Py_EQ);
        if (is_same > 0)
            is_same = PyObject_RichCompareBool(PyList_GET_ITEM(*run, 0), topic, Py_EQ);
        if (is_same < 0)
            goto end;
    }
    if (!is_same) {
        PyObject *messages = PyList_New(0), *values = PyList_New(0), *made = NULL;
        if (messages != NULL && values != NULL && (made = PyList_New(6)) != NULL) {
            PyList_SET_ITEM(made, 0, Py_NewRef(topic));
            PyList_SET_ITEM(made, 1, Py_NewRef(partition));
            PyList_SET_ITEM(made, 2, Py_NewRef(messages));
            PyList_SET_ITEM(made, 3, Py_NewRef(values));
            PyList_SET_ITEM(made, 4, Py_NewRef(message));
            PyList_SET_ITEM(made, 5, Py_NewRef(Py_None));
        }
        *run = made;
        Py_XDECREF(messages);
        Py_XDECREF(values);
        if (append_new(runs, made) < 0)
            goto end;
    }
    done = 0;
end:
    Py_XDECREF(topic);
    Py_XDECREF(partition);
    return done;
}

/* split(messages, wanted): see `Split` in wsadapter/kafka/runs.py. */
static PyObject *
split(PyObject *module, PyObject *args)
{
    PyObject *messages, *wanted, *run = NULL;
    if (!PyArg_ParseTuple(args, "O!O", &PyList_Type, &messages, &wanted))
        return NULL;
    PyObject *runs = PyList_New(0), *failed = PyList_New(0);
    if (runs == NULL || failed == NULL)
        goto error;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(messages); i++) {
        PyObject *message = PyList_GET_ITEM(messages, i);
        PyObject *problem = PyObject_CallMethodNoArgs(message, name_error);
        if (problem == NULL)
            goto error;
        Py_DECREF(problem);
        if (problem != Py_None) {
            if (PyList_Append(failed, message) < 0)
                goto error;
            continue;
        }
        if (run_of(runs, message, &run) < 0)
            goto error;
        if (PyList_SetItem(run, 5, Py_NewRef(message)) < 0)
            goto error;
        if (wanted != Py_None) {
            PyObject *key = PyObject_CallMethodNoArgs(message, name_key);
            PyObject *is_wanted = key == NULL ? NULL : PyObject_GetItem(wanted, key);
            Py_XDECREF(key);
            int truth = is_wanted == NULL ? -1 : PyObject_IsTrue(is_wanted);
            Py_XDECREF(is_wanted);
            if (truth < 0)
                goto error;
            if (!truth)
                continue;
        }
        if (PyList_Append(PyList_GET_ITEM(run, 2), message) < 0 ||
            append_new(PyList_GET_ITEM(run, 3), PyObject_CallMethodNoArgs(message, name_value)) < 0)
            goto error;
    }
    return Py_BuildValue("NN", runs, failed);
error:
    Py_XDECREF(runs);
    Py_XDECREF(failed);
    return NULL;
}

static PyMethodDef methods[] = {
    {"split", split, METH_VARARGS, "split(messages, wanted) -> runs of one partition, and messages that are errors."},
    {NULL, NULL, 0, NULL},
};

int
add_split(PyObject *module)
{
    if ((name_error = PyUnicode_InternFromString("error")) == NULL ||
        (name_topic = PyUnicode_InternFromString("topic")) == NULL ||
        (name_partition = PyUnicode_InternFromString("partition")) == NULL ||
        (name_key = PyUnicode_InternFromString("key")) == NULL ||
        (name_value = PyUnicode_InternFromString("value")) == NULL)
        return -1;
    return PyModule_AddFunctions(module, methods);
}
