/* A consumer of librdkafka whose messages stay where they are: the fast half of wsadapter/kafka/record_consumer.py.
 *
 * A client of kafka_client.c. `take` gives messages as runs of one partition (messages.c); every other function is one
 * of librdkafka's with Python's values. Rebalances are told at once, by `on_rebalance`, inside `take` and `close`.
 */
#include "kafka_client.h"

#include <structmember.h>

#include "messages.h"
#include "parts.h"
#include "places.h"

enum { MOST = 100000 };

typedef struct {
    Client base;
    Source source; /* of what `take` gives */
    PyObject *make, *on_rebalance;
    PyObject *raised[3]; /* by on_rebalance */
    rd_kafka_message_t **batch;
    size_t room;
    int is_assigned; /* by on_rebalance itself */
} Consumer;

/* -- what librdkafka tells */

static void
on_commit(rd_kafka_t *client, int code, rd_kafka_topic_partition_list_t *offsets, void *opaque)
{
    Client *self = opaque;
    if (self->is_closing)
        return;
    PyGILState_STATE state = PyGILState_Ensure();
    client_keep(self, Py_BuildValue("siN", "commit", code, new_places(offsets)));
    PyGILState_Release(state);
}

static int
on_stats(rd_kafka_t *client, char *json, size_t size, void *opaque)
{
    Client *self = opaque;
    if (!self->is_closing) {
        PyGILState_STATE state = PyGILState_Ensure();
        client_keep(self, Py_BuildValue("sy#", "stats", json, (Py_ssize_t)size));
        PyGILState_Release(state);
    }
    return 0; /* the text is the library's to free */
}

static void
on_rebalance(rd_kafka_t *client, int code, rd_kafka_topic_partition_list_t *partitions, void *opaque)
{
    Consumer *self = opaque;
    int is_lost = code != RD_KAFKA_ERR_ASSIGN && lib.assignment_lost(client);
    self->is_assigned = 0;
    if (!self->base.is_closing) {
        PyGILState_STATE state = PyGILState_Ensure();
        PyObject *places = new_places(partitions);
        PyObject *done = places == NULL ? NULL : PyObject_CallFunction(self->on_rebalance, "iOi", code, places, is_lost);
        if (done == NULL && self->raised[0] == NULL)
            PyErr_Fetch(&self->raised[0], &self->raised[1], &self->raised[2]);
        PyErr_Clear();
        Py_XDECREF(places);
        Py_XDECREF(done);
        PyGILState_Release(state);
    }
    if (!self->is_assigned) /* librdkafka waits for an answer, whatever it is */
        lib.assign(client, code == RD_KAFKA_ERR_ASSIGN ? partitions : NULL);
}

static int
was_raised(Consumer *self)
{
    if (self->raised[0] == NULL)
        return 0;
    PyErr_Restore(self->raised[0], self->raised[1], self->raised[2]);
    memset(self->raised, 0, sizeof self->raised);
    return 1;
}

static int
is_open(Consumer *self)
{
    if (self->base.client != NULL)
        return 1;
    PyErr_SetString(PyExc_RuntimeError, "the consumer is closed");
    return 0;
}

/* -- messages */

static int
append_new(PyObject *list, PyObject *value)
{
    int done = value == NULL ? -1 : PyList_Append(list, value);
    Py_XDECREF(value);
    return done;
}

/* 1, 0, or -1 with an exception; `wanted` is None or a mapping of keys. */
static int
is_wanted(PyObject *wanted, const rd_kafka_message_t *message)
{
    if (wanted == Py_None)
        return 1;
    PyObject *key = message->key == NULL ? Py_NewRef(Py_None)
                                         : PyBytes_FromStringAndSize(message->key, (Py_ssize_t)message->key_len);
    PyObject *found = key == NULL ? NULL : PyObject_GetItem(wanted, key);
    Py_XDECREF(key);
    int truth = found == NULL ? -1 : PyObject_IsTrue(found);
    Py_XDECREF(found);
    return truth;
}

/* A message that is an error: (code, text, topic or None, partition). */
static PyObject *
failure(const rd_kafka_message_t *message)
{
    const char *text = lib.message_errstr(message);
    PyObject *said = PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
    return Py_BuildValue("iNzi", message->err, said, message->rkt == NULL ? NULL : lib.topic_name(message->rkt),
                         (int)message->partition);
}

/* The messages from `at` to `end`, which are of one partition: a run, see wsadapter/kafka/runs.py. */
static PyObject *
run_of(Consumer *self, size_t at, size_t end, PyObject *wanted)
{
    const rd_kafka_message_t *first = self->batch[at], *last = self->batch[end - 1];
    int kind;
    long long first_ms = lib.message_timestamp(first, &kind), last_ms = lib.message_timestamp(last, &kind);
    Messages *messages = new_messages(&self->source, self->make);
    PyObject *run = messages == NULL ? NULL
                                     : Py_BuildValue("siOLLL", lib.topic_name(first->rkt), (int)first->partition,
                                                     messages, (long long)last->offset, first_ms, last_ms);
    for (; run != NULL && at < end; at++) {
        rd_kafka_message_t *message = self->batch[at];
        int wants = is_wanted(wanted, message);
        if (wants < 0 || (wants && append_message(messages, message) < 0)) {
            Py_CLEAR(run);
            break;
        }
        self->batch[at] = NULL;
        if (!wants)
            lib.message_destroy(message);
    }
    Py_XDECREF(messages);
    return run;
}

static int
sort(Consumer *self, size_t count, PyObject *wanted, PyObject *runs, PyObject *failed)
{
    for (size_t at = 0, end; at < count; at = end) {
        const rd_kafka_message_t *first = self->batch[at];
        end = at + 1;
        if (first->err) {
            if (append_new(failed, failure(first)) < 0)
                return -1;
            continue;
        }
        while (end < count && !self->batch[end]->err && self->batch[end]->rkt == first->rkt &&
               self->batch[end]->partition == first->partition)
            end++;
        if (append_new(runs, run_of(self, at, end, wanted)) < 0)
            return -1;
    }
    return 0;
}

static PyObject *
consumer_take(Consumer *self, PyObject *args)
{
    Py_ssize_t most;
    PyObject *seconds, *wanted;
    ssize_t count;
    if (!PyArg_ParseTuple(args, "nOO", &most, &seconds, &wanted) || !is_open(self))
        return NULL;
    int timeout = client_milliseconds(seconds);
    if (timeout < 0)
        return NULL;
    if (most < 1 || most > MOST)
        return PyErr_Format(PyExc_ValueError, "from 1 to %d messages", MOST);
    if ((size_t)most > self->room) {
        rd_kafka_message_t **batch = PyMem_Resize(self->batch, rd_kafka_message_t *, most);
        if (batch == NULL)
            return PyErr_NoMemory();
        self->batch = batch;
        self->room = (size_t)most;
    }
    Py_BEGIN_ALLOW_THREADS
    count = lib.consume_batch_queue(self->source.queue, timeout, self->batch, (size_t)most);
    Py_END_ALLOW_THREADS
    count = count < 0 ? 0 : count;
    PyObject *runs = PyList_New(0), *failed = PyList_New(0), *taken = NULL;
    int raised = was_raised(self);
    if (!raised && runs != NULL && failed != NULL && sort(self, (size_t)count, wanted, runs, failed) == 0)
        taken = Py_BuildValue("OO", runs, failed);
    for (ssize_t i = 0; i < count; i++)
        if (self->batch[i] != NULL)
            lib.message_destroy(self->batch[i]);
    Py_XDECREF(runs);
    Py_XDECREF(failed);
    if (self->base.is_deaf && taken != NULL) {
        Py_DECREF(taken);
        return PyErr_NoMemory();
    }
    return taken;
}

/* -- librdkafka's own functions */

enum { SUBSCRIBE, ASSIGN, ADD, REMOVE, PAUSE, RESUME };

static int
call(Consumer *self, int what, rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_t *client = self->base.client;
    rd_kafka_error_t *error;
    int code = 0;
    switch (what) {
    case SUBSCRIBE:
        return lib.subscribe(client, list);
    case ASSIGN:
        return lib.assign(client, list);
    case PAUSE:
        return lib.pause_partitions(client, list);
    case RESUME:
        return lib.resume_partitions(client, list);
    default:
        error = what == ADD ? lib.incremental_assign(client, list) : lib.incremental_unassign(client, list);
        if (error != NULL) {
            code = lib.error_code(error);
            lib.error_destroy(error);
        }
        return code;
    }
}

/* The code of an error. */
static PyObject *
called(Consumer *self, int what, PyObject *places)
{
    int code;
    if (!PyList_Check(places)) {
        PyErr_SetString(PyExc_TypeError, "a list of places");
        return NULL;
    }
    rd_kafka_topic_partition_list_t *list = is_open(self) ? list_of(places) : NULL;
    if (list == NULL)
        return NULL;
    self->is_assigned |= what == ASSIGN || what == ADD || what == REMOVE;
    Py_BEGIN_ALLOW_THREADS
    code = call(self, what, list);
    Py_END_ALLOW_THREADS
    lib.topic_partition_list_destroy(list);
    return PyLong_FromLong(code);
}

#define CALLED(name, what)                                                                                             \
    static PyObject *consumer_##name(Consumer *self, PyObject *places) { return called(self, what, places); }
CALLED(subscribe, SUBSCRIBE)
CALLED(assign, ASSIGN)
CALLED(incremental_assign, ADD)
CALLED(incremental_unassign, REMOVE)
CALLED(pause, PAUSE)
CALLED(resume, RESUME)

static PyObject *
answered(int code, rd_kafka_topic_partition_list_t *list)
{
    PyObject *answer = Py_BuildValue("iN", code, new_places(list));
    if (list != NULL)
        lib.topic_partition_list_destroy(list);
    return answer;
}

static PyObject *
consumer_assignment(Consumer *self, PyObject *unused)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    if (!is_open(self))
        return NULL;
    int code = lib.assignment(self->base.client, &list);
    return answered(code, list);
}

static PyObject *
asked(Consumer *self, PyObject *args, int (*ask)(rd_kafka_t *, rd_kafka_topic_partition_list_t *, int))
{
    PyObject *places, *seconds;
    int code;
    if (!PyArg_ParseTuple(args, "O!O", &PyList_Type, &places, &seconds) || !is_open(self))
        return NULL;
    int timeout = client_milliseconds(seconds);
    rd_kafka_topic_partition_list_t *list = timeout < 0 ? NULL : list_of(places);
    if (list == NULL)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    code = ask(self->base.client, list, timeout);
    Py_END_ALLOW_THREADS
    return answered(code, list);
}

static PyObject *
consumer_offsets_for_times(Consumer *self, PyObject *args)
{
    return asked(self, args, lib.offsets_for_times);
}

static PyObject *
consumer_committed(Consumer *self, PyObject *args)
{
    return asked(self, args, lib.committed);
}

static int
commit(rd_kafka_t *client, rd_kafka_topic_partition_list_t *list, int timeout)
{
    return lib.commit(client, list, timeout == 0);
}

static PyObject *
consumer_commit(Consumer *self, PyObject *args)
{
    return asked(self, args, commit);
}

static PyObject *
consumer_watermarks(Consumer *self, PyObject *args)
{
    const char *topic;
    int partition;
    int64_t low = -1, high = -1;
    if (!PyArg_ParseTuple(args, "si", &topic, &partition) || !is_open(self))
        return NULL;
    int code = lib.get_watermark_offsets(self->base.client, topic, partition, &low, &high);
    return Py_BuildValue("iLL", code, (long long)low, (long long)high);
}

static PyObject *
consumer_metadata(Consumer *self, PyObject *seconds)
{
    return is_open(self) ? client_metadata(&self->base, seconds) : NULL;
}

static PyObject *
consumer_fatal(Consumer *self, PyObject *unused)
{
    char text[TEXT_SIZE] = "";
    if (!is_open(self))
        return NULL;
    int code = lib.fatal_error(self->base.client, text, sizeof text);
    return Py_BuildValue("iN", code, PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace"));
}

/* -- its life */

static PyObject *
consumer_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *settings, *make, *rebalanced;
    if (!PyArg_ParseTuple(args, "O!OO", &PyDict_Type, &settings, &make, &rebalanced))
        return NULL;
    Consumer *self = (Consumer *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->make = Py_NewRef(make);
    self->on_rebalance = Py_NewRef(rebalanced);
    rd_kafka_conf_t *conf = NULL;
    if ((self->base.told = PyList_New(0)) == NULL || (conf = client_conf(&self->base, settings)) == NULL)
        goto failed;
    lib.conf_set_rebalance_cb(conf, on_rebalance);
    lib.conf_set_offset_commit_cb(conf, on_commit);
    lib.conf_set_stats_cb(conf, on_stats);
    if (client_start(&self->base, RD_KAFKA_CONSUMER, conf) < 0)
        goto failed;
    lib.poll_set_consumer(self->base.client);
    rd_kafka_queue_t *queue = lib.queue_get_consumer(self->base.client);
    if (queue == NULL) {
        lib.destroy(self->base.client);
        self->base.client = NULL;
        client_refuse(RD_KAFKA_ERR_INVALID_ARG, "a consumer wants a group.id");
        goto failed;
    }
    self->source = (Source){(PyObject *)self, self->base.client, queue, 1};
    return (PyObject *)self;
failed:
    Py_DECREF(self);
    return NULL;
}

/* Leaves the group, which tells of a last rebalance. Messages that were taken stay what they are. */
static PyObject *
consumer_close(Consumer *self, PyObject *unused)
{
    int code = 0;
    if (self->base.client == NULL)
        return PyLong_FromLong(0);
    Py_BEGIN_ALLOW_THREADS
    code = lib.consumer_close(self->base.client);
    Py_END_ALLOW_THREADS
    self->base.is_closing = 1;
    self->base.client = NULL;
    source_leave(&self->source);
    return was_raised(self) ? NULL : PyLong_FromLong(code);
}

static void
consumer_dealloc(Consumer *self)
{
    self->base.is_closing = 1;
    if (self->base.client != NULL) /* nobody has a message */
        source_leave(&self->source);
    Py_XDECREF(self->base.told);
    Py_XDECREF(self->make);
    Py_XDECREF(self->on_rebalance);
    for (int i = 0; i < 3; i++)
        Py_XDECREF(self->raised[i]);
    PyMem_Free(self->batch);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef consumer_methods[] = {
    {"take", (PyCFunction)consumer_take, METH_VARARGS,
     "take(most, seconds, wanted): ([(topic, partition, messages, last offset, first ms, last ms)], [(code, text, topic, "
     "partition)]); serves every callback."},
    {"subscribe", (PyCFunction)consumer_subscribe, METH_O, "subscribe(places): an error code."},
    {"assign", (PyCFunction)consumer_assign, METH_O, "assign(places): an error code."},
    {"incremental_assign", (PyCFunction)consumer_incremental_assign, METH_O, "These, too: an error code."},
    {"incremental_unassign", (PyCFunction)consumer_incremental_unassign, METH_O, "These no more: an error code."},
    {"pause", (PyCFunction)consumer_pause, METH_O, "pause(places): an error code."},
    {"resume", (PyCFunction)consumer_resume, METH_O, "resume(places): an error code."},
    {"assignment", (PyCFunction)consumer_assignment, METH_NOARGS, "(error code, places)."},
    {"offsets_for_times", (PyCFunction)consumer_offsets_for_times, METH_VARARGS, "(places, seconds): (code, places)."},
    {"committed", (PyCFunction)consumer_committed, METH_VARARGS, "(places, seconds): (code, places)."},
    {"commit", (PyCFunction)consumer_commit, METH_VARARGS,
     "commit(places, seconds): (code, places); 0 seconds: no answer is waited for, it is told."},
    {"watermarks", (PyCFunction)consumer_watermarks, METH_VARARGS, "(topic, partition): (code, low, high), as cached."},
    {"metadata", (PyCFunction)consumer_metadata, METH_O, "metadata(seconds): an error code, 0 when a broker answered."},
    {"fatal", (PyCFunction)consumer_fatal, METH_NOARGS, "(code, text) of the fatal error, code 0: none."},
    {"close", (PyCFunction)consumer_close, METH_NOARGS, "Leave the group: an error code."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef consumer_members[] = {
    {"told", T_OBJECT_EX, offsetof(Client, told), READONLY,
     "(\"error\", code, text, is fatal), (\"log\", syslog level, facility, client, text), (\"commit\", code, places), "
     "(\"stats\", bytes), to be cleared."},
    {NULL, 0, 0, 0, NULL},
};

static PyTypeObject Consumer_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "wsadapter.native._native.Consumer",
    .tp_basicsize = sizeof(Consumer),
    .tp_dealloc = (destructor)consumer_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Consumer({setting: text}, make message, on_rebalance); ValueError(code, text) for settings that are "
              "refused.",
    .tp_methods = consumer_methods,
    .tp_members = consumer_members,
    .tp_new = consumer_new,
};

int
add_consumer(PyObject *module)
{
    if (PyType_Ready(&Consumer_Type) < 0)
        return -1;
    return PyModule_AddObjectRef(module, "Consumer", (PyObject *)&Consumer_Type);
}
