/* A preload library that moves CLOCK_REALTIME, and nothing else, while a program runs.
 *
 * WALL_CLOCK_FILE names a file of 16 bytes, mapped into memory: the offset in milliseconds (int64), then what the
 * kernel is made to say about the clock (int32): 0 is unsynchronised, 1 is synchronised, -1 is the kernel's own answer.
 * The steady clocks, sleeps and timeouts stay as they are.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

struct state {
    volatile int64_t offset;
    volatile int32_t synchronised;
};

static struct state still = {0, -1};
static struct state *state = &still;
static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_adjtimex)(struct timex *);

__attribute__((constructor)) static void start(void)
{
    real_clock_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    real_adjtimex = (int (*)(struct timex *))dlsym(RTLD_NEXT, "adjtimex");
    const char *path = getenv("WALL_CLOCK_FILE");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *found = mmap(NULL, sizeof(struct state), PROT_READ, MAP_SHARED, file, 0);
    if (found != MAP_FAILED)
        state = found;
    close(file);
}

static void move(struct timespec *moment)
{
    int64_t offset = state->offset;
    moment->tv_sec += offset / 1000;
    moment->tv_nsec += (offset % 1000) * 1000000;
    if (moment->tv_nsec >= 1000000000) {
        moment->tv_nsec -= 1000000000;
        moment->tv_sec += 1;
    } else if (moment->tv_nsec < 0) {
        moment->tv_nsec += 1000000000;
        moment->tv_sec -= 1;
    }
}

int clock_gettime(clockid_t clock, struct timespec *moment)
{
    if (!real_clock_gettime) /* another library's constructor came first */
        start();
    int result = real_clock_gettime(clock, moment);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        move(moment);
    return result;
}

int gettimeofday(struct timeval *restrict moment, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return -1;
    moment->tv_sec = now.tv_sec;
    moment->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *moment)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (moment)
        *moment = now.tv_sec;
    return now.tv_sec;
}

int adjtimex(struct timex *asked)
{
    int result = real_adjtimex(asked), said = state->synchronised;
    if (said < 0)
        return result;
    asked->status = said ? asked->status & ~STA_UNSYNC : asked->status | STA_UNSYNC;
    return said ? TIME_OK : TIME_ERROR;
}
