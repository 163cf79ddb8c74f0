/* What is used of librdkafka's public C API (rdkafka.h, stable since 1.0): its types, numbers and functions by name.
 *
 * The library is not linked with: `LIBRDKAFKA` lists the functions, and kafka_client.c finds each of them in the library
 * that confluent-kafka's own module is linked with.
 */
#ifndef WSADAPTER_LIBRDKAFKA_H
#define WSADAPTER_LIBRDKAFKA_H
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct rd_kafka_s rd_kafka_t;
typedef struct rd_kafka_topic_s rd_kafka_topic_t;
typedef struct rd_kafka_conf_s rd_kafka_conf_t;
typedef struct rd_kafka_headers_s rd_kafka_headers_t;
typedef struct rd_kafka_queue_s rd_kafka_queue_t;
typedef struct rd_kafka_error_s rd_kafka_error_t;
struct rd_kafka_metadata;

typedef struct {
    int err;
    rd_kafka_topic_t *rkt;
    int32_t partition;
    void *payload;
    size_t len;
    void *key;
    size_t key_len;
    int64_t offset;
    void *_private;
} rd_kafka_message_t;

typedef struct {
    char *topic;
    int32_t partition;
    int64_t offset;
    void *metadata; /* the library frees it */
    size_t metadata_size;
    void *opaque;
    int err;
    void *_private;
} rd_kafka_topic_partition_t;

typedef struct {
    int cnt, size;
    rd_kafka_topic_partition_t *elems;
} rd_kafka_topic_partition_list_t;

typedef void (*rd_kafka_report_cb)(rd_kafka_t *, const rd_kafka_message_t *, void *);
typedef void (*rd_kafka_error_cb)(rd_kafka_t *, int, const char *, void *);
typedef void (*rd_kafka_log_cb)(const rd_kafka_t *, int, const char *, const char *);
typedef void (*rd_kafka_rebalance_cb)(rd_kafka_t *, int, rd_kafka_topic_partition_list_t *, void *);
typedef void (*rd_kafka_commit_cb)(rd_kafka_t *, int, rd_kafka_topic_partition_list_t *, void *);
typedef int (*rd_kafka_stats_cb)(rd_kafka_t *, char *, size_t, void *);

enum { RD_KAFKA_PRODUCER = 0, RD_KAFKA_CONSUMER = 1, RD_KAFKA_CONF_OK = 0 };
enum { RD_KAFKA_MSG_F_COPY = 2, RD_KAFKA_PURGE_ALL = 1 | 2 };
enum { RD_KAFKA_ERR_FATAL = -150, RD_KAFKA_ERR_ASSIGN = -175, RD_KAFKA_ERR_INVALID_ARG = -186, RD_KAFKA_ERR_MSG_SIZE_TOO_LARGE = 10 };
enum { V_END = 0, V_TOPIC = 1, V_PARTITION = 3, V_VALUE = 4, V_KEY = 5, V_FLAGS = 7, V_HEADERS = 10 };

/* result, name behind "rd_kafka_", parameters */
#define LIBRDKAFKA(F)                                                                                                  \
    F(int, version, (void))                                                                                            \
    F(rd_kafka_conf_t *, conf_new, (void))                                                                             \
    F(void, conf_destroy, (rd_kafka_conf_t *))                                                                         \
    F(int, conf_set, (rd_kafka_conf_t *, const char *, const char *, char *, size_t))                                  \
    F(void, conf_set_opaque, (rd_kafka_conf_t *, void *))                                                              \
    F(void, conf_set_dr_msg_cb, (rd_kafka_conf_t *, rd_kafka_report_cb))                                               \
    F(void, conf_set_error_cb, (rd_kafka_conf_t *, rd_kafka_error_cb))                                                 \
    F(void, conf_set_log_cb, (rd_kafka_conf_t *, rd_kafka_log_cb))                                                     \
    F(rd_kafka_t *, new, (int, rd_kafka_conf_t *, char *, size_t))                                                     \
    F(void, destroy, (rd_kafka_t *))                                                                                   \
    F(void *, opaque, (const rd_kafka_t *))                                                                            \
    F(const char *, name, (const rd_kafka_t *))                                                                        \
    F(int, set_log_queue, (rd_kafka_t *, void *))                                                                      \
    F(int, last_error, (void))                                                                                         \
    F(int, fatal_error, (rd_kafka_t *, char *, size_t))                                                                \
    F(rd_kafka_topic_t *, topic_new, (rd_kafka_t *, const char *, void *))                                             \
    F(void, topic_destroy, (rd_kafka_topic_t *))                                                                       \
    F(const char *, topic_name, (const rd_kafka_topic_t *))                                                            \
    F(int, produce_batch, (rd_kafka_topic_t *, int32_t, int, rd_kafka_message_t *, int))                               \
    F(int, producev, (rd_kafka_t *, ...))                                                                              \
    F(rd_kafka_headers_t *, headers_new, (size_t))                                                                     \
    F(void, headers_destroy, (rd_kafka_headers_t *))                                                                   \
    F(int, header_add, (rd_kafka_headers_t *, const char *, ssize_t, const void *, ssize_t))                           \
    F(int, header_get_all, (const rd_kafka_headers_t *, size_t, const char **, const void **, size_t *))               \
    F(int, message_headers, (const rd_kafka_message_t *, rd_kafka_headers_t **))                                       \
    F(const char *, err2str, (int))                                                                                    \
    F(int, flush, (rd_kafka_t *, int))                                                                                 \
    F(int, poll, (rd_kafka_t *, int))                                                                                  \
    F(int, purge, (rd_kafka_t *, int))                                                                                 \
    F(int, outq_len, (rd_kafka_t *))                                                                                   \
    F(int, metadata, (rd_kafka_t *, int, rd_kafka_topic_t *, const struct rd_kafka_metadata **, int))                  \
    F(void, metadata_destroy, (const struct rd_kafka_metadata *))                                                      \
    F(void, conf_set_rebalance_cb, (rd_kafka_conf_t *, rd_kafka_rebalance_cb))                                         \
    F(void, conf_set_offset_commit_cb, (rd_kafka_conf_t *, rd_kafka_commit_cb))                                        \
    F(void, conf_set_stats_cb, (rd_kafka_conf_t *, rd_kafka_stats_cb))                                                 \
    F(int, poll_set_consumer, (rd_kafka_t *))                                                                          \
    F(rd_kafka_queue_t *, queue_get_consumer, (rd_kafka_t *))                                                          \
    F(void, queue_destroy, (rd_kafka_queue_t *))                                                                       \
    F(ssize_t, consume_batch_queue, (rd_kafka_queue_t *, int, rd_kafka_message_t **, size_t))                          \
    F(void, message_destroy, (rd_kafka_message_t *))                                                                   \
    F(int64_t, message_timestamp, (const rd_kafka_message_t *, int *))                                                 \
    F(const char *, message_errstr, (const rd_kafka_message_t *))                                                      \
    F(rd_kafka_topic_partition_list_t *, topic_partition_list_new, (int))                                              \
    F(void, topic_partition_list_destroy, (rd_kafka_topic_partition_list_t *))                                         \
    F(rd_kafka_topic_partition_t *, topic_partition_list_add, (rd_kafka_topic_partition_list_t *, const char *,        \
                                                               int32_t))                                               \
    F(int, subscribe, (rd_kafka_t *, const rd_kafka_topic_partition_list_t *))                                         \
    F(int, assign, (rd_kafka_t *, const rd_kafka_topic_partition_list_t *))                                            \
    F(rd_kafka_error_t *, incremental_assign, (rd_kafka_t *, const rd_kafka_topic_partition_list_t *))                 \
    F(rd_kafka_error_t *, incremental_unassign, (rd_kafka_t *, const rd_kafka_topic_partition_list_t *))               \
    F(int, assignment, (rd_kafka_t *, rd_kafka_topic_partition_list_t **))                                             \
    F(int, assignment_lost, (rd_kafka_t *))                                                                            \
    F(int, pause_partitions, (rd_kafka_t *, rd_kafka_topic_partition_list_t *))                                        \
    F(int, resume_partitions, (rd_kafka_t *, rd_kafka_topic_partition_list_t *))                                       \
    F(int, offsets_for_times, (rd_kafka_t *, rd_kafka_topic_partition_list_t *, int))                                  \
    F(int, committed, (rd_kafka_t *, rd_kafka_topic_partition_list_t *, int))                                          \
    F(int, commit, (rd_kafka_t *, const rd_kafka_topic_partition_list_t *, int))                                       \
    F(int, get_watermark_offsets, (rd_kafka_t *, const char *, int32_t, int64_t *, int64_t *))                         \
    F(int, consumer_close, (rd_kafka_t *))                                                                             \
    F(int, error_code, (const rd_kafka_error_t *))                                                                     \
    F(void, error_destroy, (rd_kafka_error_t *))

typedef struct {
#define MEMBER(result, name, parameters) result(*name) parameters;
    LIBRDKAFKA(MEMBER)
#undef MEMBER
} Librdkafka;

extern Librdkafka lib;
#endif
