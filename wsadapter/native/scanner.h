/* What wsadapter/exchanges/scanner.py tells of a session's venue, and what the parts of the scanner do with a message.
 *
 * Nothing here knows a venue. All that is borrowed from what was told lives as long as `Scanner.tables`.
 */
#ifndef WSADAPTER_SCANNER_H
#define WSADAPTER_SCANNER_H
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include "json.h"
#include "levels.h"
#include "publisher.h"

enum { TEXT, INTEGER, FLAG, RAW, INNER, LEVELS, DATA, TAG, TYPES };
enum { REQUIRED = 1, NULLABLE = 2, LAX = 4 };
enum { CONSTANT, GIVEN, SAME, OR_NONE, MS, AS_TEXT, COUNT, DECIMAL, DECIMAL_OR_NONE, SIGNED_OR_NONE, SUBSCRIBED, TIME,
       PLAIN_NUMBER, NUMBER_OR_NONE, SIGNED_NUMBER_OR_NONE, ISO, MAPPED, EITHER, ADDED, COLUMN, APPLIED, CLOSES, FIRST,
       MS_TEXT, TOP, OFFERED, CLOSES_ISO, ONE, MAGNITUDE, SIGN, STEPS };
enum { ANY, NEXT, COUNTED, RISING, CHAINED, RENEWED, OPEN_CANDLE, CHECKED, RULES };
enum { MAX_FIELDS = 64, MAX_STEPS = 48, MAX_EMITS = 8, MAX_NAME = 160, MAX_PARTS = 8, MAX_SEEN = 32, MAX_ONCE = 4,
       MOST_RECORDS = 256 };

typedef struct Shape Shape;

typedef struct {
    const char *name;
    Py_ssize_t length;
    int type, flags, slot;
    long long low, high; /* of an integer, of the length of a text */
    Shape *inner;
    Spelling spelling;
    PyObject *tag; /* the text that it must have; of a TEXT: those that it may have, or None */
} Field;

/* What the key at a place was in the last message: mostly it is so in the next. */
typedef struct {
    char name[15];
    unsigned char length;
    int field; /* -1: none of ours */
} Seen;

struct Shape {
    int count, is_list;
    uint64_t required;
    Field *fields;
    Seen seen[MAX_SEEN];
};

typedef struct Step Step;
struct Step {
    int op, slot, place; /* place: among what is given, what a subscription says, or the columns of a side */
    long long factor;    /* of a time, or what is added */
    PyObject *constant;  /* also: the pairs of a table; the text that decides between two steps */
    Step *then, *other;
};

typedef struct {
    PyTypeObject *event;
    int count;
    Step *steps;
    int rule, number, previous, counted; /* slots; -1: none */
    int kind, limit;                     /* fields of a book: the type of update, the levels; -1: none */
    int interval, closed, opened;        /* fields of a candle; opened -1: the venue says when one is closed */
    PyObject *delta;                     /* the type of update that goes on */
    int checksum, best;                  /* of a book that is kept: slot of its checksum, of so many levels; best 0: none */
    int columns;                         /* its first column, a field of the event */
    int when, word;                      /* 0 = always; only of elements with this text in slot `word` (1 is, 2 has, 4 is not),
                                            3 = one of the fields of `offers` is more than nothing */
    PyObject *text;
    uint64_t offers;
    int refuse; /* slot; -1: none. What has this text there is no event */
    PyObject *refused;
    PyObject *published; /* symbol -> values of the once fields that the last event had; NULL: every time */
    int once[MAX_ONCE], once_count;
    int apart;                           /* several in a message are told apart by the session */
    int back;                            /* how far before `previous` the number is that the event goes on from */
    PyObject *count_by, *times;            /* of events without ids: what gives the ordinal; series -> time -> ordinal */
    Py_ssize_t transaction_time, event_time, update_type, ordinal; /* fields of an event that is counted */
    PyObject *expected;                                            /* its type of update; None: it has none */
    uint64_t on_change, needs, raw;                                /* by slot of the element; raw: those of `needs` that only have to be there */
    const Layout *layout; /* of its record; index: of that among the publisher's */
    uint64_t fixed, consulted; /* by field: those that all events of a stream have alike, those that rules look at */
    int index, transaction_time_at, event_time_at, update_type_at, ordinal_at; /* places of an event's fields */
} Emit;

typedef struct {
    int slot; /* -1: no value behind this text */
    const char *text;
    Py_ssize_t length;
} Part;

typedef struct {
    Shape *shape;
    int slots, many, emits; /* many: a list of elements */
    int backwards;          /* the newest element comes first */
    int identity, most;     /* slot of what tells elements apart that may come again, so many are known; -1: none do */
    int named, guard;       /* slots of what must be the stream's symbol, and of what must not be `unwanted`; -1: none */
    long long unwanted;
    PyObject *known;        /* stream -> the identities that are */
    Value *row; /* as it is before anything is read */
    Emit *emit;
    PyTypeObject *wire;                  /* of a stream that sends what changed */
    Py_ssize_t *offsets;                 /* of its fields, by slot */
    Part part[MAX_PARTS];                /* of the name that an element's fields make, where they do */
    int parts;
    int changing;                        /* envelope slot that says whether it is all; -1: no such stream */
    PyObject *everything;                /* the text that says so */
    uint64_t changes;                    /* slots of the fields that are kept */
    int recorded;                        /* its events go to `Scanner.publisher`, and their records may be made at once */
} Table;

/* What all records of a stream have alike: the key with the fields behind it, and each other run of such fields. */
typedef struct {
    Output octets;
    int runs;
    struct {
        int first, behind; /* fields */
        size_t end;        /* in `octets` */
    } run[MAX_STEPS];
} Fixed;

typedef struct {
    PyObject *name, *said, *key; /* said: what the subscription says; key: of its state */
    const char *text, *symbol;   /* text: what its messages name */
    Py_ssize_t length, symbol_length;
    PyObject *symbol_object;
    Table *table;
    PyObject *series[MAX_EMITS];  /* NULL: this event is not wanted */
    PyObject *counted[MAX_EMITS]; /* what the times of its events are kept by */
    Fixed *fixed[MAX_EMITS];      /* NULL: not made yet */
    uint32_t hash;
} Stream;

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *tables, *otherwise, *connection, *received, *outages, *unheard, *states;
    Shape *envelope;
    Value *before; /* of the envelope */
    int slots, parts, count, mask, alone; /* alone: a message is its element; 2: that has the envelope's fields, too */
    int numbered;      /* slot of the number that each message of the connection has; -1: none has */
    PyObject *message; /* whose member `last` is that of the last one */
    Py_ssize_t last;
    Part part[MAX_PARTS];
    uint64_t naming; /* the envelope's fields that make the stream's name, where nothing else of it is wanted */
    Table *table;
    int table_count;
    PyObject *handlers; /* type of event -> who takes it */
    Publisher *publisher;
    Stream *streams;
    int *places; /* hash table: stream or -1 */
    PyTypeObject *series;
    Py_ssize_t next, top, at_ns, gap_ns, grid, waiting, pending;
    PyTypeObject *book; /* what is kept where a checksum proves it */
    Py_ssize_t bids, asks, levels;
    PyTypeObject *candle;
    Py_ssize_t opened;
    /* of the message at hand */
    Value *values; /* envelope, then elements */
    Py_ssize_t capacity, elements;
    const char *data;
    Stream *stream;
    Sides sides;
    char scratch[MAX_STEPS][LONGEST_DECIMAL]; /* decimals that are not as they came, of the event at hand */
    int scratched;
    Output records;
    struct {
        size_t end;
        int index;
    } record[MOST_RECORDS];
    int made;
    void **owned;
    int owned_count;
} Scanner;

static inline PyObject **
slot_of(PyObject *owner, Py_ssize_t offset)
{
    return (PyObject **)((char *)owner + offset);
}

/* The values of an event that is being made. */
typedef struct {
    const Stream *stream;
    const Value *envelope, *row; /* row: numbered behind the envelope's slots */
    PyObject *given[3];          /* receive time, connection, time of the last gap */
    long long received;          /* the first of them, where records are made */
    int recorded;
    PyObject *columns[2][2];     /* of the sides in these slots */
    int sides[2];
    PyObject *identities; /* of elements that may come again */
} Making;

/* What the message's events do to a series. */
typedef struct {
    long long next;
    int known, moved, is_top;
    PyObject *candle; /* the last one, where the next one closes it; borrowed */
    PyObject *once;   /* what the last event has, of those that come when that changes */
    int made;
    PyObject *time; /* of the event that is counted, where its record is made; its ordinal */
    long long ordinal;
} Position;

static inline int
is_text(const Value *value, PyObject *text)
{
    return (value->kind == STRING_VALUE || value->kind == WHOLE_VALUE) && value->length == PyBytes_GET_SIZE(text) &&
           memcmp(value->at, PyBytes_AS_STRING(text), value->length) == 0;
}

static inline PyObject *
text_of(const char *at, Py_ssize_t length)
{
    PyObject *made = PyUnicode_New(length, 127);
    if (made != NULL)
        memcpy(PyUnicode_1BYTE_DATA(made), at, length);
    return made;
}

static inline int
append(PyObject *items, PyObject *event)
{
    if (event == NULL)
        return -1;
    int done = PyList_Append(items, event);
    Py_DECREF(event);
    return done;
}

static inline const Value *
value_at(const Scanner *self, const Making *making, int slot)
{
    return (slot < self->slots ? making->envelope : making->row) + slot;
}

static inline uint32_t
hash_of(const char *text, Py_ssize_t length)
{
    uint64_t hash = (uint64_t)length, word;
    for (; length > 0; text += 8, length -= 8) {
        word = 0;
        memcpy(&word, text, length < 8 ? (size_t)length : 8);
        hash = (hash ^ word) * 0x9E3779B97F4A7C15ULL;
        hash ^= hash >> 32;
    }
    return (uint32_t)hash;
}

/* scanner_tables.c: reads `tables`. 0, or -1 with an exception. */
int read_tables(Scanner *self);
/* scanner_handlers.c */
PyObject *get_handlers(Scanner *self, void *unused);
int set_handlers(Scanner *self, PyObject *handlers, void *unused);
void forget_fixed(Scanner *self);
Py_ssize_t offset_of(PyObject *member);
#endif
