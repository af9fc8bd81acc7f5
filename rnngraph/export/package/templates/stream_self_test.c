
/* Test of a net that runs step by step: single steps, steps after a saved state, one block, and rows of a table. */

static unsigned char saved[STATE_BYTES + 1], again[STATE_BYTES + 1];
static uint64_t table[3 * STATE_BYTES / 8 + 1];
static const void *fed[INPUTS + 1];
static void *got[OUTPUTS + OWED + 1];

/* Copies a step's entries from a block's feed. */
static const void *take(const Array *input, int t)
{
    size_t slice;
    for (slice = 0; slice < input->slices; slice++)
        memcpy((char *)input->one + slice * input->step,
               (const char *)input->given + (slice * STEPS + (size_t)t) * input->step, input->step);
    return input->slices ? input->one : input->given;
}

/* Copies a step's results to their position in a block. */
static void keep(const Array *output, int t)
{
    size_t slice;
    if (!output->slices)
        memcpy(output->stepped, output->one, output->bytes);
    for (slice = 0; slice < output->slices; slice++)
        memcpy((char *)output->stepped + (slice * STEPS + (size_t)t) * output->step,
               (const char *)output->one + slice * output->step, output->step);
}

static void step(int t)
{
    int k;
    for (k = 0; k < INPUTS; k++)
        fed[k] = take(&inputs[k], t);
    for (k = 0; k < OUTPUTS; k++)
        got[k] = outputs[k].one;
    step_net(fed, got);
    for (k = 0; k < OUTPUTS; k++)
        keep(&outputs[k], t);
}

/* Steps two rows of the table with equal feeds. */
static void step_two(int t)
{
    static const size_t rows[2] = {2, 0};
    int k;
    for (k = 0; k < INPUTS; k++) {
        const void *one = take(&inputs[k], t);
        memcpy(inputs[k].two, one, inputs[k].bytes);
        memcpy((char *)inputs[k].two + inputs[k].bytes, one, inputs[k].bytes);
        fed[k] = inputs[k].two;
    }
    for (k = 0; k < OUTPUTS; k++)
        got[k] = outputs[k].two;
    step_rows_net(table, rows, fed, got);
    for (k = 0; k < OUTPUTS; k++) {
        const char *two = (const char *)outputs[k].two;
        memcpy(outputs[k].one, two, outputs[k].bytes);
        wrong += memcmp(two, two + outputs[k].bytes, outputs[k].bytes) != 0;
        keep(&outputs[k], t);
    }
}

static void same_state(const char *otherwise)
{
    get_state(saved);
    if (memcmp(saved, again, STATE_BYTES) != 0) {
        puts(otherwise);
        wrong++;
    }
}

/* Compares the block's results with those of the steps. */
static void same_results(const char *otherwise)
{
    int k;
    for (k = 0; k < OUTPUTS; k++)
        if (memcmp(outputs[k].block, outputs[k].stepped, outputs[k].count * outputs[k].item) != 0) {
            printf("%s: %s\n", outputs[k].name, otherwise);
            wrong++;
        }
}

static int check_net(void *weights)
{
    int t, k;
    if (init_net(weights) != 0) {
        puts("init failed");
        return 1;
    }
    for (t = 0; t < STEPS; t++) {
        if (t == STEPS / 2)
            get_state(saved);
        step(t);
    }
    for (k = 0; k < OUTPUTS; k++)
        compare(&outputs[k], outputs[k].stepped);
    for (k = 0; k < INPUTS; k++)
        fed[k] = inputs[k].given;
    for (k = 0; k < OWED; k++)
        got[k] = owed[k].one;
    flush_net(fed, got);
    for (k = 0; k < OWED; k++)
        compare(&owed[k], owed[k].one);
    get_state(again);
    set_state(saved);
    for (t = STEPS / 2; t < STEPS; t++)
        step(t);
    same_state("going on from a saved state gives other bits");
    reset_net();
    for (k = 0; k < INPUTS; k++)
        fed[k] = inputs[k].given;
    for (k = 0; k < OUTPUTS; k++)
        got[k] = outputs[k].block;
    process_net(fed, got);
    same_state("a block leaves other bits in the state than its steps");
    same_results("a block gives other bits than its steps");
    reset_net();
    for (t = 0; t < 3; t++)
        get_state((unsigned char *)table + t * STATE_BYTES);
    for (t = 0; t < STEPS; t++)
        step_two(t);
    same_results("rows of a table give other bits than a stream");
    return 0;
}
