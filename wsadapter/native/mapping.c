/* Wire Structs to events, in C: the fast half of wsadapter/exchanges/mapping.py.
 *
 * Nothing here knows a venue or an event type: a Conversion is a list of steps, one for each field of the event, told by
 * the exchange module. A value that is no plain decimal makes the answer NotPlain, as in Python.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include "decimals.h"
#include "parts.h"

enum { CONSTANT, GIVEN, SAME, OR_NONE, MS, AS_TEXT, COUNT, DECIMAL, DECIMAL_OR_NONE, SIGNED_OR_NONE, STEPS };
enum { MAX_STEPS = 48, GIVEN_COUNT = 3, MAX_GIVEN = MAX_STEPS };

typedef struct {
    int op, given;
    Py_ssize_t outer, inner; /* places in the wire Struct, and in the Struct that lies there; inner -1: none */
    PyTypeObject *inner_type;
    PyObject *constant;
} Step;

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyTypeObject *wire;
    PyObject *event, *not_plain, *name;
    int given; /* GIVEN_COUNT and op this conversion wants besides */
    int count;
    Step steps[MAX_STEPS];
} Conversion;

static inline int
is_plain(PyObject *text, int signs)
{
    if (!PyUnicode_CheckExact(text) || !PyUnicode_IS_COMPACT_ASCII(text))
        return 0;
    const char *at = (const char *)PyUnicode_1BYTE_DATA(text), *stop = at + PyUnicode_GET_LENGTH(text);
    if (signs && at < stop && *at == '-')
        at++;
    return after_plain(at, stop) == stop;
}

/* A new reference; NULL with an exception, or NULL without one where a decimal is not plain. */
static PyObject *
step_value(const Step *step, PyObject *wire, PyObject *const *given)
{
    if (step->op == CONSTANT)
        return Py_NewRef(step->constant);
    if (step->op == GIVEN)
        return Py_NewRef(given[step->given]);
    PyObject *value = *(PyObject **)((char *)wire + step->outer);
    if (value != NULL && step->inner >= 0) {
        if (!PyObject_TypeCheck(value, step->inner_type)) {
            PyErr_Format(PyExc_TypeError, "%.100s where a %.100s belongs", Py_TYPE(value)->tp_name,
                         step->inner_type->tp_name);
            return NULL;
        }
        value = *(PyObject **)((char *)value + step->inner);
    }
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "a field of the wire Struct is not set");
        return NULL;
    }
    switch (step->op) {
    case SAME:
        return Py_NewRef(value);
    case OR_NONE:
        return Py_NewRef(value == Py_None || !PyUnicode_Check(value) || PyUnicode_GET_LENGTH(value) ? value : Py_None);
    case DECIMAL_OR_NONE:
    case SIGNED_OR_NONE:
        if (value == Py_None || (PyUnicode_Check(value) && PyUnicode_GET_LENGTH(value) == 0))
            return Py_NewRef(Py_None);
        return is_plain(value, step->op == SIGNED_OR_NONE) ? Py_NewRef(value) : NULL;
    case DECIMAL:
        return is_plain(value, 0) ? Py_NewRef(value) : NULL;
    }
    if (value == Py_None)
        return Py_NewRef(Py_None);
    long long number = PyLong_AsLongLong(value);
    if (number == -1 && PyErr_Occurred())
        return NULL;
    switch (step->op) {
    case MS:
        if (number > LLONG_MAX / 1000000 || number < LLONG_MIN / 1000000) {
            PyErr_SetString(PyExc_OverflowError, "a time beyond 64 bits of nanoseconds");
            return NULL;
        }
        return PyLong_FromLongLong(number * 1000000);
    case COUNT:
        return Py_NewRef(number < 0 ? Py_None : value);
    default: { /* AS_TEXT */
        char digits[24], *at = digits + sizeof digits;
        unsigned long long left = number < 0 ? 0ULL - (unsigned long long)number : (unsigned long long)number;
        do
            *--at = (char)('0' + left % 10);
        while (left /= 10);
        if (number < 0)
            *--at = '-';
        return PyUnicode_FromKindAndData(PyUnicode_1BYTE_KIND, at, digits + sizeof digits - at);
    }
    }
}

/* given: receive time, connection, time of the last gap, and op else the conversion wants. */
static PyObject *
make_event(Conversion *self, PyObject *wire, PyObject *const *given)
{
    PyObject *values[MAX_STEPS + 1], *event = NULL;
    int made = 0;
    while (made < self->count && (values[made + 1] = step_value(&self->steps[made], wire, given)) != NULL)
        made++;
    if (made == self->count)
        event = PyObject_Vectorcall(self->event, values + 1, (size_t)made | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    else if (!PyErr_Occurred())
        PyErr_SetObject(self->not_plain, self->name);
    for (int i = 1; i <= made; i++)
        Py_DECREF(values[i]);
    return event;
}

static PyObject *
conversion_call(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *names)
{
    Conversion *self = (Conversion *)callable;
    if (PyVectorcall_NARGS(nargsf) != 1 + self->given || names != NULL) {
        PyErr_SetString(PyExc_TypeError, "a conversion takes a wire Struct and op is given");
        return NULL;
    }
    if (Py_TYPE(args[0]) != self->wire) {
        PyErr_Format(PyExc_TypeError, "%.100s is not the wire Struct of this conversion", Py_TYPE(args[0])->tp_name);
        return NULL;
    }
    return make_event(self, args[0], args + 1);
}

/* `owner`: the type whose member it must be, or NULL. */
static Py_ssize_t
member_offset(PyObject *descriptor, PyTypeObject *owner)
{
    if (!Py_IS_TYPE(descriptor, &PyMemberDescr_Type) ||
        ((PyMemberDescrObject *)descriptor)->d_member->type != T_OBJECT_EX ||
        (owner != NULL && !PyType_IsSubtype(owner, PyDescr_TYPE(descriptor)))) {
        PyErr_SetString(PyExc_TypeError, "a field is no member of its type");
        return -1;
    }
    return ((PyMemberDescrObject *)descriptor)->d_member->offset;
}

static int
read_step(PyObject *described, PyTypeObject *wire, int given, Step *step)
{
    PyObject *outer, *inner;
    if (!PyArg_ParseTuple(described, "iiOOO", &step->op, &step->given, &outer, &inner, &step->constant))
        return -1;
    if (step->op < 0 || step->op >= STEPS || step->given < 0 || step->given >= given) {
        PyErr_SetString(PyExc_ValueError, "no such step");
        return -1;
    }
    step->outer = step->inner = -1;
    if (step->op > GIVEN) {
        if ((step->outer = member_offset(outer, wire)) < 0)
            return -1;
        if (inner != Py_None) {
            if ((step->inner = member_offset(inner, NULL)) < 0)
                return -1;
            step->inner_type = PyDescr_TYPE(inner); /* lives as long as the wire Struct that names it */
        }
    }
    Py_INCREF(step->constant);
    return 0;
}

static PyObject *
conversion_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *wire, *event, *steps, *not_plain, *name;
    int given;
    if (!PyArg_ParseTuple(args, "O!OO!OOi", &PyType_Type, &wire, &event, &PyTuple_Type, &steps, &not_plain, &name,
                          &given))
        return NULL;
    if (PyTuple_GET_SIZE(steps) > MAX_STEPS || given < GIVEN_COUNT || given > MAX_GIVEN) {
        PyErr_SetString(PyExc_ValueError, "too many steps, or values given");
        return NULL;
    }
    Conversion *self = (Conversion *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->vectorcall = conversion_call;
    self->wire = (PyTypeObject *)Py_NewRef(wire);
    self->event = Py_NewRef(event);
    self->not_plain = Py_NewRef(not_plain);
    self->name = Py_NewRef(name);
    self->given = given;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(steps); i++) {
        if (read_step(PyTuple_GET_ITEM(steps, i), self->wire, given, &self->steps[i]) < 0) {
            Py_DECREF(self);
            return NULL;
        }
        self->count++;
    }
    return (PyObject *)self;
}

static void
conversion_dealloc(Conversion *self)
{
    for (int i = 0; i < self->count; i++)
        Py_DECREF(self->steps[i].constant);
    Py_XDECREF(self->wire);
    Py_XDECREF(self->event);
    Py_XDECREF(self->not_plain);
    Py_XDECREF(self->name);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyTypeObject Conversion_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "wsadapter.native._native.Conversion",
    .tp_basicsize = sizeof(Conversion),
    .tp_dealloc = (destructor)conversion_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Conversion, vectorcall),
    .tp_call = PyVectorcall_Call,
    .tp_doc = "Conversion(wire, event, ((op, given, member, inner member, constant), ...), error, name).",
    .tp_new = conversion_new,
};

/* The usual case of a numbered stream without a word of Python: the event is of the feed, its decimals are plain and its
 * id is the next one. Whatever else it is, there is no event and nothing has changed: the decoder in Python says it. */

enum { ANY, NEXT, RISING, OPEN_CANDLE, RULES };
enum { MAX_ROUTES = 16, MAX_ONCE = 4 };

typedef struct {
    Conversion *conversion;
    PyObject *by_symbol; /* symbol -> SeriesState */
    int rule;
    Py_ssize_t number, guard;
    Py_ssize_t inside, symbol; /* where the symbol is: in the wire Struct (inside -1), or in the Struct that lies there */
    PyTypeObject *inside_type;
    PyObject *amend;     /* a callable, or NULL */
    PyObject *published; /* symbol -> values of the once fields that need no second event; NULL: there is none */
    int once_count;
    Py_ssize_t once[MAX_ONCE];
} Route;

enum { COLUMNS = 4, BOOK_GIVEN = GIVEN_COUNT + 2 + COLUMNS };

typedef struct {
    Conversion *conversion;
    PyObject *by_symbol, *kinds, *split; /* kinds: stream -> (update type, level limit), or None */
    Py_ssize_t bids, asks, number, previous, symbol, guard;
} Books;

typedef struct {
    PyObject_HEAD
    int count;
    Route routes[MAX_ROUTES];
    Books books;
    PyTypeObject *series, *candle;
    Py_ssize_t next, at_ns, gap_ns, grid, closed, interval;
    long long unwanted; /* a guard of this value: not of the feed */
} FastPath;

static inline PyObject **
slot(PyObject *owner, Py_ssize_t offset)
{
    return (PyObject **)((char *)owner + offset);
}

/* 1 = it is, 0 = no such number, or none that can be counted on. */
static inline int
number_of(PyObject *value, long long *number)
{
    int overflow;
    if (value == NULL || !PyLong_Check(value))
        return 0;
    *number = PyLong_AsLongLongAndOverflow(value, &overflow);
    return overflow == 0 && *number < LLONG_MAX;
}

/* The series of this symbol; NULL where the event is not of the feed, or with an exception. */
static PyObject *
series_of(FastPath *self, PyObject *by_symbol, PyObject *symbol, PyObject *guard)
{
    long long mark;
    if (symbol == NULL || !number_of(guard, &mark) || mark == self->unwanted)
        return NULL;
    PyObject *series = PyDict_GetItemWithError(by_symbol, symbol);
    return series != NULL && Py_TYPE(series) == self->series && *slot(series, self->gap_ns) != NULL ? series : NULL;
}

static int
move_series(FastPath *self, PyObject *series, PyObject *next, PyObject *received)
{
    if (next == NULL)
        return -1;
    Py_XSETREF(*slot(series, self->next), next);
    Py_XSETREF(*slot(series, self->at_ns), Py_NewRef(received));
    return 0;
}

/* As fast_event: a book whose levels are plain, and that continues its chain when it has one. */
static PyObject *
fast_book(FastPath *self, PyObject *wire, PyObject *stream, PyObject *received, PyObject *connection)
{
    Books *books = &self->books;
    PyObject *series = series_of(self, books->by_symbol, *slot(wire, books->symbol), *slot(wire, books->guard));
    PyObject *kind = series == NULL || stream == NULL ? NULL : PyDict_GetItemWithError(books->kinds, stream);
    long long limit, previous, next;
    if (kind == NULL || !PyTuple_CheckExact(kind) || PyTuple_GET_SIZE(kind) != 2 ||
        !number_of(PyTuple_GET_ITEM(kind, 1), &limit))
        return NULL;
    if (!limit && (!number_of(*slot(wire, books->previous), &previous) ||
                   !number_of(*slot(series, self->next), &next) || previous != next))
        return NULL;
    PyObject *sides[2] = {*slot(wire, books->bids), *slot(wire, books->asks)}, *number = *slot(wire, books->number);
    if (sides[0] == NULL || sides[1] == NULL || number == NULL)
        return NULL;
    PyObject *columns = PyObject_Vectorcall(books->split, sides, 2, NULL), *event = NULL;
    if (columns != NULL && PyTuple_CheckExact(columns) && PyTuple_GET_SIZE(columns) == COLUMNS) {
        PyObject *given[BOOK_GIVEN] = {received, connection, *slot(series, self->gap_ns), PyTuple_GET_ITEM(kind, 0),
                                       PyTuple_GET_ITEM(kind, 1)};
        for (int i = 0; i < COLUMNS; i++)
            given[GIVEN_COUNT + 2 + i] = PyTuple_GET_ITEM(columns, i);
        event = make_event(books->conversion, wire, given);
    }
    Py_XDECREF(columns);
    if (event != NULL && !limit && move_series(self, series, Py_NewRef(number), received) < 0)
        Py_CLEAR(event);
    return event;
}

static PyObject *
symbol_of(const Route *route, PyObject *wire)
{
    if (route->inside < 0)
        return *slot(wire, route->symbol);
    PyObject *inside = *slot(wire, route->inside);
    return inside != NULL && Py_TYPE(inside) == route->inside_type ? *slot(inside, route->symbol) : NULL;
}

/* Whether the event is the only one: the once fields have the values that were published last. */
static int
is_published(const Route *route, PyObject *wire, PyObject *symbol)
{
    PyObject *values = PyDict_GetItemWithError(route->published, symbol);
    if (values == NULL || !PyTuple_CheckExact(values) || PyTuple_GET_SIZE(values) != route->once_count)
        return PyErr_Occurred() ? -1 : 0;
    int same = 1;
    for (int i = 0; same == 1 && i < route->once_count; i++) {
        PyObject *value = *slot(wire, route->once[i]);
        same = value == NULL ? 0 : PyObject_RichCompareBool(PyTuple_GET_ITEM(values, i), value, Py_EQ);
    }
    return same;
}

/* Whether a candle still runs, in an interval whose grid is known. */
static int
is_running(FastPath *self, PyObject *event, PyObject *series)
{
    PyObject *grid = *slot(series, self->grid), *interval;
    if (Py_TYPE(event) != self->candle || *slot(event, self->closed) != Py_False || grid == NULL || !PyDict_Check(grid))
        return 0;
    interval = *slot(event, self->interval);
    return interval == NULL ? 0 : PyDict_Contains(grid, interval);
}

/* A new reference; NULL with an exception, or without one where the event does not go fast_path. */
static PyObject *
fast_event(FastPath *self, PyObject *wire, PyObject *stream, PyObject *received, PyObject *connection)
{
    if (Py_TYPE(wire) == self->books.conversion->wire)
        return fast_book(self, wire, stream, received, connection);
    const Route *route = NULL;
    for (int i = 0; i < self->count; i++)
        if (self->routes[i].conversion->wire == Py_TYPE(wire)) {
            route = &self->routes[i];
            break;
        }
    if (route == NULL)
        return NULL;
    long long number = 0, next = 0;
    PyObject *symbol = symbol_of(route, wire);
    PyObject *series = series_of(self, route->by_symbol, symbol, *slot(wire, route->guard));
    if (series == NULL || (route->published != NULL && is_published(route, wire, symbol) != 1))
        return NULL;
    if (route->rule == NEXT || route->rule == RISING) {
        if (!number_of(*slot(wire, route->number), &number) || !number_of(*slot(series, self->next), &next) ||
            (route->rule == NEXT ? number != next : number <= next))
            return NULL;
    }
    PyObject *given[GIVEN_COUNT] = {received, connection, *slot(series, self->gap_ns)};
    PyObject *event = make_event(route->conversion, wire, given);
    if (event == NULL) {
        if (PyErr_ExceptionMatches(route->conversion->not_plain))
            PyErr_Clear();
        return NULL;
    }
    if (route->rule == OPEN_CANDLE && is_running(self, event, series) != 1) {
        Py_DECREF(event);
        return NULL;
    }
    if (route->amend != NULL) {
        PyObject *done = PyObject_CallOneArg(route->amend, event);
        Py_XDECREF(done);
        if (done == NULL) {
            Py_DECREF(event);
            return NULL;
        }
    }
    if (route->rule == NEXT && move_series(self, series, PyLong_FromLongLong(number + 1), received) < 0)
        Py_CLEAR(event);
    else if (route->rule == RISING)
        Py_XSETREF(*slot(series, self->next), Py_NewRef(*slot(wire, route->number)));
    return event;
}

static int
read_once(PyObject *once, PyTypeObject *wire, Route *route)
{
    PyObject *published, *members;
    if (!PyArg_ParseTuple(once, "O!O!", &PyDict_Type, &published, &PyTuple_Type, &members))
        return -1;
    if (PyTuple_GET_SIZE(members) > MAX_ONCE) {
        PyErr_SetString(PyExc_ValueError, "too many once fields");
        return -1;
    }
    for (int i = 0; i < PyTuple_GET_SIZE(members); i++)
        if ((route->once[i] = member_offset(PyTuple_GET_ITEM(members, i), wire)) < 0)
            return -1;
    route->once_count = (int)PyTuple_GET_SIZE(members);
    route->published = Py_NewRef(published);
    return 0;
}

static void
release_route(Route *route)
{
    Py_CLEAR(route->conversion);
    Py_CLEAR(route->by_symbol);
    Py_CLEAR(route->amend);
    Py_CLEAR(route->published);
}

static int
read_route(PyObject *described, Route *route)
{
    PyObject *conversion, *by_symbol, *number, *inside, *symbol, *guard, *amend, *once;
    if (!PyArg_ParseTuple(described, "O!O!iOOOOOO", &Conversion_Type, &conversion, &PyDict_Type, &by_symbol,
                          &route->rule, &number, &inside, &symbol, &guard, &amend, &once))
        return -1;
    PyTypeObject *wire = ((Conversion *)conversion)->wire;
    if (route->rule < 0 || route->rule >= RULES) {
        PyErr_SetString(PyExc_ValueError, "no such rule");
        return -1;
    }
    if (((Conversion *)conversion)->given != GIVEN_COUNT) {
        PyErr_SetString(PyExc_ValueError, "a route's conversion is given nothing else");
        return -1;
    }
    if ((route->number = member_offset(number, wire)) < 0 || (route->guard = member_offset(guard, wire)) < 0 ||
        (route->symbol = member_offset(symbol, inside == Py_None ? wire : NULL)) < 0 ||
        (inside != Py_None && (route->inside = member_offset(inside, wire)) < 0))
        return -1;
    if (inside == Py_None)
        route->inside = -1;
    else
        route->inside_type = PyDescr_TYPE(symbol); /* lives as long as the wire Struct that names it */
    route->conversion = (Conversion *)Py_NewRef(conversion);
    route->by_symbol = Py_NewRef(by_symbol);
    if (amend != Py_None)
        route->amend = Py_NewRef(amend);
    if (once != Py_None && read_once(once, wire, route) < 0) {
        release_route(route);
        return -1;
    }
    return 0;
}

static int
read_books(PyObject *described, Books *books)
{
    PyObject *conversion, *by_symbol, *kinds, *split, *members[6];
    Py_ssize_t *places[6] = {&books->bids, &books->asks, &books->number, &books->previous, &books->symbol, &books->guard};
    if (!PyArg_ParseTuple(described, "O!O!O!OOOOOOO", &Conversion_Type, &conversion, &PyDict_Type, &by_symbol,
                          &PyDict_Type, &kinds, &split, &members[0], &members[1], &members[2], &members[3], &members[4], &members[5]))
        return -1;
    if (((Conversion *)conversion)->given != BOOK_GIVEN) {
        PyErr_SetString(PyExc_ValueError, "a book's conversion is given its kind and four columns");
        return -1;
    }
    for (int i = 0; i < 6; i++)
        if ((*places[i] = member_offset(members[i], ((Conversion *)conversion)->wire)) < 0)
            return -1;
    books->conversion = (Conversion *)Py_NewRef(conversion);
    books->by_symbol = Py_NewRef(by_symbol);
    books->kinds = Py_NewRef(kinds);
    books->split = Py_NewRef(split);
    return 0;
}

static PyObject *
fast_path_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *routes, *books, *series, *next, *at_ns, *gap_ns, *grid, *candle, *closed, *interval;
    long long unwanted;
    if (!PyArg_ParseTuple(args, "O!O!O!OOOOO!OOL", &PyTuple_Type, &routes, &PyTuple_Type, &books, &PyType_Type, &series,
                          &next, &at_ns, &gap_ns, &grid, &PyType_Type, &candle, &closed, &interval, &unwanted))
        return NULL;
    if (PyTuple_GET_SIZE(routes) > MAX_ROUTES) {
        PyErr_SetString(PyExc_ValueError, "too many routes");
        return NULL;
    }
    FastPath *self = (FastPath *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->unwanted = unwanted;
    self->series = (PyTypeObject *)Py_NewRef(series);
    self->candle = (PyTypeObject *)Py_NewRef(candle);
    int whole = read_books(books, &self->books) == 0 && (self->next = member_offset(next, self->series)) >= 0 &&
                (self->at_ns = member_offset(at_ns, self->series)) >= 0 &&
                (self->gap_ns = member_offset(gap_ns, self->series)) >= 0 &&
                (self->grid = member_offset(grid, self->series)) >= 0 &&
                (self->closed = member_offset(closed, self->candle)) >= 0 &&
                (self->interval = member_offset(interval, self->candle)) >= 0;
    for (Py_ssize_t i = 0; whole && i < PyTuple_GET_SIZE(routes); i++) {
        whole = read_route(PyTuple_GET_ITEM(routes, i), &self->routes[i]) == 0;
        self->count += whole;
    }
    if (!whole) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void
fast_path_dealloc(FastPath *self)
{
    for (int i = 0; i < self->count; i++)
        release_route(&self->routes[i]);
    Py_XDECREF(self->books.conversion);
    Py_XDECREF(self->books.by_symbol);
    Py_XDECREF(self->books.kinds);
    Py_XDECREF(self->books.split);
    Py_XDECREF(self->series);
    Py_XDECREF(self->candle);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyTypeObject FastPath_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "wsadapter.native._native.FastPath",
    .tp_basicsize = sizeof(FastPath),
    .tp_dealloc = (destructor)fast_path_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "FastPath(routes, books, series, next, at_ns, gap_ns, grid, candle, closed, interval, unwanted).",
    .tp_new = fast_path_new,
};

/* One message: decoded, and an event that goes fast_path is all there is to it. */

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    FastPath *fast_path;
    PyTypeObject *frame;
    Py_ssize_t wire, stream;
    PyObject *decode, *connection, *received, *outages, *rest, *again, *failures;
} Receiver;

static PyObject *pending_name;

/* 1 = a hole lasts, 0 = none does, -1 = an exception. */
static int
pending(Receiver *self)
{
    PyObject *found = PyObject_GetAttr(self->outages, pending_name);
    int is = found == NULL ? -1 : PyObject_IsTrue(found);
    Py_XDECREF(found);
    return is;
}

static PyObject *
accept_frame(Receiver *self, PyObject *frame, PyObject *received)
{
    PyObject *event = NULL;
    int waits = Py_TYPE(frame) == self->frame ? pending(self) : 1;
    if (waits < 0)
        return NULL;
    if (!waits && *slot(frame, self->wire) != NULL)
        event = fast_event(self->fast_path, *slot(frame, self->wire), *slot(frame, self->stream), received,
                            self->connection);
    if (event == NULL) {
        PyObject *args[3] = {NULL, frame, received};
        if (PyErr_Occurred())
            return NULL;
        return PyObject_Vectorcall(self->rest, args + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    }
    PyObject *items = PyList_New(1), *stream = *slot(frame, self->stream);
    if (items == NULL) {
        Py_DECREF(event);
        return NULL;
    }
    PyList_SET_ITEM(items, 0, event);
    int known = stream == NULL ? 0 : PyDict_Contains(self->received, stream);
    if (known < 0 || (known && PyDict_SetItem(self->received, stream, received) < 0)) {
        Py_DECREF(items);
        return NULL;
    }
    return items;
}

static PyObject *
receiver_call(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *names)
{
    Receiver *self = (Receiver *)callable;
    if (PyVectorcall_NARGS(nargsf) != 2 || names != NULL) {
        PyErr_SetString(PyExc_TypeError, "a receiver takes a message and its receive time");
        return NULL;
    }
    PyObject *frame = PyObject_CallOneArg(self->decode, args[0]), *items = NULL;
    if (frame != NULL) {
        items = accept_frame(self, frame, args[1]);
        Py_DECREF(frame);
    }
    if (items != NULL || !PyErr_ExceptionMatches(self->failures))
        return items;
    PyErr_Clear();
    return PyObject_Vectorcall(self->again, args, 2, NULL);
}

static PyObject *
receiver_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *fast_path, *decode, *frame, *wire, *stream, *connection, *received, *outages, *rest, *again, *failures;
    if (!PyArg_ParseTuple(args, "O!OO!OOUO!OOOO!", &FastPath_Type, &fast_path, &decode, &PyType_Type, &frame, &wire,
                          &stream, &connection, &PyDict_Type, &received, &outages, &rest, &again, &PyTuple_Type,
                          &failures))
        return NULL;
    Receiver *self = (Receiver *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->vectorcall = receiver_call;
    self->fast_path = (FastPath *)Py_NewRef(fast_path);
    self->frame = (PyTypeObject *)Py_NewRef(frame);
    self->decode = Py_NewRef(decode);
    self->connection = Py_NewRef(connection);
    self->received = Py_NewRef(received);
    self->outages = Py_NewRef(outages);
    self->rest = Py_NewRef(rest);
    self->again = Py_NewRef(again);
    self->failures = Py_NewRef(failures);
    if ((self->wire = member_offset(wire, self->frame)) < 0 || (self->stream = member_offset(stream, self->frame)) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* `rest` and `again` are methods of the exchange that has this receiver: a cycle, which the collector takes. */
static int
receiver_traverse(Receiver *self, visitproc visit, void *arg)
{
    Py_VISIT(self->decode);
    Py_VISIT(self->received);
    Py_VISIT(self->outages);
    Py_VISIT(self->rest);
    Py_VISIT(self->again);
    return 0;
}

static int
receiver_clear(Receiver *self)
{
    Py_CLEAR(self->fast_path);
    Py_CLEAR(self->frame);
    Py_CLEAR(self->decode);
    Py_CLEAR(self->connection);
    Py_CLEAR(self->received);
    Py_CLEAR(self->outages);
    Py_CLEAR(self->rest);
    Py_CLEAR(self->again);
    Py_CLEAR(self->failures);
    return 0;
}

static void
receiver_dealloc(Receiver *self)
{
    PyObject_GC_UnTrack(self);
    receiver_clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyTypeObject Receiver_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "wsadapter.native._native.Receiver",
    .tp_basicsize = sizeof(Receiver),
    .tp_dealloc = (destructor)receiver_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_HAVE_GC,
    .tp_traverse = (traverseproc)receiver_traverse,
    .tp_clear = (inquiry)receiver_clear,
    .tp_vectorcall_offset = offsetof(Receiver, vectorcall),
    .tp_call = PyVectorcall_Call,
    .tp_doc = "Receiver(fast_path, decode, frame, data, stream, connection, received, outages, rest, again, failures).",
    .tp_new = receiver_new,
};

int
add_mapping(PyObject *module)
{
    pending_name = PyUnicode_InternFromString("pending");
    if (pending_name == NULL || PyType_Ready(&Conversion_Type) < 0 || PyType_Ready(&FastPath_Type) < 0 ||
        PyType_Ready(&Receiver_Type) < 0 ||
        PyModule_AddObjectRef(module, "Conversion", (PyObject *)&Conversion_Type) < 0 ||
        PyModule_AddObjectRef(module, "FastPath", (PyObject *)&FastPath_Type) < 0)
        return -1;
    return PyModule_AddObjectRef(module, "Receiver", (PyObject *)&Receiver_Type);
}
