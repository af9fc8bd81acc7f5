#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An array of the net. Arrays that it does not need are NULL. */
typedef struct {
    const char *name;
    char kind;             /* of its elements: float, double, int32_t, int64_t or u for unsigned char */
    size_t item;           /* bytes of an element */
    size_t slices, step;   /* around its axis of steps: slices before it, bytes of a step in each; no slices: no axis */
    size_t bytes;          /* of a step, or of an array without an axis of steps */
    size_t count;          /* elements of given */
    const void *given;     /* what is fed or expected; NULL if it is not known */
    void *one, *two;       /* memory of a step, and of steps of two streams */
    void *stepped, *block; /* results of steps, put together, and of a block */
} Array;

static double largest = 0;
static int wrong = 0;

static double element(const Array *array, const void *place, size_t number)
{
    switch (array->kind) {
    case 'f':
        return (double)((const float *)place)[number];
    case 'd':
        return ((const double *)place)[number];
    case 'i':
        return (double)((const int32_t *)place)[number];
    case 'l':
        return (double)((const int64_t *)place)[number];
    default:
        return (double)((const unsigned char *)place)[number];
    }
}

static void check(double found, double expected)
{
    double difference = found > expected ? found - expected : expected - found;
    double size = expected < 0 ? -expected : expected;
    if (found == expected || (found != found && expected != expected))
        return;
    if (!(difference <= 1e-5 * (size > 1 ? size : 1)))
        wrong++;
    if (!(difference <= largest))
        largest = difference;
}

/* Holds all elements to what they should be, if that is known. */
static void compare(const Array *array, const void *found)
{
    size_t number;
    for (number = 0; array->given && number < array->count; number++)
        check(element(array, found, number), element(array, array->given, number));
}
