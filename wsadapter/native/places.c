/* Partitions with an offset each, from Python and to it. */
#include "places.h"

#include <string.h>

rd_kafka_topic_partition_list_t *
list_of(PyObject *places)
{
    rd_kafka_topic_partition_list_t *list = lib.topic_partition_list_new((int)PyList_GET_SIZE(places));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(places); i++) {
        const char *topic, *metadata;
        int partition;
        long long offset;
        PyObject *place = PyList_GET_ITEM(places, i);
        if (!PyTuple_Check(place))
            PyErr_SetString(PyExc_TypeError, "a place is (topic, partition, offset, metadata)");
        if (!PyTuple_Check(place) || !PyArg_ParseTuple(place, "siLz", &topic, &partition, &offset, &metadata))
            goto failed;
        rd_kafka_topic_partition_t *added = lib.topic_partition_list_add(list, topic, partition);
        added->offset = offset;
        if (metadata != NULL && (added->metadata = strdup(metadata)) == NULL) {
            PyErr_NoMemory();
            goto failed;
        }
        /* its end is a part of it: confluent-kafka reads what was committed as far as that */
        added->metadata_size = metadata == NULL ? 0 : strlen(metadata) + 1;
    }
    return list;
failed:
    lib.topic_partition_list_destroy(list);
    return NULL;
}

PyObject *
new_places(const rd_kafka_topic_partition_list_t *list)
{
    int count = list == NULL ? 0 : list->cnt;
    PyObject *places = PyList_New(count);
    for (int i = 0; places != NULL && i < count; i++) {
        const rd_kafka_topic_partition_t *at = &list->elems[i];
        size_t size = at->metadata == NULL ? 0 : strnlen(at->metadata, at->metadata_size);
        PyObject *metadata = at->metadata == NULL ? Py_NewRef(Py_None)
                                                  : PyUnicode_DecodeUTF8(at->metadata, (Py_ssize_t)size,
                                                                         "replace"); /* another tool's, perhaps */
        PyObject *place = Py_BuildValue("siLNi", at->topic, (int)at->partition, (long long)at->offset, metadata, at->err);
        if (place == NULL)
            Py_CLEAR(places);
        else
            PyList_SET_ITEM(places, i, place);
    }
    return places;
}
