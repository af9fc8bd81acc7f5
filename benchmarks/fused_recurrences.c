/* Recurrences in the form that a compiler should generate: one pass over a state that stays in L1.
 *
 *     cc -O3 -march=native -shared -fPIC -DSIZE=64 -DSTATES=16 fused_recurrences.c -o fused.so
 *
 * SIZE: number of keys and of values of a head. STATES: states of a channel of s6. Values are padded to whole vectors.
 *
 * Inputs are raw, [rows][steps][width], as the cells take them: elementwise work is done here, for BLOCK steps of a head
 * at a time. Heads are outside of the loop over those steps. Columns of a head's state do not depend on each other, so
 * a state that is larger than FIRST bytes is updated by blocks of columns, which lie one after the other in memory. The
 * output is read from the updated state, in the pass that updates it.
 *
 * States lie in memory between calls; `fresh` clears them first, so the same functions run a sequence and a single step.
 */
#include <stddef.h>
#include <string.h>

#if defined(__AVX512F__)
#include <immintrin.h>
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif
#ifndef SIZE
#define SIZE 64
#endif
#ifndef STATES
#define STATES 16
#endif
#define FIRST (16 * 1024)
#define BLOCK 32
#define VECTORS ((SIZE + LANES - 1) / LANES)
#define FITTING (FIRST / (SIZE * LANES * 4))
#define AT_MOST (FITTING < 1 ? 1 : FITTING > 4 ? 4 : FITTING)
#define COLUMN_BLOCKS ((VECTORS + AT_MOST - 1) / AT_MOST)
#define WIDE ((VECTORS + COLUMN_BLOCKS - 1) / COLUMN_BLOCKS)

typedef float vec __attribute__((vector_size(4 * LANES), may_alias));
typedef int ivec __attribute__((vector_size(4 * LANES), may_alias));
typedef vec matrix[SIZE][WIDE];
typedef struct {
    vec of[BLOCK][COLUMN_BLOCKS * WIDE];
} values;
#define INLINE static inline __attribute__((always_inline))
#define EACH(j) _Pragma("GCC unroll 8") for (int j = 0; j < WIDE; j++)

/* Elementary functions, with the coefficients of rnngraph's own (at most 2 units of the last place). */

INLINE vec choose(ivec mask, vec yes, vec no) { return (vec)((mask & (ivec)yes) | (~mask & (ivec)no)); }
INLINE vec maximum(vec x, vec y) { return choose(x > y, x, y); }

INLINE vec exponential(vec x)
{
    const vec zero = {0};
#if LANES == 16
    vec n = _mm512_roundscale_ps(x * 1.44269504f, 0);
#else
    x = maximum(x, zero - 87.f);
    x = choose(x < zero + 88.f, x, zero + 88.f);
    vec n = x * 1.44269504f + 12582912.f - 12582912.f;
#endif
    vec r = x - n * 0.693145751953125f - n * 1.42860677e-06f;
    vec h = zero + 0.00138198177f;
    h = h * r + 0.00836868864f;
    h = h * r + 0.0416682772f;
    h = h * r + 0.166665211f;
    h = h * r + 0.49999994f;
    h = h * r + 1.f;
    h = h * r + 1.f;
#if LANES == 16
    return _mm512_scalef_ps(h, n);
#else
    return (vec)((ivec)h + (__builtin_convertvector(n, ivec) << 23));
#endif
}

/* log(1 + x), 0 <= x <= 1: x or, above a third, (x - 1) / 2 is the argument of the polynomial. */
INLINE vec log1p_up_to_one(vec x)
{
    const vec zero = {0};
    ivec large = x > zero + 0.333333333f;
    vec f = choose(large, 0.5f * x - 0.5f, x);
    vec q = zero - 0.128796816f;
    q = q * f + 0.139868289f;
    q = q * f - 0.121868171f;
    q = q * f + 0.140053138f;
    q = q * f - 0.166803122f;
    q = q * f + 0.20010446f;
    q = q * f - 0.249998018f;
    q = q * f + 0.333332151f;
    q = q * f - 0.5f;
    return f + (f * f * q + choose(large, zero + 0.693147182f, zero));
}

INLINE vec softplus(vec x)
{
    const vec zero = {0};
    vec positive = maximum(x, zero);
    return positive + log1p_up_to_one(exponential(x - 2.f * positive));
}

INLINE vec sigmoid(vec x) { return 1.f / (1.f + exponential(-x)); }

/* Reading and writing. */

INLINE vec load(const float *from, size_t count)
{
    vec x = {0};
    memcpy(&x, from, count * sizeof(float));
    return x;
}

INLINE size_t columns_of(int j) { return (j + 1) * LANES <= SIZE ? LANES : SIZE - j * LANES; }
INLINE float sum(vec x)
{
    float total = 0;
    for (int i = 0; i < LANES; i++)
        total += x[i];
    return total;
}

/* Writes a head's numbers as vectors, padded with 0. */
INLINE void copy(const float *from, vec *to)
{
    for (int j = 0; j < VECTORS; j++)
        to[j] = load(from + j * LANES, columns_of(j));
}

INLINE void normalized(const float *from, vec *to)
{
    vec squares = {0};
    copy(from, to);
    for (int j = 0; j < VECTORS; j++)
        squares += to[j] * to[j];
    float factor = 1.f / __builtin_sqrtf(sum(squares) + 1e-6f);
    for (int j = 0; j < VECTORS; j++)
        to[j] *= factor;
}

INLINE void write(const values *o, int t, float *to)
{
    for (int j = 0; j < VECTORS; j++)
        memcpy(to + j * LANES, &o->of[t][j], columns_of(j) * sizeof(float));
}

static float softplus_of(float x) { return softplus((vec){x})[0]; }
static float sigmoid_of(float x) { return sigmoid((vec){x})[0]; }
static float exponential_of(float x) { return exponential((vec){x})[0]; }

/* One key: S = a S + k value, and `total` is increased by q S. Scalars are loaded once for all columns. */
INLINE void update(vec *S, float q, float k, float a, const vec *value, vec *total)
{
    EACH(j)
    {
        vec s = a * S[j] + k * value[j];
        S[j] = s;
        total[j] += q * s;
    }
}

INLINE void read(const vec *S, float k, vec *total) { EACH(j) total[j] += k * S[j]; }

/* S = diag(a) S + k value^T, o = q S, of a block of columns. `by_key`: whether each key has a decay of its own. */
INLINE void gated(matrix S, const float *q, const float *k, const float *a, int by_key, const vec *value, vec *o)
{
    vec even[WIDE] = {0}, odd[WIDE] = {0}, held[WIDE];
    EACH(j) held[j] = value[j];
    int i = 0;
    for (; i + 1 < SIZE; i += 2) {
        update(S[i], q[i], k[i], a[by_key * i], held, even);
        update(S[i + 1], q[i + 1], k[i + 1], a[by_key * (i + 1)], held, odd);
    }
    if (i < SIZE)
        update(S[i], q[i], k[i], a[by_key * i], held, even);
    EACH(j) o[j] = even[j] + odd[j];
}

/* S = a (S - b k (k S)^T) + b k v^T, o = q S, of a block of columns, in two passes. */
INLINE void delta(matrix S, const float *q, const float *k, float a, float b, const vec *v, vec *o)
{
    vec even[WIDE] = {0}, odd[WIDE] = {0}, change[WIDE];
    int i = 0;
    for (; i + 1 < SIZE; i += 2)
        read(S[i], k[i], even), read(S[i + 1], k[i + 1], odd);
    if (i < SIZE)
        read(S[i], k[i], even);
    EACH(j) change[j] = b * (v[j] - a * (even[j] + odd[j]));
    const float decays = a;
    gated(S, q, k, &decays, 0, change, o);
}

static values q, k, v, a, o;
static float decay[BLOCK], rate[BLOCK];

/* Runs STATEMENT for each row, head and block of steps; `x` is the head's first step there, `n` the steps. */
#define FLOATS(block, t) ((const float *)(block).of[t])
#define COLUMNS(t, c) &v.of[t][(c) * WIDE], &o.of[t][(c) * WIDE]
#define FOR_EACH_BLOCK                                                                                                 \
    if (fresh)                                                                                                         \
        memset(state, 0, (size_t)rows * heads * COLUMN_BLOCKS * sizeof(matrix));                                       \
    for (long r = 0; r < rows; r++)                                                                                    \
        for (long h = 0; h < heads; h++)                                                                               \
            for (long start = 0, n; start < steps; start += n)                                                         \
                if ((n = steps - start < BLOCK ? steps - start : BLOCK))
#define STEPS for (long t = 0; t < n; t++)
#define RAW(width) const float *x = raw + ((size_t)r * steps + start + t) * (width)
#define OUTPUT y + (((size_t)r * steps + start + t) * heads + h) * SIZE
#define STATE(c) state[((size_t)r * heads + h) * COLUMN_BLOCKS + (c)]
#define ARGUMENTS const float *raw, float *y, matrix *state, long rows, long steps, long heads, long fresh

/* raw: q, k, v, decay, each [heads][SIZE]. */
void gla(ARGUMENTS)
{
    const size_t part = (size_t)heads * SIZE;
    FOR_EACH_BLOCK
    {
        STEPS
        {
            RAW(4 * part) + h * SIZE;
            copy(x, q.of[t]), copy(x + part, k.of[t]), copy(x + 2 * part, v.of[t]), copy(x + 3 * part, a.of[t]);
            for (int j = 0; j < VECTORS; j++)
                a.of[t][j] = exponential(softplus(-a.of[t][j]) * -0.0625f);
        }
        for (int c = 0; c < COLUMN_BLOCKS; c++)
            STEPS gated(STATE(c), FLOATS(q, t), FLOATS(k, t), FLOATS(a, t), 1, COLUMNS(t, c));
        STEPS write(&o, t, OUTPUT);
    }
}

/* raw: q, k, v, each [heads][SIZE], then rate and decay, [heads]. */
void gdn(ARGUMENTS)
{
    const size_t part = (size_t)heads * SIZE;
    FOR_EACH_BLOCK
    {
        STEPS
        {
            RAW(3 * part + 2 * heads);
            normalized(x + h * SIZE, q.of[t]), normalized(x + part + h * SIZE, k.of[t]);
            copy(x + 2 * part + h * SIZE, v.of[t]);
            rate[t] = sigmoid_of(x[3 * part + h]);
            decay[t] = exponential_of(softplus_of(-x[3 * part + heads + h]) * -0.25f);
        }
        for (int c = 0; c < COLUMN_BLOCKS; c++)
            STEPS delta(STATE(c), FLOATS(q, t), FLOATS(k, t), decay[t], rate[t], COLUMNS(t, c));
        STEPS write(&o, t, OUTPUT);
    }
}

/* raw: u [heads][SIZE], step and decay [heads], then B and C [SIZE], of all heads. */
void ssd(ARGUMENTS)
{
    const size_t part = (size_t)heads * SIZE;
    FOR_EACH_BLOCK
    {
        STEPS
        {
            RAW(part + 2 * heads + 2 * SIZE);
            float dt = softplus_of(x[part + h]);
            copy(x + h * SIZE, v.of[t]), copy(x + part + 2 * heads, k.of[t]);
            copy(x + part + 2 * heads + SIZE, q.of[t]);
            for (int j = 0; j < VECTORS; j++)
                v.of[t][j] *= dt;
            decay[t] = exponential_of(-dt * exponential_of(x[part + heads + h]));
        }
        for (int c = 0; c < COLUMN_BLOCKS; c++)
            STEPS gated(STATE(c), FLOATS(q, t), FLOATS(k, t), &decay[t], 0, COLUMNS(t, c));
        STEPS write(&o, t, OUTPUT);
    }
}

/* raw: u and step, each [channels], then B and C, [STATES]. state: vectors of channels by [rows][vectors][STATES].
 * rates: what A_log stands for, [STATES][channels], in whole vectors of channels. skip: D, [channels], likewise.
 */
void s6(
    const float *raw, float *y, vec *state, long rows, long steps, long channels, long fresh, const float *rates,
    const float *skip)
{
    const long vectors = (channels + LANES - 1) / LANES;
    if (fresh)
        memset(state, 0, (size_t)rows * vectors * STATES * sizeof(vec));
    for (long r = 0; r < rows; r++)
        for (long c = 0; c < vectors; c++) {
            const size_t count = (c + 1) * LANES <= channels ? LANES : channels - c * LANES;
            vec h[STATES], rate_of[STATES], *held = state + ((size_t)r * vectors + c) * STATES;
            for (int n = 0; n < STATES; n++) {
                h[n] = held[n];
                rate_of[n] = load(rates + (n * vectors + c) * LANES, LANES);
            }
            const vec through = load(skip + c * LANES, LANES);
            for (long t = 0; t < steps; t++) {
                const float *x = raw + ((size_t)r * steps + t) * (2 * channels + 2 * STATES);
                const float *b = x + 2 * channels, *w = b + STATES;
                vec u, dt;
                if (count == LANES)
                    u = load(x + c * LANES, LANES), dt = load(x + channels + c * LANES, LANES);
                else
                    u = load(x + c * LANES, count), dt = load(x + channels + c * LANES, count);
                dt = softplus(dt);
                vec in = dt * u, even = through * u, odd = {0};
                _Pragma("GCC unroll 16") for (int n = 0; n + 1 < STATES; n += 2)
                {
                    h[n] = exponential(dt * rate_of[n]) * h[n] + in * b[n];
                    even += h[n] * w[n];
                    h[n + 1] = exponential(dt * rate_of[n + 1]) * h[n + 1] + in * b[n + 1];
                    odd += h[n + 1] * w[n + 1];
                }
                if (STATES % 2) {
                    h[STATES - 1] = exponential(dt * rate_of[STATES - 1]) * h[STATES - 1] + in * b[STATES - 1];
                    even += h[STATES - 1] * w[STATES - 1];
                }
                even += odd;
                memcpy(y + ((size_t)r * steps + t) * channels + c * LANES, &even, count * sizeof(float));
            }
            memcpy(held, h, sizeof h);
        }
}
