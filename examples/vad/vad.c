/* Reads a WAV file of 16 bits, one channel and 16 kHz, 10 ms at a time, and prints the times at which someone speaks.
 * The features are those of speech.py, in single precision.
 *
 *     cc -std=c99 -O2 -Ibuild vad.c build/vad.o -lm -o build/vad
 *     build/vad build/noisy.wav
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "vad.h"

enum { RATE = 16000, HOP = 160, FRAME = 480, FFT = 512, BINS = FFT / 2 + 1, BANDS = VAD_BANDS_STEP };

static const double PI = 3.14159265358979323846, LOWEST = 100.0, HIGHEST = 7600.0;
static const float FLOOR = 1e-7f;

static unsigned char memory[VAD_STATE_SIZE];
static float window[FRAME], cosines[FFT / 2], sines[FFT / 2], corners[BANDS + 2];
static float heard[FRAME]; /* the last 30 ms, zeros before the beginning */

static double mel(double hertz) { return 2595.0 * log10(1.0 + hertz / 700.0); }

static void prepare(void)
{
    for (int n = 0; n < FRAME; n++)
        window[n] = (float)(0.5 - 0.5 * cos(2.0 * PI * n / FRAME));
    for (int n = 0; n < FFT / 2; n++) {
        cosines[n] = (float)cos(2.0 * PI * n / FFT);
        sines[n] = (float)-sin(2.0 * PI * n / FFT);
    }
    for (int n = 0; n < BANDS + 2; n++) {
        double place = mel(LOWEST) + (mel(HIGHEST) - mel(LOWEST)) * n / (BANDS + 1);
        corners[n] = (float)(700.0 * (pow(10.0, place / 2595.0) - 1.0));
    }
}

/* Computes the Fourier transform of FFT complex numbers in place: bit reversal, then butterflies of growing span. */
static void transform(float *re, float *im)
{
    for (unsigned i = 0, j = 0; i < FFT; i++) {
        if (i < j) {
            float x = re[i];
            re[i] = re[j];
            re[j] = x;
        }
        unsigned bit = FFT / 2;
        for (; j & bit; bit >>= 1)
            j ^= bit;
        j |= bit;
    }
    for (int half = 1; half < FFT; half *= 2)
        for (int start = 0; start < FFT; start += 2 * half)
            for (int n = 0; n < half; n++) {
                int a = start + n, b = a + half, turn = n * (FFT / 2 / half);
                float x = re[b] * cosines[turn] - im[b] * sines[turn], y = re[b] * sines[turn] + im[b] * cosines[turn];
                re[b] = re[a] - x;
                im[b] = im[a] - y;
                re[a] += x;
                im[a] += y;
            }
}

/* Computes the logarithm of each band's energy in the last 30 ms. */
static void features(float *bands)
{
    float re[FFT] = {0}, im[FFT] = {0};
    for (int n = 0; n < FRAME; n++)
        re[n] = heard[n] * window[n];
    transform(re, im);
    for (int band = 0; band < BANDS; band++) {
        float low = corners[band], middle = corners[band + 1], high = corners[band + 2], energy = 0.0f;
        for (int bin = (int)(low * FFT / RATE); bin < BINS; bin++) {
            float hertz = (float)bin * RATE / FFT;
            float weight = hertz < middle ? (hertz - low) / (middle - low) : (high - hertz) / (high - middle);
            if (hertz >= high)
                break;
            if (weight > 0.0f)
                energy += weight * (re[bin] * re[bin] + im[bin] * im[bin]) / FFT;
        }
        bands[band] = logf(energy + FLOOR);
    }
}

/* Returns the probability that the last 30 ms contain speech. Runs every 10 ms, with 10 ms of new samples. */
static float probability(const int16_t *samples)
{
    float bands[BANDS], found;
    memmove(heard, heard + HOP, (FRAME - HOP) * sizeof *heard);
    for (int n = 0; n < HOP; n++)
        heard[FRAME - HOP + n] = (float)samples[n] / 32768.0f;
    features(bands);
    vad_step(memory, bands, &found);
    return found;
}

static uint32_t number(const unsigned char *at, int bytes)
{
    uint32_t value = 0;
    while (bytes--)
        value = value << 8 | at[bytes];
    return value;
}

int main(int count, char **arguments)
{
    unsigned char head[44];
    FILE *file = count > 1 ? fopen(arguments[1], "rb") : NULL;
    if (!file || fread(head, 1, sizeof head, file) != sizeof head || memcmp(head + 8, "WAVEfmt ", 8) ||
        memcmp(head + 36, "data", 4) || number(head + 20, 2) != 1 || number(head + 22, 2) != 1 ||
        number(head + 24, 4) != RATE || number(head + 34, 2) != 16) {
        fprintf(stderr, "vad: give a plain WAV file of 16 bits, one channel and %d Hz\n", RATE);
        return 1;
    }
    prepare();
    vad_init(memory);
    unsigned char bytes[2 * HOP];
    int16_t samples[HOP];
    int speaking = 0, frame = 0;
    for (; fread(bytes, 1, sizeof bytes, file) == sizeof bytes; frame++) {
        for (int n = 0; n < HOP; n++)
            samples[n] = (int16_t)number(bytes + 2 * n, 2);
        int now = probability(samples) > 0.5f;
        if (now && !speaking)
            printf("%.2f to ", frame / 100.0);
        if (!now && speaking)
            printf("%.2f\n", frame / 100.0);
        speaking = now;
    }
    if (speaking)
        printf("%.2f\n", frame / 100.0);
    fclose(file);
    return 0;
}
