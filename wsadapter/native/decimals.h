/* The one definition of a plain decimal, [0-9]+(\.[0-9]+)?, of the C parts. */
#ifndef WSADAPTER_PLAIN_H
#define WSADAPTER_PLAIN_H
#include <stddef.h>

/* The end of the plain decimal that begins at `at`, or NULL. Reads no further than `stop`. */
static inline const char *
after_plain(const char *at, const char *stop)
{
    const char *begin = at;
    while (at < stop && (unsigned char)(*at - '0') < 10)
        at++;
    if (at == begin)
        return NULL;
    if (at < stop && *at == '.') {
        begin = ++at;
        while (at < stop && (unsigned char)(*at - '0') < 10)
            at++;
        if (at == begin)
            return NULL;
    }
    return at;
}
#endif
