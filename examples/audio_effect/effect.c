/* Runs the exported effect on a WAV file of 16 bits or of floats, with one channel or two, and prints its speed.
 *
 *     cc -std=c99 -O2 -Ibuild effect.c build/distortion.o -o build/effect
 *     build/effect build/dry.wav build/effect.wav 0.7
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "distortion.h"

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

enum { BLOCK = 64, CHANNELS = 2, PCM = 1, FLOATS = 3 };

/* All memory of the effect: an instance for each channel, and a block of dry and of wet sound. */
static unsigned char memory[CHANNELS][DISTORTION_STATE_SIZE];
static float dry[BLOCK], wet[BLOCK];

/* Processes a block in place, as an audio callback would. data: interleaved samples; frames <= BLOCK. */
static void process(unsigned char *data, size_t frames, int format, int channels, const float *drive)
{
    size_t width = format == PCM ? sizeof(int16_t) : sizeof(float);
    for (int channel = 0; channel < channels; channel++) {
        for (size_t n = 0; n < frames; n++) {
            unsigned char *at = data + (n * (size_t)channels + (size_t)channel) * width;
            int16_t word;
            if (format == FLOATS)
                memcpy(&dry[n], at, width);
            else if (memcpy(&word, at, width))
                dry[n] = (float)word / 32768.0f;
        }
        distortion_process(memory[channel], frames, dry, drive, wet);
        for (size_t n = 0; n < frames; n++) {
            unsigned char *at = data + (n * (size_t)channels + (size_t)channel) * width;
            float limited = wet[n] > 1.0f ? 1.0f : wet[n] < -1.0f ? -1.0f : wet[n];
            int16_t word = (int16_t)(limited * 32767.0f + (limited < 0.0f ? -0.5f : 0.5f));
            memcpy(at, format == FLOATS ? (void *)&wet[n] : (void *)&word, width);
        }
    }
}

static uint32_t number(const unsigned char *at, int bytes)
{
    uint32_t value = 0;
    while (bytes--)
        value = value << 8 | at[bytes];
    return value;
}

static int fail(const char *what)
{
    fprintf(stderr, "effect: %s\n", what);
    return 1;
}

int main(int count, char **arguments)
{
    float drive = count > 3 ? strtof(arguments[3], NULL) : 0.5f;
    if (count < 3)
        return fail("give a WAV file to read, one to write, and the drive, from 0 to 1");
    FILE *file = fopen(arguments[1], "rb");
    if (!file || fseek(file, 0, SEEK_END))
        return fail("can't read the file");
    long size = ftell(file);
    unsigned char *bytes = malloc((size_t)size + 1), *format = NULL, *data = NULL;
    rewind(file);
    if (!bytes || fread(bytes, 1, (size_t)size, file) != (size_t)size || size < 12 || memcmp(bytes + 8, "WAVE", 4))
        return fail("that is no WAV file");
    fclose(file);
    size_t length = 0;
    for (size_t at = 12; at + 8 <= (size_t)size && !data; at += 8 + length + length % 2) {
        length = number(bytes + at + 4, 4);
        if (length > (size_t)size - at - 8)
            length = (size_t)size - at - 8;
        if (!memcmp(bytes + at, "fmt ", 4) && length >= 16)
            format = bytes + at + 8;
        if (!memcmp(bytes + at, "data", 4))
            data = bytes + at + 8;
    }
    if (!format || !data)
        return fail("the file holds no sound");
    int kind = (int)number(format, 2), channels = (int)number(format + 2, 2), bits = (int)number(format + 14, 2);
    if (channels < 1 || channels > CHANNELS || !((kind == PCM && bits == 16) || (kind == FLOATS && bits == 32)))
        return fail("take 16-bit or float samples of one or two channels");

#if defined(__SSE__)
    _mm_setcsr(_mm_getcsr() | 0x8040); /* denormal numbers are zero, as on an audio host's threads */
#endif
    for (int channel = 0; channel < channels; channel++)
        distortion_init(memory[channel]);
    size_t frame = (size_t)(channels * bits / 8), frames = length / frame;
    clock_t began = clock();
    for (size_t start = 0; start < frames; start += BLOCK)
        process(data + start * frame, frames - start < BLOCK ? frames - start : BLOCK, kind, channels, &drive);
    double seconds = (double)(clock() - began) / CLOCKS_PER_SEC, rate = number(format + 4, 4);

    file = fopen(arguments[2], "wb");
    if (!file || fwrite(bytes, 1, (size_t)size, file) != (size_t)size || fclose(file))
        return fail("can't write the file");
    printf("%.2f s of sound in %.4f s: %.0f times as fast as it plays, %.0f ns a sample\n", (double)frames / rate,
           seconds, (double)frames / rate / seconds, 1e9 * seconds / (double)(frames * (size_t)channels));
    free(bytes);
    return 0;
}
