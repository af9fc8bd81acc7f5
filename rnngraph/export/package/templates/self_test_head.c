#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An array of the net. Members that an array does not need are NULL. */
typedef struct {
    const char *name;
    char kind;             /* type of the elements: float, double, int32_t, int64_t or u for unsigned char */
    size_t item;           /* bytes of an element */
    size_t slices, step;   /* around the time axis: slices before it, bytes of a step in each; no slices: no time axis */
    size_t bytes;          /* bytes of a step, or of an array without a time axis */
    size_t count;          /* number of elements of given */
    const void *given;     /* fed or expected elements; NULL if unknown */
    void *one, *two;       /* memory for a step, and for a step of two streams */
    void *stepped, *block; /* joined results of steps, and results of a block */
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

/* Compares all elements with the expected ones, if these are known. */
static void compare(const Array *array, const void *found)
{
    size_t number;
    for (number = 0; array->given && number < array->count; number++)
        check(element(array, found, number), element(array, array->given, number));
}
