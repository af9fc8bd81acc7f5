/* Generates token ids after a prompt of token ids: generate WEIGHTS COUNT TOKEN...
 *
 * The weights stay in their file, which is mapped: starting takes no time, and processes share the memory. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net.h"

/* Maps a file of packed weights of the right size, or returns NULL. */
static const void *mapped(const char *path) {
    struct stat status;
    int file = open(path, O_RDONLY);
    if (file < 0) return NULL;
    const void *weights = NULL;
    if (fstat(file, &status) == 0 && status.st_size == NET_WEIGHTS_FILE) {
        weights = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, file, 0);
        if (weights == MAP_FAILED) weights = NULL;
    }
    close(file);
    return weights;
}

static int64_t largest(const float *logits) {
    int64_t best = 0;
    for (int64_t token = 1; token < NET_LOGITS_STEP; token++)
        if (logits[token] > logits[best]) best = token;
    return best;
}

int main(int count, char **arguments) {
    if (count < 4) {
        fprintf(stderr, "usage: %s WEIGHTS COUNT TOKEN...\n", arguments[0]);
        return 2;
    }
    const void *weights = mapped(arguments[1]);
    void *memory = malloc(net_state_size());
    if (!weights || !memory) {
        fprintf(stderr, "%s: can't map %s, which must be the net.weights of this export\n", arguments[0], arguments[1]);
        return 1;
    }
    float logits[NET_LOGITS_STEP];
    if (net_init(memory, weights)) return 1;
    for (int number = 3; number < count; number++) {
        int64_t token = strtoll(arguments[number], NULL, 10);
        net_step(memory, &token, logits);
    }
    for (int64_t left = strtoll(arguments[2], NULL, 10); left > 0; left--) {
        int64_t token = largest(logits);
        printf("%lld\n", (long long)token);
        net_step(memory, &token, logits);
    }
    free(memory);
    return 0;
}
