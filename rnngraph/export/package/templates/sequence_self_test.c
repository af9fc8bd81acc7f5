
/* Test of a net for whole sequences: at several sizes, and at sizes that exceed all memory. */

static const void *fed[INPUTS + 1];
static void *got[OUTPUTS + 1];

static int check_net(void *weights)
{
    size_t beyond[SIZES + 1];
    int number, k;
    for (number = EXAMPLES - 1; number >= 0; number--) {
        for (k = 0; k < INPUTS; k++)
            fed[k] = inputs[number][k].given;
        for (k = 0; k < OUTPUTS; k++)
            got[k] = outputs[number][k].one;
        if (scratch_size(sizes[number]) > sizeof scratch || run_net(weights, sizes[number], fed, got, scratch) != 0) {
            printf("sizes are refused:");
            for (k = 0; k < SIZES; k++)
                printf(" %lu", (unsigned long)sizes[number][k]);
            printf("\n");
            return 1;
        }
        for (k = 0; k < OUTPUTS; k++)
            compare(&outputs[number][k], got[k]);
    }
    for (k = 0; k < SIZES; k++)
        beyond[k] = SIZE_MAX;
    if (scratch_size(beyond) != SIZE_MAX || run_net(weights, beyond, fed, got, NULL) == 0) {
        puts("sizes are taken that no memory holds");
        wrong++;
    }
    return 0;
}
