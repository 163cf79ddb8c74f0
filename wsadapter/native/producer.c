/* A producer of librdkafka that takes ring records as they lie there: the fast half of wsadapter/kafka/record_producer.py.
 *
 * A client of kafka_client.c. Of a record only its copy in librdkafka's queue is made, no Python object: the value (the
 * identity, then the message) is put together in an arena, the key stays where it is, and what goes to one partition goes
 * there in one call.
 */
#include "kafka_client.h"

#include <structmember.h>

#include "parts.h"

enum { KINDS = 256, IDENTITY = 18, ARENA = 256 * 1024 };

typedef struct {
    rd_kafka_message_t *messages;
    int count, capacity;
} Bucket; /* what waits for one partition */

typedef struct {
    char *topic; /* NULL: records of this kind are left to Python */
    rd_kafka_topic_t *handle;
    Bucket *buckets; /* of partition -1 (the client chooses), 0, 1, ... */
    int bucket_count, waiting, is_sampled;
    long long queued; /* messages since `take` */
} Line;

typedef struct {
    Client base;
    PyObject *refused;
    PyObject *samples; /* (kind, value) of the first of each kind; NULL: nobody asks */
    Line lines[KINDS];
    char *arena;
    size_t used, room;
    int stopped; /* the code with which the client takes nothing more */
} Producer;

static PyObject *
headers_of(const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers;
    const char *name;
    const void *value;
    size_t size;
    PyObject *list = PyList_New(0);
    if (list == NULL || lib.message_headers(message, &headers))
        return list;
    for (size_t i = 0; lib.header_get_all(headers, i, &name, &value, &size) == 0; i++) {
        PyObject *header = Py_BuildValue("sy#", name, (const char *)value, (Py_ssize_t)size);
        int failed = header == NULL || PyList_Append(list, header) < 0;
        Py_XDECREF(header);
        if (failed)
            Py_CLEAR(list);
        if (failed)
            break;
    }
    return list;
}

static void
on_report(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    Client *self = opaque;
    if (!message->err || self->is_closing)
        return;
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *headers = headers_of(message);
    client_keep(self,
                headers == NULL ? NULL
                                : Py_BuildValue("siszy#y#N", "failed", message->err, lib.err2str(message->err),
                                         lib.topic_name(message->rkt), (const char *)message->key,
                                         (Py_ssize_t)message->key_len, (const char *)message->payload,
                                         (Py_ssize_t)message->len, headers));
    PyGILState_Release(state);
}

/* -- records in */

static uint32_t
murmur2(const unsigned char *key, size_t length)
{
    const uint32_t m = 0x5BD1E995;
    uint32_t hashed = 0x9747B28C ^ (uint32_t)length, mixed;
    for (; length >= 4; key += 4, length -= 4) {
        memcpy(&mixed, key, 4);
        mixed *= m;
        mixed ^= mixed >> 24;
        hashed = hashed * m ^ mixed * m;
    }
    if (length) {
        mixed = 0;
        memcpy(&mixed, key, length);
        hashed = (hashed ^ mixed) * m;
    }
    hashed ^= hashed >> 13;
    hashed *= m;
    return hashed ^ hashed >> 15;
}

static int
refuse(Producer *self, int kind, const rd_kafka_message_t *message)
{
    PyObject *item = Py_BuildValue("iiy#y#", kind, message->err, (const char *)message->key,
                                   (Py_ssize_t)message->key_len, (const char *)message->payload,
                                   (Py_ssize_t)message->len);
    int failed = item == NULL || PyList_Append(self->refused, item) < 0;
    Py_XDECREF(item);
    if (message->err != RD_KAFKA_ERR_MSG_SIZE_TOO_LARGE)
        self->stopped = message->err;
    return failed ? -1 : 0;
}

static int
hand_over_line(Producer *self, int kind, Line *line)
{
    if (line->handle == NULL && (line->handle = lib.topic_new(self->base.client, line->topic, NULL)) == NULL) {
        PyErr_Format(PyExc_RuntimeError, "topic %s: librdkafka's error %d", line->topic, lib.last_error());
        return -1;
    }
    for (int i = 0; i < line->bucket_count; i++) {
        Bucket *bucket = &line->buckets[i];
        int count = bucket->count;
        bucket->count = 0;
        if (count == 0 || self->stopped)
            continue;
        line->queued += count;
        if (lib.produce_batch(line->handle, i - 1, RD_KAFKA_MSG_F_COPY, bucket->messages, count) == count)
            continue;
        for (int n = 0; n < count; n++)
            if (bucket->messages[n].err && refuse(self, kind, &bucket->messages[n]) < 0)
                return -1;
    }
    line->waiting = 0;
    return 0;
}

/* All that waits, to librdkafka; what it does not take is in `refused`. 0, or -1 with an exception. */
static int
hand_over(Producer *self)
{
    for (int kind = 0; kind < KINDS; kind++)
        if (self->lines[kind].waiting && hand_over_line(self, kind, &self->lines[kind]) < 0)
            return -1;
    self->used = 0;
    return 0;
}

/* After a failure: what waits points into memory of the caller, who is told that none of it was taken. */
static void
forget_waiting(Producer *self)
{
    for (int kind = 0; kind < KINDS; kind++) {
        for (int i = 0; i < self->lines[kind].bucket_count; i++)
            self->lines[kind].buckets[i].count = 0;
        self->lines[kind].waiting = 0;
    }
    self->used = 0;
}

static int
make_room(Producer *self, size_t size)
{
    if (hand_over(self) < 0)
        return -1;
    if (size <= self->room)
        return 0;
    char *grown = PyMem_Realloc(self->arena, size); /* nothing waits that points into it */
    if (grown == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    self->arena = grown;
    self->room = size;
    return 0;
}

static rd_kafka_message_t *
next_message(Line *line, int partition)
{
    if (partition + 2 > line->bucket_count) {
        Bucket *more = PyMem_Realloc(line->buckets, (size_t)(partition + 2) * sizeof *more);
        if (more == NULL)
            return NULL;
        memset(more + line->bucket_count, 0, (size_t)(partition + 2 - line->bucket_count) * sizeof *more);
        line->buckets = more;
        line->bucket_count = partition + 2;
    }
    Bucket *bucket = &line->buckets[partition + 1];
    if (bucket->count == bucket->capacity) {
        int wanted = bucket->capacity ? 2 * bucket->capacity : 64;
        rd_kafka_message_t *more = PyMem_Realloc(bucket->messages, (size_t)wanted * sizeof *more);
        if (more == NULL)
            return NULL;
        bucket->messages = more;
        bucket->capacity = wanted;
    }
    rd_kafka_message_t *message = &bucket->messages[bucket->count++];
    memset(message, 0, sizeof *message);
    return message;
}

static int
keep_sample(Producer *self, int kind, const char *value, size_t size)
{
    self->lines[kind].is_sampled = 1;
    PyObject *sample = Py_BuildValue("iy#", kind, value, (Py_ssize_t)size);
    int failed = sample == NULL || PyList_Append(self->samples, sample) < 0;
    Py_XDECREF(sample);
    return failed ? -1 : 0;
}

/* `payload` stays where it is until hand_over(). 1: it waits; 0: it is none, or Python's; -1 with an exception. */
static int
put(Producer *self, uint64_t epoch, uint64_t position, unsigned kind, const char *payload, size_t length,
    const int64_t *counts)
{
    size_t key_size = length ? (unsigned char)payload[0] : 0;
    if (kind >= KINDS || self->lines[kind].topic == NULL || length < 2 || key_size + 1 >= length)
        return 0;
    size_t size = IDENTITY + length - 1 - key_size;
    if (self->used + size > self->room && make_room(self, size) < 0)
        return -1;
    int64_t count = counts[kind]; /* 0: not known, and the client chooses */
    const unsigned char *key = (const unsigned char *)payload + 1;
    int partition = count < 2 ? (int)count - 1 : (int)((murmur2(key, key_size) & 0x7FFFFFFF) % count);
    rd_kafka_message_t *message = next_message(&self->lines[kind], partition);
    if (message == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    char *value = self->arena + self->used;
    value[0] = 1 << 3 | 1; /* fixed64 epoch = 1 */
    memcpy(value + 1, &epoch, 8);
    value[9] = 2 << 3 | 1; /* fixed64 position = 2 */
    memcpy(value + 10, &position, 8);
    memcpy(value + IDENTITY, key + key_size, length - 1 - key_size);
    if (self->samples != NULL && !self->lines[kind].is_sampled && keep_sample(self, (int)kind, value, size) < 0)
        return -1;
    self->used += size;
    message->payload = value;
    message->len = size;
    message->key = (void *)key;
    message->key_len = key_size;
    self->lines[kind].waiting++;
    return 1;
}

/* One number a kind. */
static int
get_counts(PyObject *object, Py_buffer *counts)
{
    if (PyObject_GetBuffer(object, counts, PyBUF_SIMPLE) < 0)
        return -1;
    for (Py_ssize_t kind = 0; counts->len == KINDS * 8 && kind < KINDS; kind++)
        if (((int64_t *)counts->buf)[kind] < 0 || ((int64_t *)counts->buf)[kind] > 1 << 20)
            counts->len = 0;
    if (counts->len == KINDS * 8)
        return 0;
    PyBuffer_Release(counts);
    PyErr_SetString(PyExc_ValueError, "numbers of partitions: 256 int64 from 0 to 1048576");
    return -1;
}

static PyObject *
producer_put(Producer *self, PyObject *args)
{
    PyObject *records, *numbers, *left;
    unsigned long long epoch;
    Py_buffer counts;
    if (!PyArg_ParseTuple(args, "O!KO", &PyList_Type, &records, &epoch, &numbers) || get_counts(numbers, &counts) < 0)
        return NULL;
    if ((left = PyList_New(0)) == NULL)
        goto failed;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(records) && !self->stopped; i++) {
        PyObject *record = PyList_GET_ITEM(records, i), *payload;
        unsigned long long position;
        unsigned kind;
        if (!PyTuple_CheckExact(record)) {
            PyErr_SetString(PyExc_TypeError, "a record is (position, kind, payload)");
            goto failed;
        }
        if (!PyArg_ParseTuple(record, "KIS", &position, &kind, &payload))
            goto failed;
        int waits = put(self, epoch, position, kind, PyBytes_AS_STRING(payload), (size_t)PyBytes_GET_SIZE(payload),
                        counts.buf);
        if (waits < 0 || (waits == 0 && PyList_Append(left, record) < 0))
            goto failed;
    }
    if (hand_over(self) < 0) /* while the records are held */
        goto failed;
    PyBuffer_Release(&counts);
    return left;
failed:
    forget_waiting(self);
    Py_XDECREF(left);
    PyBuffer_Release(&counts);
    return NULL;
}

/* As scan() in ring.c, which says what is a record. */
static PyObject *
put_records(Producer *self, const Py_buffer *map, long long at, long long stop, long long limit, long long lap,
            uint64_t epoch, const int64_t *counts, PyObject *left)
{
    long long end = at, last = -1;
    unsigned long long header = 0;
    PyObject *record = NULL;
    while (at < stop && limit > 0 && !self->stopped) {
        const char *place = (const char *)map->buf + at;
        header = *(const volatile uint64_t *)place;
        long long length = (long long)(header & 0xFFFFFFFF);
        end = at + ((length + 15) & -8);
        if (end > stop || header <= 0xFFFFFFFF || header >= 256ULL << 32)
            break;
        int waits = put(self, epoch, (uint64_t)(at + lap), (unsigned)(header >> 32), place + 8, (size_t)length, counts);
        if (waits < 0)
            return NULL;
        if (waits == 0) {
            record = Py_BuildValue("LKy#", at + lap, header >> 32, place + 8, (Py_ssize_t)length);
            int failed = record == NULL || PyList_Append(left, record) < 0;
            Py_XDECREF(record);
            if (failed)
                return NULL;
        }
        last = at;
        at = end;
        limit--;
    }
    if (hand_over(self) < 0)
        return NULL;
    record = Py_NewRef(Py_None);
    if (last >= 0) {
        const char *place = (const char *)map->buf + last;
        uint64_t begins = *(const volatile uint64_t *)place;
        Py_SETREF(record, Py_BuildValue("LKy#", last + lap, (unsigned long long)(begins >> 32), place + 8,
                                        (Py_ssize_t)(begins & 0xFFFFFFFF)));
    }
    return record == NULL ? NULL : Py_BuildValue("LLKLN", at, end, header, limit, record);
}

static PyObject *
producer_put_ring(Producer *self, PyObject *args)
{
    PyObject *mapping, *numbers, *left, *where = NULL;
    long long at, stop, limit, lap;
    unsigned long long epoch;
    Py_buffer map, counts;
    if (!PyArg_ParseTuple(args, "OLLLLKOO!", &mapping, &at, &stop, &limit, &lap, &epoch, &numbers, &PyList_Type, &left))
        return NULL;
    if (PyObject_GetBuffer(mapping, &map, PyBUF_SIMPLE) < 0)
        return NULL;
    if (at < 0 || at % 8 || stop > map.len)
        PyErr_SetString(PyExc_ValueError, "a place outside of the mapping");
    else if (get_counts(numbers, &counts) == 0) {
        where = put_records(self, &map, at, stop, limit, lap, epoch, counts.buf, left);
        if (where == NULL)
            forget_waiting(self);
        PyBuffer_Release(&counts);
    }
    PyBuffer_Release(&map);
    return where;
}

static PyObject *
producer_take(Producer *self, PyObject *unused)
{
    PyObject *taken = PyDict_New();
    for (int kind = 0; taken != NULL && kind < KINDS; kind++) {
        if (!self->lines[kind].queued)
            continue;
        PyObject *number = PyLong_FromLong(kind), *count = PyLong_FromLongLong(self->lines[kind].queued);
        if (number == NULL || count == NULL || PyDict_SetItem(taken, number, count) < 0)
            Py_CLEAR(taken);
        Py_XDECREF(number);
        Py_XDECREF(count);
        self->lines[kind].queued = 0;
    }
    return taken;
}

static PyObject *
producer_sample(Producer *self, PyObject *unused)
{
    PyObject *samples = PyList_New(0);
    if (samples == NULL)
        return NULL;
    for (int kind = 0; kind < KINDS; kind++)
        self->lines[kind].is_sampled = 0;
    Py_XSETREF(self->samples, samples);
    Py_RETURN_NONE;
}

static PyObject *
producer_take_samples(Producer *self, PyObject *unused)
{
    PyObject *samples = self->samples;
    self->samples = NULL;
    return samples != NULL ? samples : PyList_New(0);
}

static rd_kafka_headers_t *
new_headers(PyObject *pairs)
{
    rd_kafka_headers_t *headers = lib.headers_new((size_t)PyList_GET_SIZE(pairs));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(pairs); i++) {
        const char *name, *value;
        Py_ssize_t size;
        PyObject *pair = PyList_GET_ITEM(pairs, i);
        if (!PyTuple_Check(pair))
            PyErr_SetString(PyExc_TypeError, "a header is (name, bytes)");
        if (!PyTuple_Check(pair) || !PyArg_ParseTuple(pair, "sy#", &name, &value, &size)) {
            lib.headers_destroy(headers);
            return NULL;
        }
        lib.header_add(headers, name, -1, value, size);
    }
    return headers;
}

static PyObject *
producer_send(Producer *self, PyObject *args)
{
    const char *topic, *key, *value;
    Py_ssize_t key_size, size;
    int partition;
    PyObject *pairs;
    if (!PyArg_ParseTuple(args, "siy#y#O!", &topic, &partition, &key, &key_size, &value, &size, &PyList_Type, &pairs))
        return NULL;
    rd_kafka_headers_t *headers = NULL;
    if (PyList_GET_SIZE(pairs) && (headers = new_headers(pairs)) == NULL)
        return NULL;
    int code = headers == NULL
                   ? lib.producev(self->base.client, V_TOPIC, topic, V_PARTITION, (int32_t)partition, V_FLAGS,
                                  (int)RD_KAFKA_MSG_F_COPY, V_KEY, key, (size_t)key_size, V_VALUE, value, (size_t)size,
                                  V_END)
                   : lib.producev(self->base.client, V_TOPIC, topic, V_PARTITION, (int32_t)partition, V_FLAGS,
                                  (int)RD_KAFKA_MSG_F_COPY, V_KEY, key, (size_t)key_size, V_VALUE, value, (size_t)size,
                                  V_HEADERS, headers, V_END);
    if (code && headers != NULL)
        lib.headers_destroy(headers); /* the library's own once it has taken the message */
    return PyLong_FromLong(code);
}

/* -- and out */

static PyObject *
producer_wait(Producer *self, PyObject *seconds, int (*wait)(rd_kafka_t *, int), int wants_result)
{
    int result, most = client_milliseconds(seconds);
    if (most < 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    result = wait(self->base.client, most);
    Py_END_ALLOW_THREADS
    if (self->base.is_deaf)
        return PyErr_NoMemory();
    return PyLong_FromLong(wants_result ? result : lib.outq_len(self->base.client));
}

static PyObject *
producer_flush(Producer *self, PyObject *seconds)
{
    return producer_wait(self, seconds, lib.flush, 0);
}

static PyObject *
producer_poll(Producer *self, PyObject *seconds)
{
    return producer_wait(self, seconds, lib.poll, 1);
}

static PyObject *
producer_purge(Producer *self, PyObject *unused)
{
    Py_BEGIN_ALLOW_THREADS
    lib.purge(self->base.client, RD_KAFKA_PURGE_ALL);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static Py_ssize_t
producer_length(Producer *self)
{
    return lib.outq_len(self->base.client);
}

/* -- its life */

static int
open_client(Producer *self, PyObject *settings)
{
    rd_kafka_conf_t *conf = client_conf(&self->base, settings);
    if (conf == NULL)
        return -1;
    lib.conf_set_dr_msg_cb(conf, on_report);
    return client_start(&self->base, RD_KAFKA_PRODUCER, conf);
}

static int
read_topics(Producer *self, PyObject *topics)
{
    PyObject *key, *value;
    Py_ssize_t at = 0;
    while (PyDict_Next(topics, &at, &key, &value)) {
        long kind = PyLong_AsLong(key);
        const char *name = kind == -1 && PyErr_Occurred() ? NULL : PyUnicode_AsUTF8(value);
        if (name == NULL)
            return -1;
        if (kind < 1 || kind >= KINDS) {
            PyErr_SetObject(PyExc_KeyError, key);
            return -1;
        }
        if ((self->lines[kind].topic = PyMem_Malloc(strlen(name) + 1)) == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        strcpy(self->lines[kind].topic, name);
    }
    return 0;
}

static PyObject *
producer_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *settings, *topics;
    if (!PyArg_ParseTuple(args, "O!O!", &PyDict_Type, &settings, &PyDict_Type, &topics))
        return NULL;
    Producer *self = (Producer *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->base.told = PyList_New(0);
    self->refused = PyList_New(0);
    self->arena = PyMem_Malloc(self->room = ARENA);
    if (self->arena == NULL)
        PyErr_NoMemory();
    if (self->arena == NULL || self->refused == NULL || self->base.told == NULL || read_topics(self, topics) < 0 ||
        open_client(self, settings) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void
producer_dealloc(Producer *self)
{
    self->base.is_closing = 1;
    Py_BEGIN_ALLOW_THREADS /* its threads may be waiting to tell something */
    for (int kind = 0; kind < KINDS; kind++)
        if (self->lines[kind].handle != NULL)
            lib.topic_destroy(self->lines[kind].handle);
    if (self->base.client != NULL)
        lib.destroy(self->base.client);
    Py_END_ALLOW_THREADS
    for (int kind = 0; kind < KINDS; kind++) {
        Line *line = &self->lines[kind];
        for (int i = 0; i < line->bucket_count; i++)
            PyMem_Free(line->buckets[i].messages);
        PyMem_Free(line->buckets);
        PyMem_Free(line->topic);
    }
    PyMem_Free(self->arena);
    Py_XDECREF(self->base.told);
    Py_XDECREF(self->refused);
    Py_XDECREF(self->samples);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef producer_methods[] = {
    {"put", (PyCFunction)producer_put, METH_VARARGS,
     "put(records, epoch, counts): queue them; returns those that are none, or whose kind has no topic."},
    {"put_ring", (PyCFunction)producer_put_ring, METH_VARARGS,
     "put_ring(mapping, at, stop, limit, lap, epoch, counts, left): queue what lies there; returns (place, end, header, "
     "limit, last record) where it stopped."},
    {"take", (PyCFunction)producer_take, METH_NOARGS, "{kind: records handed to librdkafka} since the last call."},
    {"sample", (PyCFunction)producer_sample, METH_NOARGS, "From now on keep the first message of each kind."},
    {"take_samples", (PyCFunction)producer_take_samples, METH_NOARGS, "[(kind, value)] of them; no more are kept."},
    {"send", (PyCFunction)producer_send, METH_VARARGS, "send(topic, partition, key, value, headers): an error code."},
    {"flush", (PyCFunction)producer_flush, METH_O, "flush(seconds): how many messages are not acknowledged."},
    {"poll", (PyCFunction)producer_poll, METH_O, "poll(seconds): how many callbacks were called."},
    {"purge", (PyCFunction)producer_purge, METH_NOARGS, "Forget what is queued and in flight."},
    {"metadata", (PyCFunction)client_metadata, METH_O, "metadata(seconds): an error code, 0 when a broker answered."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef producer_members[] = {
    {"told", T_OBJECT_EX, offsetof(Client, told), READONLY,
     "(\"failed\", code, text, topic, key, value, headers), (\"error\", code, text, is fatal), (\"log\", syslog level, "
     "facility, client, text), to be cleared."},
    {"refused", T_OBJECT_EX, offsetof(Producer, refused), READONLY, "(kind, code, key, value), to be cleared."},
    {NULL, 0, 0, 0, NULL},
};

static PySequenceMethods producer_sequence = {.sq_length = (lenfunc)producer_length};

static PyTypeObject Producer_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "wsadapter.native._native.Producer",
    .tp_basicsize = sizeof(Producer),
    .tp_dealloc = (destructor)producer_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Producer({setting: text}, {kind: topic}); ValueError(code, text) for settings that librdkafka refuses.",
    .tp_as_sequence = &producer_sequence,
    .tp_methods = producer_methods,
    .tp_members = producer_members,
    .tp_new = producer_new,
};

int
add_producer(PyObject *module)
{
    if (PyType_Ready(&Producer_Type) < 0)
        return -1;
    return PyModule_AddObjectRef(module, "Producer", (PyObject *)&Producer_Type);
}
