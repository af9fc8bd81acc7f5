/* Finds speech in a WAV file of 16 bits, one channel and 16 kHz, such as a microphone's, 32 ms at a time.
 *
 *     cc -std=c99 -O2 -Ibuild find_speech.c build/silero.o -o build/find_speech
 *     build/find_speech recording.wav
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "silero.h"

enum { RATE = 16000, NEW = 512, CONTEXT = 64, PATIENCE = 4 };

static const float BEGIN = 0.5f, END = 0.35f;

static unsigned char memory[SILERO_STATE_SIZE];

static uint32_t number(const unsigned char *at, int bytes)
{
    uint32_t value = 0;
    while (bytes--)
        value = value << 8 | at[bytes];
    return value;
}

int main(int count, char **arguments)
{
    unsigned char head[44], bytes[2 * NEW];
    FILE *file = count > 1 ? fopen(arguments[1], "rb") : NULL;
    if (!file || fread(head, 1, sizeof head, file) != sizeof head || memcmp(head + 8, "WAVEfmt ", 8) ||
        memcmp(head + 36, "data", 4) || number(head + 22, 2) != 1 || number(head + 24, 4) != RATE ||
        number(head + 34, 2) != 16) {
        fprintf(stderr, "find_speech: give a plain WAV file of 16 bits, one channel and %d Hz\n", RATE);
        return 1;
    }
    silero_init(memory);
    float heard[CONTEXT + NEW] = {0}, probability;
    int step = 0, began = -1, quiet = 0;
    for (; fread(bytes, 1, sizeof bytes, file) == sizeof bytes; step++) {
        memmove(heard, heard + NEW, CONTEXT * sizeof *heard);
        for (int n = 0; n < NEW; n++)
            heard[CONTEXT + n] = (float)(int16_t)number(bytes + 2 * n, 2) / 32768.0f;
        silero_step(memory, heard, &probability);
        quiet = probability < END ? quiet + 1 : 0;
        if (began < 0 && probability >= BEGIN)
            began = step;
        if (began >= 0 && quiet == PATIENCE) {
            printf("%.2f to %.2f\n", (double)began * NEW / RATE, (double)(step + 1 - PATIENCE) * NEW / RATE);
            began = -1;
        }
    }
    if (began >= 0)
        printf("%.2f to %.2f\n", (double)began * NEW / RATE, (double)(step - quiet) * NEW / RATE);
    fclose(file);
    return 0;
}
