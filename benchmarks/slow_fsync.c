/* A disk that takes long to flush: preloaded (LD_PRELOAD), fsync and fdatasync wait first.
 *
 * SLOW_FSYNC_MS: milliseconds. Flushes wait side by side, as on a disk that takes several at once. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static void wait_first(void)
{
    const char *given = getenv("SLOW_FSYNC_MS");
    long milliseconds = given ? atol(given) : 0;
    struct timespec left = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&left, NULL);
}

int fsync(int descriptor)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    wait_first();
    return real(descriptor);
}

int fdatasync(int descriptor)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    wait_first();
    return real(descriptor);
}
