/* Times the steps of an exported net, one call for each step, as in a real-time thread.
 *
 *     cc -O2 -I. export_steps.c net.o -o steps && ./steps 1000000
 *
 * Prints nanoseconds: of a step in loops of a thousand steps, and of a step in blocks of 64 (function process), each
 * the median over loops. Then of single steps, each between two readings of the clock: median, 99.9th percentile,
 * maximum, and the maximum of as many pairs of readings without a step, which is the machine's share of the maximum.
 * The median of such a pair is subtracted from single steps.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "net.h"

#if defined(__x86_64__)
#include <x86intrin.h>
/* Returns the processor's counter, which takes a third of the time to read that the system's clock takes. */
static uint64_t ticks(void)
{
    _mm_lfence();
    uint64_t now = __rdtsc();
    _mm_lfence();
    return now;
}
#else
static uint64_t ticks(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
#endif

enum { FED = 4096, LOOP = 1024, BLOCK = 64 };

static float fed[FED * NET_X_STEP], given[BLOCK * NET_Y_STEP];
static unsigned char memory[NET_STATE_SIZE];

static double nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e9 * (double)now.tv_sec + (double)now.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double at(double *sorted, size_t count, double share)
{
    size_t place = (size_t)(share * (double)count);
    return sorted[place < count ? place : count - 1];
}

/* Returns nanoseconds a step, the median over loops of LOOP steps, by single steps or by blocks (function process). */
static double in_loops(double *times, size_t count, int blocks)
{
    for (size_t loop = 0; loop < count; loop++) {
        double start = nanoseconds();
        if (blocks)
            for (size_t step = 0; step < LOOP; step += BLOCK)
                net_process(memory, BLOCK, fed + (step + loop * LOOP) % FED * NET_X_STEP, given);
        else
            for (size_t step = 0; step < LOOP; step++)
                net_step(memory, fed + (step + loop * LOOP) % FED * NET_X_STEP, given);
        times[loop] = (nanoseconds() - start) / LOOP;
    }
    qsort(times, count, sizeof *times, by_size);
    return at(times, count, 0.5);
}

/* Measures the ticks of each single step, or of two readings of the clock without a step. */
static void one_by_one(double *times, size_t count, int steps)
{
    for (size_t step = 0; step < count; step++) {
        const float *x = fed + step % FED * NET_X_STEP;
        uint64_t start = ticks();
        if (steps)
            net_step(memory, x, given);
        times[step] = (double)(ticks() - start);
    }
    qsort(times, count, sizeof *times, by_size);
}

int main(int count_given, char **arguments)
{
    size_t count = count_given > 1 ? strtoul(arguments[1], NULL, 10) : 1000000, loops = count / LOOP + 1;
    double *times = malloc((count + loops) * sizeof *times);
    uint32_t random = 1;
    if (!times || net_init(memory))
        return 1;
    for (size_t place = 0; place < FED * NET_X_STEP; place++) {
        random = random * 1664525u + 1013904223u;
        fed[place] = (float)(int32_t)random / 2147483648.0f;
    }
    in_loops(times, loops, 0); /* to warm up */
    double step = in_loops(times, loops, 0), block = in_loops(times, loops, 1);

    double start = nanoseconds();
    uint64_t first = ticks();
    one_by_one(times, count, 0);
    double tick = (nanoseconds() - start) / (double)(ticks() - first);
    double clock = at(times, count, 0.5), nothing = times[count - 1] - clock;
    one_by_one(times, count, 1);
    printf("%.1f %.1f %.1f %.1f %.0f %.0f\n", step, block, tick * (at(times, count, 0.5) - clock),
           tick * (at(times, count, 0.999) - clock), tick * (times[count - 1] - clock), tick * nothing);
    free(times);
    return 0;
}
