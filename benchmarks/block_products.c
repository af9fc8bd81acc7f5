/* Products of one row of bytes with weights of 8 or 4 bits in blocks of 32, written in C for AVX-512 with VNNI. Their
   time is the minimum for a token: reading all weights, with the arithmetic on them. `total` only reads.

   Weights are stored in panels of 16 columns. A block of a panel has the weights' bytes, four rows of 16 columns side
   by side, followed by 16 scales. Bytes are unsigned: 128 (8 bits) or 8 (4 bits) stands for 0. */

#include <immintrin.h>
#include <stdint.h>

enum { COLUMNS = 16, VECTOR = 64 };

static __m512 scaled(__m512i sums, const uint8_t *scales, float scale, __m512 total)
{
    __m512 both = _mm512_mul_ps(_mm512_loadu_ps((const float *)scales), _mm512_set1_ps(scale));
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), both, total);
}

static __m512i four(const int8_t *x, int step)
{
    return _mm512_set1_epi32(((const int32_t *)x)[step]);
}

void eight_bits(const uint8_t *w, const int8_t *x, const float *scales, const int32_t *sums, float *y, long columns,
                long blocks)
{
    for (long column = 0; column < columns; column += COLUMNS) {
        __m512 total = _mm512_setzero_ps();
        for (long block = 0; block < blocks; block++, w += 9 * VECTOR) {
            __m512i one = _mm512_set1_epi32(-128 * sums[block]), other = _mm512_setzero_si512();
            for (int step = 0; step < 8; step += 2) {
                _mm_prefetch((const char *)w + 64 * VECTOR + step * VECTOR, _MM_HINT_T0);
                _mm_prefetch((const char *)w + 65 * VECTOR + step * VECTOR, _MM_HINT_T0);
                one = _mm512_dpbusd_epi32(one, _mm512_loadu_si512(w + step * VECTOR), four(x + 32 * block, step));
                other = _mm512_dpbusd_epi32(other, _mm512_loadu_si512(w + (step + 1) * VECTOR),
                                            four(x + 32 * block, step + 1));
            }
            total = scaled(_mm512_add_epi32(one, other), w + 8 * VECTOR, scales[block], total);
        }
        _mm512_storeu_ps(y + column, total);
    }
}

void four_bits(const uint8_t *w, const int8_t *x, const float *scales, const int32_t *sums, float *y, long columns,
               long blocks)
{
    const __m512i lower = _mm512_set1_epi8(15);
    for (long column = 0; column < columns; column += COLUMNS) {
        __m512 total = _mm512_setzero_ps();
        for (long block = 0; block < blocks; block++, w += 5 * VECTOR) {
            __m512i one = _mm512_set1_epi32(-8 * sums[block]), other = _mm512_setzero_si512();
            for (int step = 0; step < 4; step++) {
                __m512i both = _mm512_loadu_si512(w + step * VECTOR);
                _mm_prefetch((const char *)w + 64 * VECTOR + step * VECTOR, _MM_HINT_T0);
                one = _mm512_dpbusd_epi32(one, _mm512_and_si512(both, lower), four(x + 32 * block, 2 * step));
                other = _mm512_dpbusd_epi32(other, _mm512_and_si512(_mm512_srli_epi16(both, 4), lower),
                                            four(x + 32 * block, 2 * step + 1));
            }
            total = scaled(_mm512_add_epi32(one, other), w + 4 * VECTOR, scales[block], total);
        }
        _mm512_storeu_ps(y + column, total);
    }
}

/* The sum of floats, whose number is a multiple of 64. */
float total(const float *w, long count)
{
    __m512 sums[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
    for (long first = 0; first < count; first += 64)
        for (int part = 0; part < 4; part++)
            sums[part] = _mm512_add_ps(sums[part], _mm512_load_ps(w + first + 16 * part));
    return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3])));
}
