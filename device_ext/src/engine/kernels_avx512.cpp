#include <immintrin.h>

#include <cstring>
#include <type_traits>

#include "kernels.h"
#include "normal.h"

namespace warmtile {
namespace {
#include "kernels_common.inl"
#include "kernels_x86.inl"

inline __m512i draw16(Key32 key, __m512i index) {
  __m512i h = _mm512_add_epi32(index, _mm512_set1_epi32((int)key.a));
  h = _mm512_xor_si512(h, _mm512_srli_epi32(h, 17));
  h = _mm512_mullo_epi32(h, _mm512_set1_epi32((int)0xed5ad4bbu));
  h = _mm512_xor_si512(h, _mm512_set1_epi32((int)key.b));
  h = _mm512_xor_si512(h, _mm512_srli_epi32(h, 11));
  h = _mm512_mullo_epi32(h, _mm512_set1_epi32((int)0xac4c1b51u));
  h = _mm512_xor_si512(h, _mm512_srli_epi32(h, 15));
  h = _mm512_mullo_epi32(h, _mm512_set1_epi32((int)0x31848babu));
  return _mm512_xor_si512(h, _mm512_srli_epi32(h, 14));
}

float absMax(const float *v, int n) {
  // Four maxima side by side: one alone would wait for itself at every step.
  __m512 m[4] = {
      _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
  int j = 0;
  for (; j + 64 <= n; j += 64) {
    for (int k = 0; k < 4; k++) {
      m[k] = _mm512_max_ps(m[k], _mm512_abs_ps(_mm512_loadu_ps(v + j + 16 * k)));
    }
  }
  for (; j < n; j += 16) {
    const int left = n - j;
    const __mmask16 valid = left >= 16 ? (__mmask16)0xffff : (__mmask16)((1u << left) - 1);
    m[0] = _mm512_max_ps(m[0], _mm512_abs_ps(_mm512_maskz_loadu_ps(valid, v + j)));
  }
  return _mm512_reduce_max_ps(
      _mm512_max_ps(_mm512_max_ps(m[0], m[1]), _mm512_max_ps(m[2], m[3])));
}

inline uint32_t linesThatFire(__m256 low, __m256 high, float scale, Key32 key, int begin) {
  const __m512 values = _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
  const __m512i index = _mm512_add_epi32(
      _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
      _mm512_set1_epi32(begin));
  const __m512 bits = _mm512_cvtepi32_ps(_mm512_srli_epi32(draw16(key, index), 8));
  return _mm512_cmp_ps_mask(bits, _mm512_mul_ps(values, _mm512_set1_ps(scale)), _CMP_LT_OQ);
}
} // namespace

const Kernels kernels_avx512 = {
    "avx512", absMax, survey, trainScales, mayFire, fire, addProducts, normals, pulse};

} // namespace warmtile
