/* A wall clock that a test can step: preloaded into the product's processes, it adds the nanoseconds that the file of
 * WSADAPTER_CLOCK holds (a signed 64-bit number) to each reading of CLOCK_REALTIME. The monotonic clock is left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *step_ns;
static int (*real_clock_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("WSADAPTER_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    if (fd < 0)
        return;
    void *mapped = mmap(NULL, sizeof *step_ns, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED)
        step_ns = mapped;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    if (!real_clock_gettime)
        begin();
    int failed = real_clock_gettime(clock, now);
    if (failed || !step_ns || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
        return failed;
    int64_t ns = (int64_t)now->tv_sec * 1000000000 + now->tv_nsec + *step_ns;
    now->tv_sec = ns / 1000000000;
    now->tv_nsec = ns % 1000000000;
    return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec exact;

    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &exact))
        return -1;
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *into)
{
    struct timespec exact;

    if (clock_gettime(CLOCK_REALTIME, &exact))
        return -1;
    if (into)
        *into = exact.tv_sec;
    return exact.tv_sec;
}
